"""A stage of its own in which models are retrained, broken and put back, and what the tests can see of it."""

import contextlib
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
import numpy as np
from botocore.exceptions import ClientError
from jsonschema import Draft202012Validator
from PIL import Image

import events
from deploy import training_source
from deploy.outputs import Deployed
from functions.shared.champion import Champion, ModelTable
from functions.shared.photo import Photo
from operate.event_listener import Tap
from operate.synthetic_photos import synthetic_photos
from tests.system.world import FINISHED, eventually
from training.dataset import Dataset

RETRAINING_LIMIT_S = 180.0
HOLD = "Hold"

# Training that takes no time: the model that the tarball brings along, under the name of this job.
READY = """
import json, os, shutil
from pathlib import Path

out = Path(os.environ["SM_MODEL_DIR"])
shutil.copytree(Path(__file__).resolve().parent.parent / "ready", out, dirs_exist_ok=True)
about = json.loads((out / "model.json").read_text())
about["version"] = os.environ["TRAINING_JOB_NAME"]
(out / "model.json").write_text(json.dumps(about))
print("features 1/1", flush=True)
"""
FAILS = 'raise SystemExit("the disk is full")\n'
NEVER_LOADS = 'raise RuntimeError("this model was saved by a later version")\n'
ALWAYS_OTHER = """
from training.inference import input_fn, model_fn, output_fn
from training import inference

def predict_fn(photo, model, context=None):
    return {**inference.predict_fn(photo, model), "vehicle": "other"}
"""


@cache
def client(service: str) -> Any:
    """One client per service: making one takes longer than most calls, and the tests look very often."""
    return boto3.client(service)


@dataclass(frozen=True)
class Workshop:
    """The deployed stage, its base data and training code in the ML bucket, and photos that no model learned."""

    deployed: Deployed
    standing: Mapping[str, Any]
    photos: Dataset

    # What is there

    @property
    def table(self) -> ModelTable:
        return ModelTable(self.deployed.model_table, client("dynamodb"))

    @property
    def champion(self) -> Champion:
        champion = self.table.champion()
        assert champion is not None, "there is no champion"
        return champion

    def endpoint(self) -> tuple[str, str]:
        """Status and configuration; ("None", "") when there is no endpoint."""
        sagemaker: Any = client("sagemaker")
        try:
            found = sagemaker.describe_endpoint(EndpointName=self.deployed.endpoint_name)
        except ClientError:
            return "None", ""
        return found["EndpointStatus"], found["EndpointConfigName"]

    def settled(self) -> tuple[str, str]:
        """The endpoint when it changes no more."""
        resting = ("InService", "Failed", "None")
        return eventually(lambda: (seen := self.endpoint())[0] in resting and seen, "the endpoint to settle")  # type: ignore[no-any-return]

    def answering(self) -> str:
        """The version of the model that answers at the endpoint now."""
        runtime: Any = client("sagemaker-runtime")
        answer = runtime.invoke_endpoint(
            EndpointName=self.deployed.endpoint_name,
            ContentType="application/x-image",
            Body=png(self.photos.with_labels(["bicycle"]).images[0]),
        )
        version: str = json.loads(answer["Body"].read())["model_version"]
        return version

    def champion_answers(self) -> bool:
        """Whether what is written down is what serves."""
        return self.settled() == ("InService", self.champion.endpoint_config) and (
            self.answering() == self.champion.model_version
        )

    # Retrainings

    def start(self, **wishes: Any) -> str:
        """Start retrain-model on the standing data and code unless `wishes` name others."""
        states: Any = client("stepfunctions")
        arn: str = states.start_execution(
            stateMachineArn=self.deployed.retrain_model_arn, input=json.dumps({**self.standing, **wishes})
        )["executionArn"]
        return arn

    def end_of(self, execution: str) -> dict[str, Any]:
        """The description of an execution that has ended."""
        states: Any = client("stepfunctions")
        ended: dict[str, Any] = eventually(
            lambda: (found := states.describe_execution(executionArn=execution))["status"] in FINISHED and found,
            f"{execution} to end",
            RETRAINING_LIMIT_S,
        )
        return ended

    def retrain(self, **wishes: Any) -> dict[str, Any]:
        """Retrain and return the output of an execution that succeeded."""
        ended = self.end_of(self.start(**wishes))
        assert ended["status"] == "SUCCEEDED", (ended.get("error"), ended.get("cause"))
        output: dict[str, Any] = json.loads(ended["output"])
        return output

    def fail(self, **wishes: Any) -> tuple[str, str]:
        """Retrain and return error and cause of an execution that failed, with its rejection as announced."""
        with Tap(self.deployed.event_bus) as tap:
            ended = self.end_of(self.start(**wishes))
            assert ended["status"] == "FAILED", ended.get("output")
            detail_type, detail = next(tap.events(20))
        assert detail_type == "Model Rejected"
        Draft202012Validator(events.schema(detail_type)).validate(detail)
        assert detail["reason"] == ended["error"]
        return ended["error"], ended["cause"]

    def reach(self, execution: str, state: str) -> None:
        """Wait until an execution enters a state; fails when it ends before."""
        states: Any = client("stepfunctions")
        deadline = time.monotonic() + RETRAINING_LIMIT_S
        while time.monotonic() < deadline:
            newest = states.get_execution_history(executionArn=execution, reverseOrder=True, maxResults=25)["events"]
            if any((event.get("stateEnteredEventDetails") or {}).get("name") == state for event in newest):
                return
            if newest and newest[0]["type"].startswith("Execution") and newest[0]["type"] != "ExecutionStarted":
                break
            time.sleep(0.1)
        raise AssertionError(f"{execution} did not reach {state}: {self.visited(execution)}")

    def visited(self, execution: str) -> list[str]:
        """The states an execution has entered, in order."""
        states: Any = client("stepfunctions")
        pages = states.get_paginator("get_execution_history").paginate(executionArn=execution)
        details = (event.get("stateEnteredEventDetails") for page in pages for event in page["events"])
        return [detail["name"] for detail in details if detail]

    @contextlib.contextmanager
    def held_before(self, state: str) -> Iterator[None]:
        """Executions started in the block wait before they do what `state` does, so that they can be stopped there."""
        states: Any = client("stepfunctions")
        machine = self.deployed.retrain_model_arn
        definition = states.describe_state_machine(stateMachineArn=machine)["definition"]
        held = json.loads(definition, object_hook=lambda one: _redirected(one, state))
        held["States"][HOLD] = {"Type": "Wait", "Seconds": 60, "Next": state}
        states.update_state_machine(stateMachineArn=machine, definition=json.dumps(held))
        try:
            yield
        finally:
            states.update_state_machine(stateMachineArn=machine, definition=definition)

    def stop(self, execution: str) -> None:
        states: Any = client("stepfunctions")
        states.stop_execution(executionArn=execution)
        assert self.end_of(execution)["status"] == "ABORTED"

    # Code and data

    @property
    def recorded_input(self) -> dict[str, Any] | None:
        """What retrainings train on that nobody starts by hand; None when nothing is recorded."""
        s3: Any = client("s3")
        try:
            found = s3.get_object(Bucket=self.deployed.ml_bucket, Key="training/current.json")
        except s3.exceptions.NoSuchKey:
            return None
        recorded: dict[str, Any] = json.loads(found["Body"].read())
        return recorded

    def put(self, key: str, content: bytes) -> str:
        """Put an object into the ML bucket; returns its address."""
        s3: Any = client("s3")
        s3.put_object(Bucket=self.deployed.ml_bucket, Key=key, Body=content)
        return f"s3://{self.deployed.ml_bucket}/{key}"

    def code(self, name: str, replaced: Mapping[str, str], ready: bool = True) -> str:
        """Publish the training code with some files replaced and, if `ready`, with the champion in place of training.

        The names in `replaced` are paths in the tarball; below `ready/` they are files of the model.
        """
        files = {
            f"training/{file.name}": file.read_bytes()
            for file in training_source.PACKAGE.iterdir()
            if file.suffix in training_source.SUFFIXES
        } | {"vehicles.toml": training_source.VEHICLES_FILE.read_bytes()}
        if ready:
            files |= {f"ready/{name}": content for name, content in self._champions_files().items()}
            files["training/train.py"] = READY.encode()
        files |= {name: text.encode() for name, text in replaced.items()}
        return self.put(f"source/{name}/sourcedir.tar.gz", training_source.pack(files))

    def archive(self, replaced: Mapping[str, str] | None = None, **about: Any) -> bytes:
        """A model.tar.gz: the champion's with some files replaced, and with `about` over what model.json says."""
        files = self._champions_files()
        described = {**json.loads(files["model.json"]), **about}
        files["model.json"] = json.dumps(described).encode()
        return training_source.pack(files | {name: text.encode() for name, text in (replaced or {}).items()})

    def base(self, name: str, data: Dataset) -> str:
        """Publish base data; returns its prefix."""
        with tempfile.TemporaryDirectory() as folder:
            data.save(Path(folder) / "images.npz")
            content = (Path(folder) / "images.npz").read_bytes()
        return self.put(f"datasets/base/{name}/images.npz", content).removesuffix("images.npz")

    def label(self, key: str, image: Any, vehicle: str) -> Photo:
        """Upload a photo and answer about it as the review console does."""
        s3: Any = client("s3")
        content = png(image)
        etag = s3.put_object(Bucket=self.deployed.uploads_bucket, Key=key, Body=content)["ETag"].strip('"')
        photo = Photo(self.deployed.uploads_bucket, key, etag, len(content))
        answer = {
            "photo": photo.as_state(),
            "photo_id": photo.photo_id,
            "vehicle": vehicle,
            "reviewer": "test",
            "answered_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "opinions": [],
        }
        self.put(
            f"labels/{time.strftime('%Y/%m/%d', time.gmtime())}/{photo.photo_id}.json", json.dumps(answer).encode()
        )
        return photo

    def _champions_files(self) -> dict[str, bytes]:
        bucket, _, key = self.champion.artifact.removeprefix("s3://").partition("/")
        content = client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            files = {member.name.removeprefix("./"): tar.extractfile(member) for member in tar if member.isfile()}
            wanted = ("backbone.onnx", "head.npz", "model.json", "code/")
            return {name: file.read() for name, file in files.items() if file and name.startswith(wanted)}


def _redirected(part: dict[str, Any], state: str) -> dict[str, Any]:
    return {key: HOLD if key in ("Next", "Default") and value == state else value for key, value in part.items()}


def png(image: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def training_log(job: str) -> list[str]:
    """What a training job printed, line by line."""
    where: dict[str, Any] = {"logGroupName": "/aws/sagemaker/TrainingJobs"}
    (stream,) = client("logs").describe_log_streams(**where, logStreamNamePrefix=f"{job}/")["logStreams"]
    events_of = client("logs").get_log_events(**where, logStreamName=stream["logStreamName"], startFromHead=True)
    return [event["message"] for event in events_of["events"]]


def drawings(bicycles: int, motorcycles: int, others: int, seed: int) -> Dataset:
    """Drawn photos, so many of each."""
    drawn = synthetic_photos(max(bicycles, motorcycles, others), seed)
    chosen = [
        np.flatnonzero(drawn.labels == name)[:count]
        for name, count in {
            "bicycle": bicycles, "motorcycle": motorcycles, "house": others, "maple_tree": others,
        }.items()
    ]  # fmt: skip
    return drawn[np.concatenate(chosen)]


@contextlib.contextmanager
def asking(workshop: Workshop, pause_s: float = 0.4) -> Iterator[list[str]]:
    """Ask the endpoint all the time while the block runs: the versions that answered, or the errors instead."""
    answers: list[str] = []
    over = threading.Event()

    def ask() -> None:
        while not over.wait(pause_s):
            try:
                answers.append(workshop.answering())
            except ClientError as error:
                answers.append(str(error))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield answers
    finally:
        over.set()
        thread.join()


def staged(folder: Path, data: Dataset) -> Path:
    """Base data as it lies on disk before it is published."""
    data.save(folder / "train" / "images.npz")
    return folder / "train"
