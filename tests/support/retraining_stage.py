"""A stage whose model is retrained: executions, endpoint, models and training data."""

import contextlib
import hashlib
import io
import json
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError
from jsonschema import Draft202012Validator

import events
from deploy import image
from deploy.outputs import Deployed
from functions.shared.champion import Champion, ModelTable
from functions.shared.photo import Photo
from functions.shared.photo_table import PhotoTable
from operate.event_listener import EventListener
from tests.support.images import png
from tests.support.labels import photo_of, plant_label
from tests.support.training_code import COPY_READY_MODEL, COPY_READY_REPORT
from tests.support.upload_stage import wait_for_execution
from tests.support.waiting import eventually
from training.archive import pack
from training.dataset import Dataset
from training.digests import DIGESTS_NAME

RETRAINING_TIMEOUT_S = 180.0
PAUSE_STATE = "Pause"
POLL_S = 2


@cache
def client(service: str) -> Any:
    """One boto3 client per service, because creating one takes longer than most calls."""
    return boto3.client(service)


@dataclass(frozen=True)
class RetrainingStage:
    """A deployed stage, the input of its retrainings, and photos that no model was trained on."""

    deployed: Deployed
    training_input: Mapping[str, Any]
    photos: Dataset

    @property
    def table(self) -> ModelTable:
        """The table of models."""
        return ModelTable(self.deployed.model_table, client("dynamodb"))

    @property
    def champion(self) -> Champion:
        """The champion; fails the test when there is none."""
        champion = self.table.champion()
        assert champion is not None, "there is no champion"
        return champion

    def poll_endpoints_faster(self) -> None:
        """Describe endpoints every POLL_S seconds, because the embedded AWS updates them in seconds."""
        states = client("stepfunctions")
        for machine in (self.deployed.retrain_model_arn, self.deployed.rollback_model_arn):
            definition = json.loads(states.describe_state_machine(stateMachineArn=machine)["definition"])
            for state in definition["States"].values():
                if state["Type"] == "Wait" and "Seconds" in state:
                    state["Seconds"] = min(state["Seconds"], POLL_S)
            states.update_state_machine(stateMachineArn=machine, definition=json.dumps(definition))

    # The endpoint

    def endpoint(self) -> tuple[str, str]:
        """Return status and configuration; ("None", "") when there is no endpoint."""
        try:
            found = client("sagemaker").describe_endpoint(EndpointName=self.deployed.endpoint_name)
        except ClientError:
            return "None", ""
        return found["EndpointStatus"], found["EndpointConfigName"]

    def failure_reason(self) -> str:
        """Return why the last update of the endpoint failed; empty when it did not."""
        found = client("sagemaker").describe_endpoint(EndpointName=self.deployed.endpoint_name)
        return str(found.get("FailureReason", ""))

    def wait_for_endpoint(self) -> tuple[str, str]:
        """Wait until the endpoint is not changing; returns status and configuration."""
        settled: tuple[str, str] = eventually(
            self.endpoint, lambda found: found[0] in ("InService", "Failed", "None"), what="the endpoint to settle"
        )
        return settled

    def served_version(self) -> str:
        """Invoke the endpoint; returns the version of the model that answered."""
        answer = client("sagemaker-runtime").invoke_endpoint(
            EndpointName=self.deployed.endpoint_name,
            ContentType="application/x-image",
            Body=png(self.photos.with_labels(["bicycle"]).images[0]),
        )
        version: str = json.loads(answer["Body"].read())["model_version"]
        return version

    def serves_champion(self) -> bool:
        """Return whether the endpoint is in service with the champion."""
        champion = self.champion
        return self.wait_for_endpoint() == ("InService", champion.endpoint_config) and (
            self.served_version() == champion.model_version
        )

    @contextlib.contextmanager
    def invoke_continuously(self, pause_s: float = 0.4) -> Iterator[list[str]]:
        """Invoke the endpoint repeatedly during the block; yields the list of model versions or error messages."""
        answers: list[str] = []
        done = threading.Event()

        def invoke() -> None:
            while not done.wait(pause_s):
                try:
                    answers.append(self.served_version())
                except ClientError as error:
                    answers.append(str(error))

        thread = threading.Thread(target=invoke)
        thread.start()
        try:
            yield answers
        finally:
            done.set()
            thread.join()

    # Executions

    def start(self, **options: Any) -> str:
        """Start retrain-model with the stage's input, changed by `options`; returns the execution's ARN."""
        arn: str = client("stepfunctions").start_execution(
            stateMachineArn=self.deployed.retrain_model_arn, input=json.dumps({**self.training_input, **options})
        )["executionArn"]
        return arn

    def wait_for_execution(self, execution: str) -> dict[str, Any]:
        """Wait for the end of an execution; returns its description."""
        return wait_for_execution(execution, RETRAINING_TIMEOUT_S)

    def retrain(self, **options: Any) -> dict[str, Any]:
        """Retrain and return the output of an execution that succeeded."""
        ended = self.wait_for_execution(self.start(**options))
        assert ended["status"] == "SUCCEEDED", (ended.get("error"), ended.get("cause"))
        output: dict[str, Any] = json.loads(ended["output"])
        return output

    def retrain_with_failure(self, **options: Any) -> tuple[str, str]:
        """Retrain; returns error and cause of the execution, which must fail and publish its rejection."""
        with EventListener(self.deployed.event_bus) as listener:
            ended = self.wait_for_execution(self.start(**options))
            assert ended["status"] == "FAILED", ended.get("output")
            detail_type, detail = next(listener.events(20))
        assert detail_type == "Model Rejected"
        Draft202012Validator(events.schema(detail_type)).validate(detail)
        assert detail["reason"] == ended["error"]
        return ended["error"], ended["cause"]

    def wait_for_state(self, execution: str, state: str) -> None:
        """Wait until an execution enters a state; fails the test when it ends before."""
        deadline = time.monotonic() + RETRAINING_TIMEOUT_S
        while time.monotonic() < deadline:
            newest = client("stepfunctions").get_execution_history(
                executionArn=execution, reverseOrder=True, maxResults=25
            )["events"]
            if any((event.get("stateEnteredEventDetails") or {}).get("name") == state for event in newest):
                return
            if newest and newest[0]["type"].startswith("Execution") and newest[0]["type"] != "ExecutionStarted":
                break
            time.sleep(0.1)
        raise AssertionError(f"{execution} did not enter {state}: {self.entered_states(execution)}")

    def entered_states(self, execution: str) -> list[str]:
        """Return the states that an execution has entered, in order."""
        pages = client("stepfunctions").get_paginator("get_execution_history").paginate(executionArn=execution)
        details = (event.get("stateEnteredEventDetails") for page in pages for event in page["events"])
        return [detail["name"] for detail in details if detail]

    @contextlib.contextmanager
    def pause_before(self, state: str) -> Iterator[None]:
        """Let executions that start in the block wait in PAUSE_STATE before `state`, where they can be stopped."""
        states = client("stepfunctions")
        machine = self.deployed.retrain_model_arn
        definition = states.describe_state_machine(stateMachineArn=machine)["definition"]
        changed = json.loads(definition, object_hook=lambda part: _with_pause(part, state))
        changed["States"][PAUSE_STATE] = {"Type": "Wait", "Seconds": 60, "Next": state}
        states.update_state_machine(stateMachineArn=machine, definition=json.dumps(changed))
        try:
            yield
        finally:
            states.update_state_machine(stateMachineArn=machine, definition=definition)

    def stop(self, execution: str) -> None:
        """Stop an execution."""
        client("stepfunctions").stop_execution(executionArn=execution)
        assert self.wait_for_execution(execution)["status"] == "ABORTED"

    # Images, models and data

    @property
    def recorded_input(self) -> dict[str, Any] | None:
        """The input of scheduled retrainings; None when none is recorded."""
        s3 = client("s3")
        try:
            found = s3.get_object(Bucket=self.deployed.ml_bucket, Key="training/current.json")
        except s3.exceptions.NoSuchKey:
            return None
        recorded: dict[str, Any] = json.loads(found["Body"].read())
        return recorded

    def put(self, key: str, content: bytes) -> str:
        """Put an object into the ML bucket; returns its S3 URI."""
        client("s3").put_object(Bucket=self.deployed.ml_bucket, Key=key, Body=content)
        return f"s3://{self.deployed.ml_bucket}/{key}"

    def publish_image(self, replaced: Mapping[str, str]) -> str:
        """Publish an image that copies the champion instead of training, with some files replaced; returns its URI.

        The names in `replaced` are paths in the build context.
        """
        context = image.build_context()
        context |= {f"training/ready/{path}": content for path, content in self._champion_files().items()}
        context["training/train.py"] = COPY_READY_MODEL.encode()
        context |= {path: text.encode() for path, text in replaced.items()}
        outputs = {
            "ImageRepository": self.deployed.image.partition("@")[0],
            "ImageBuild": f"{self.deployed.app_name}-image",
            "ArtifactsBucket": self.deployed.artifacts_bucket,
        }
        return image.push_image(outputs, context, progress=lambda line: None)

    def files_without_comparison(self) -> dict[str, str]:
        """Return files for `publish_image`: the evaluation job copies the champion's report instead of comparing."""
        key = f"retraining/{self.champion.model_version}/evaluation.json"
        report = client("s3").get_object(Bucket=self.deployed.ml_bucket, Key=key)["Body"].read()
        return {"training/compare.py": COPY_READY_REPORT, "training/evaluation.json": report.decode()}

    def build_model_archive(self, replaced: Mapping[str, str] | None = None, **metadata: Any) -> bytes:
        """Return the champion's model.tar.gz with some files replaced and `metadata` merged into its model.json."""
        files = self._champion_files()
        described = {**json.loads(files["model.json"]), **metadata}
        files["model.json"] = json.dumps(described).encode()
        files |= {path: text.encode() for path, text in (replaced or {}).items()}
        lines = (f"{hashlib.sha256(content).hexdigest()}  {path}\n" for path, content in files.items())
        return pack(files | {DIGESTS_NAME: "".join(lines).encode()})

    def publish_dataset(self, name: str, data: Dataset) -> str:
        """Publish base data; returns its S3 prefix."""
        with tempfile.TemporaryDirectory() as folder:
            data.save(Path(folder) / "images.npz")
            content = (Path(folder) / "images.npz").read_bytes()
        return self.put(f"datasets/base/{name}/images.npz", content).removesuffix("images.npz")

    def add_label(self, key: str, picture: Any, vehicle: str) -> Photo:
        """Label a photo as the review console does; it is not uploaded, so no execution decides about it."""
        content = png(picture)
        photo = photo_of(content, key, self.deployed.uploads_bucket)
        photos = PhotoTable(self.deployed.photo_table, client("dynamodb"))
        clients = {name: client(name) for name in ("s3", "sts")}
        plant_label(clients, self.deployed.ml_bucket, photos, photo, vehicle, picture=content)
        return photo

    def _champion_files(self) -> dict[str, bytes]:
        bucket, _, key = self.champion.artifact.removeprefix("s3://").partition("/")
        content = client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            files = {member.name.removeprefix("./"): tar.extractfile(member) for member in tar if member.isfile()}
            wanted = ("backbone.onnx", "head.npz", "model.json")
            return {name: file.read() for name, file in files.items() if file and name in wanted}


def _with_pause(part: dict[str, Any], state: str) -> dict[str, Any]:
    """Return a part of a definition with PAUSE_STATE in place of each transition to `state`."""
    return {key: PAUSE_STATE if key in ("Next", "Default") and value == state else value for key, value in part.items()}


def read_training_log(job: str) -> list[str]:
    """Return the log lines of a training job."""
    group: dict[str, Any] = {"logGroupName": "/aws/sagemaker/TrainingJobs"}
    (stream,) = client("logs").describe_log_streams(**group, logStreamNamePrefix=f"{job}/")["logStreams"]
    found = client("logs").get_log_events(**group, logStreamName=stream["logStreamName"], startFromHead=True)
    return [event["message"] for event in found["events"]]
