"""Training jobs."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

from local.images.registry import Image, Images
from local.lambdas import emf
from local.sagemaker import contract
from local.sagemaker.aws import DataError, Storage, arn, pack, prepare_instance, start_thread
from local.sagemaker.containers import Container, environment
from local.sagemaker.errors import in_use, validation_error
from local.sagemaker.jobs import Job, JobFailed, JobStopped, logger
from local.sagemaker.records import Records, page
from local.settings import Settings

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
DEFAULT_RUNTIME_S = 86_400
MESSAGES = {
    "Starting": "Preparing the instances for training",
    "Downloading": "Downloading input data",
    "Training": "Training image download completed. Training in progress.",
    "Uploading": "Uploading generated training model",
    "Completed": "Training job completed",
    "Stopping": "Stopping the training job",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
    "Failed": "Training job failed",
}


class TrainingJob(Job):
    """A training job, from Starting to Completed, Failed or Stopped."""

    SAVED = (*Job.SAVED, "transitions", "metrics")

    def __init__(self, request: dict[str, Any], settings: Settings, storage: Storage, images: Images) -> None:
        super().__init__("training", request["TrainingJobName"], request, settings, storage, images)
        self.arn = arn("training-job", self.name)
        self.storage = storage.as_role(self.role)
        self.transitions: list[dict[str, Any]] = []
        self.artifacts = f"{request['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{self.name}/output/model.tar.gz"
        self.metrics: dict[str, dict[str, Any]] = {}
        self.enter("Starting")

    def enter(self, phase: str, message: str | None = None) -> None:
        """Enter a SecondaryStatus."""
        now = time.time()
        if self.transitions:
            self.transitions[-1].setdefault("EndTime", now)
        self.transitions.append(
            {"Status": phase, "StartTime": now, "StatusMessage": message or MESSAGES.get(phase, phase)}
        )

    def run(self) -> None:
        """Run the job to its end; never raises."""
        try:
            self._run()
        except JobStopped as stopped:
            self._upload_if_any()
            self._end("Stopped", stopped.phase)
        except (JobFailed, DataError) as error:
            prefix = "ClientError: " if isinstance(error, DataError) else ""
            self.fail(f"{prefix}{error}")
        except Exception as error:
            logger.exception("training job %s", self.name)
            self.fail(f"InternalServerError: {error!r}")
        finally:
            self.clean_up()

    def _run(self) -> None:
        prepare_instance(self.role, self.request["AlgorithmSpecification"]["TrainingImage"], LOG_GROUP)
        self.check_stop()
        self.enter("Downloading")
        image = self.find_image(self.request["AlgorithmSpecification"]["TrainingImage"])
        for folder in ("input/config", "input/data", "model", "output/data"):
            (self.opt_ml / folder).mkdir(parents=True, exist_ok=True)
        self._fetch_channels()
        self._write_config()
        self.check_stop()
        self.enter("Training")
        self.started = time.time()
        self._train(image)
        self.enter("Uploading")
        self._upload()
        self._end("Completed", "Completed")

    def _train(self, image: Image) -> None:
        algorithm = self.request["AlgorithmSpecification"]
        entrypoint = algorithm.get("ContainerEntrypoint", image.entrypoint)
        command = [*entrypoint, *algorithm.get("ContainerArguments", ["train"])]
        names = {"TRAINING_JOB_NAME": self.name, "TRAINING_JOB_ARN": self.arn}
        given = {**names, **self.request.get("Environment", {})}
        isolated = bool(self.request.get("EnableNetworkIsolation"))
        variables = environment(self.settings, self.home, image, given, isolated=isolated)
        container = Container(command, variables, image.cwd, self.log_stream(LOG_GROUP), self._collect_metrics)
        limit = self.request.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", DEFAULT_RUNTIME_S)
        exit_code = self.run_container(container, float(limit))
        if exit_code is None:
            raise JobStopped("MaxRuntimeExceeded")
        if exit_code != 0:
            written = self.opt_ml / "output" / "failure"
            reason = written.read_text(errors="replace").strip() if written.is_file() else ""
            shown = self.with_container_paths(reason)[: contract.MAX_REASON - 40]
            raise JobFailed(f"AlgorithmError: {shown}, exit code: {exit_code}")

    def _collect_metrics(self, line: str) -> None:
        for definition in self.request["AlgorithmSpecification"].get("MetricDefinitions", ()):
            for match in re.finditer(definition["Regex"], line):
                try:
                    value = float(match[1])
                except (IndexError, ValueError):
                    continue
                name = definition["Name"]
                self.metrics[name] = {"MetricName": name, "Value": value, "Timestamp": time.time()}
                emf.put_metrics(LOG_GROUP, {"TrainingJobName": self.name}, {name: (value, "None")})

    def _fetch_channels(self) -> None:
        for channel in self.request.get("InputDataConfig", ()):
            source = channel["DataSource"].get("S3DataSource")
            if source is None or source["S3DataType"] != "S3Prefix":
                raise JobFailed("ClientError: the embedded AWS reads S3DataSource with S3DataType S3Prefix only.")
            uri = source["S3Uri"]
            folder = self.opt_ml / "input" / "data" / channel["ChannelName"]
            if not self.storage.download_prefix(uri, folder):
                raise DataError(
                    f'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure that the '
                    f"bucket exists in the selected region ({self.settings.region}), that objects exist under that S3 "
                    f'prefix, and that the role "{self.request["RoleArn"]}" has "s3:ListBucket" permissions.'
                )

    def _write_config(self) -> None:
        folder = self.opt_ml / "input" / "config"
        instance = self.request["ResourceConfig"].get("InstanceType", "local")
        contents = {
            "hyperparameters.json": self.request.get("HyperParameters", {}),
            "resourceconfig.json": contract.resource_config(instance),
            "inputdataconfig.json": contract.input_data_config(self.request),
        }
        for name, content in contents.items():
            (folder / name).write_text(json.dumps(content))

    def _upload(self) -> None:
        base = self.artifacts.rsplit("/", 1)[0]
        self._upload_folder(self.opt_ml / "model", self.artifacts, even_if_empty=True)
        self._upload_folder(self.opt_ml / "output" / "data", f"{base}/output.tar.gz")

    def _upload_folder(self, folder: Path, uri: str, even_if_empty: bool = False) -> None:
        if even_if_empty or any(folder.iterdir()):
            archive = self.home / uri.rsplit("/", 1)[1]
            pack(folder, archive)
            self.storage.upload(archive, uri)

    def _upload_if_any(self) -> None:
        """Upload the content of the model folder of a stopped job."""
        model = self.opt_ml / "model"
        if model.is_dir() and any(model.iterdir()):
            self.enter("Uploading")
            self._upload()

    def fail(self, reason: str) -> None:
        self.failure_reason = reason
        self._end("Failed", "Failed", reason)

    def _end(self, status: str, phase: str, message: str | None = None) -> None:
        self.finished = time.time()
        self.enter(phase, message)
        self.transitions[-1]["EndTime"] = self.finished
        self.status = status
        self.ended.set()

    def request_stop(self) -> None:
        if self.status == "InProgress":
            self.status = "Stopping"
            self.enter("Stopping")
        super().request_stop()

    def describe(self) -> dict[str, Any]:
        """The response of DescribeTrainingJob."""
        given = {name: value for name, value in self.request.items() if name not in ("Tags",)}
        answer = {
            **given,
            "TrainingJobArn": self.arn,
            "TrainingJobStatus": self.status,
            "SecondaryStatus": self.transitions[-1]["Status"],
            "SecondaryStatusTransitions": [dict(transition) for transition in self.transitions],
            "CreationTime": self.created,
            "LastModifiedTime": self.transitions[-1]["StartTime"],
        }
        if self.started is not None:
            answer["TrainingStartTime"] = self.started
        if self.finished is not None:
            answer["TrainingEndTime"] = self.finished
            seconds = int(self.finished - (self.started or self.finished))
            answer |= {"TrainingTimeInSeconds": seconds, "BillableTimeInSeconds": seconds}
        if self.failure_reason is not None:
            answer["FailureReason"] = self.failure_reason
        if any(transition["Status"] == "Uploading" for transition in self.transitions):
            answer["ModelArtifacts"] = {"S3ModelArtifacts": self.artifacts}
        if self.metrics:
            answer["FinalMetricDataList"] = list(self.metrics.values())
        return answer


class TrainingJobs:
    """The operations on training jobs."""

    def __init__(self, settings: Settings, storage: Storage, images: Images) -> None:
        self._settings = settings
        self._storage = storage
        self._images = images
        self.jobs: Records[TrainingJob] = Records()

    def create_training_job(self, request: dict[str, Any]) -> dict[str, Any]:
        if "TrainingImage" not in request.get("AlgorithmSpecification", {}):
            raise validation_error("The embedded AWS needs AlgorithmSpecification.TrainingImage.")
        for definition in request["AlgorithmSpecification"].get("MetricDefinitions", ()):
            try:
                re.compile(definition["Regex"])
            except re.error as error:
                raise validation_error(f"Invalid metric regex {definition['Regex']!r}: {error}") from error
        job = self.new_job(request)
        taken = (
            "Training job names must be unique within an AWS account and region, "
            f"and a training job with this name already exists ({job.arn})"
        )
        self.jobs.add(job.name, job, lambda: in_use(taken))
        start_thread(f"training {job.name}", job.run)
        return {"TrainingJobArn": job.arn}

    def new_job(self, request: dict[str, Any]) -> TrainingJob:
        return TrainingJob(request, self._settings, self._storage, self._images)

    def describe_training_job(self, request: dict[str, Any]) -> dict[str, Any]:
        return self.find(request["TrainingJobName"]).describe()

    def stop_training_job(self, request: dict[str, Any]) -> dict[str, Any]:
        job = self.find(request["TrainingJobName"])
        if job.status not in ("InProgress", "Stopping"):
            raise validation_error(f"The request was rejected because the training job is in status {job.status}.")
        job.request_stop()
        return {}

    def list_training_jobs(self, request: dict[str, Any]) -> dict[str, Any]:
        shown: tuple[str, ...] = (
            "TrainingJobName",
            "TrainingJobArn",
            "CreationTime",
            "TrainingEndTime",
            "LastModifiedTime",
        )
        shown += ("TrainingJobStatus", "SecondaryStatus")
        described = [job.describe() for job in self.jobs]
        items = [{key: item[key] for key in shown if key in item} for item in described]
        chosen, more = page(request, items, "TrainingJobName", "TrainingJobStatus")
        return {"TrainingJobSummaries": chosen, **more}

    def find(self, name: str) -> TrainingJob:
        return self.jobs.require(name, validation_error("Requested resource not found."))
