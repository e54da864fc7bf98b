"""Processing jobs.

The inputs are under processing/ of the folder that replaces /opt/ml; a program finds that folder in ML_ROOT.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from local.images.registry import Images
from local.sagemaker import contract
from local.sagemaker.aws import DataError, Storage, arn, prepare_instance, start_thread
from local.sagemaker.containers import Container, environment
from local.sagemaker.errors import in_use, validation_error
from local.sagemaker.jobs import Job, JobFailed, JobStopped, logger
from local.sagemaker.records import Records, page
from local.settings import Settings

LOG_GROUP = "/aws/sagemaker/ProcessingJobs"
DEFAULT_RUNTIME_S = 86_400


class ProcessingJob(Job):
    """A processing job, from InProgress to Completed, Failed or Stopped."""

    SAVED = (*Job.SAVED, "modified", "exit_message")

    def __init__(self, request: dict[str, Any], settings: Settings, storage: Storage, images: Images) -> None:
        super().__init__("processing", request["ProcessingJobName"], request, settings, storage, images)
        self.arn = arn("processing-job", self.name)
        self.storage = storage.as_role(self.role)
        self.modified = self.created
        self.exit_message: str | None = None

    def run(self) -> None:
        """Fetch the inputs, run the container, upload the outputs; never raises."""
        try:
            self._run()
            self._end("Completed")
        except JobStopped as stopped:
            if stopped.phase == "MaxRuntimeExceeded":
                self.failure_reason = "Processing job runtime exceeded MaxRuntimeInSeconds provided"
            self._end("Stopped")
        except (JobFailed, DataError) as error:
            prefix = "ClientError: " if isinstance(error, DataError) else ""
            self.fail(f"{prefix}{error}")
        except Exception as error:
            logger.exception("processing job %s", self.name)
            self.fail(f"InternalServerError: {error!r}")
        finally:
            self.clean_up()

    def _run(self) -> None:
        prepare_instance(self.role, self.request["AppSpecification"].get("ImageUri", ""), LOG_GROUP)
        self._fetch_inputs()
        outputs = self._outputs()
        for output in outputs:
            self._folder(output["LocalPath"]).mkdir(parents=True, exist_ok=True)
        self._write_config()
        self.check_stop()
        self.started = time.time()
        try:
            self._process()
        finally:
            self.exit_message = self._message()
            for output in outputs:
                if output.get("S3UploadMode") == "Continuous":
                    self._upload(output)
        for output in outputs:
            if output.get("S3UploadMode") != "Continuous":
                self._upload(output)

    def _process(self) -> None:
        application = self.request["AppSpecification"]
        image = self.find_image(application["ImageUri"])
        entrypoint = application.get("ContainerEntrypoint", image.entrypoint)
        command = [*entrypoint, *application.get("ContainerArguments", () if entrypoint else image.cmd)]
        names = {"PROCESSING_JOB_NAME": self.name, "PROCESSING_JOB_ARN": self.arn}
        given = {**self.request.get("Environment", {}), **names}
        isolated = bool(self.request.get("NetworkConfig", {}).get("EnableNetworkIsolation"))
        variables = environment(self.settings, self.home, image, given, isolated=isolated)
        container = Container(command, variables, image.cwd, self.log_stream(LOG_GROUP))
        limit = self.request.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", DEFAULT_RUNTIME_S)
        code = self.run_container(container, float(limit))
        if code is None:
            raise JobStopped("MaxRuntimeExceeded")
        if code != 0:
            # The reason that the container gives is the ExitMessage.
            raise JobFailed("AlgorithmError: See job logs for more information")

    def _fetch_inputs(self) -> None:
        for item in self.request.get("ProcessingInputs", ()):
            source = item.get("S3Input")
            if source is None:
                raise JobFailed("ClientError: the embedded AWS reads S3Input only.")
            folder = self._folder(source.get("LocalPath", f"/opt/ml/processing/input/{item['InputName']}"))
            from_manifest = source.get("S3DataType") == "ManifestFile"
            download = self.storage.download_manifest if from_manifest else self.storage.download_prefix
            if not download(source["S3Uri"], folder):
                raise DataError(f'No S3 objects found under S3 URL "{source["S3Uri"]}" given in input data source.')

    def _outputs(self) -> list[dict[str, Any]]:
        config = self.request.get("ProcessingOutputConfig", {})
        return [output["S3Output"] for output in config.get("Outputs", ()) if "S3Output" in output]

    def _upload(self, output: dict[str, Any]) -> None:
        self.storage.upload_folder(self._folder(output["LocalPath"]), output["S3Uri"])

    def _folder(self, path: str) -> Path:
        """Return the folder for a path in the container; raises JobFailed for a path outside of /opt/ml/processing."""
        if not path.startswith("/opt/ml/processing") or ".." in path:
            raise JobFailed(f"ClientError: LocalPath {path} is not under /opt/ml/processing.")
        return self.opt_ml / path.removeprefix("/opt/ml/")

    def _write_config(self) -> None:
        folder = self.opt_ml / "config"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "processingjobconfig.json").write_text(json.dumps({**self.request, "ProcessingJobArn": self.arn}))
        instance = self.request["ProcessingResources"]["ClusterConfig"]["InstanceType"]
        (folder / "resourceconfig.json").write_text(json.dumps(contract.resource_config(instance)))
        (self.opt_ml / "output").mkdir(parents=True, exist_ok=True)

    def _message(self) -> str | None:
        path = self.opt_ml / "output" / "message"
        if not path.is_file():
            return None
        return self.with_container_paths(path.read_text(errors="replace"))[: contract.MAX_REASON]

    def fail(self, reason: str) -> None:
        self.failure_reason = reason[: contract.MAX_REASON]
        self._end("Failed")

    def _end(self, status: str) -> None:
        self.finished = self.modified = time.time()
        self.status = status
        self.ended.set()

    def request_stop(self) -> None:
        if self.status == "InProgress":
            self.status = "Stopping"
            self.modified = time.time()
        super().request_stop()

    def describe(self) -> dict[str, Any]:
        """The response of DescribeProcessingJob."""
        answer = {
            **{name: value for name, value in self.request.items() if name != "Tags"},
            "ProcessingJobArn": self.arn,
            "ProcessingJobStatus": self.status,
            "CreationTime": self.created,
            "LastModifiedTime": self.modified,
        }
        optional = {
            "ProcessingStartTime": self.started,
            "ProcessingEndTime": self.finished,
            "FailureReason": self.failure_reason,
            "ExitMessage": self.exit_message,
        }
        return answer | {name: value for name, value in optional.items() if value is not None}


class ProcessingJobs:
    """The operations on processing jobs."""

    def __init__(self, settings: Settings, storage: Storage, images: Images) -> None:
        self._settings = settings
        self._storage = storage
        self._images = images
        self.jobs: Records[ProcessingJob] = Records()

    def create_processing_job(self, request: dict[str, Any]) -> dict[str, Any]:
        job = self.new_job(request)
        taken = (
            "Processing job names must be unique within an AWS account and region, "
            f"and a processing job with this name already exists ({job.arn})"
        )
        self.jobs.add(job.name, job, lambda: in_use(taken))
        start_thread(f"processing {job.name}", job.run)
        return {"ProcessingJobArn": job.arn}

    def new_job(self, request: dict[str, Any]) -> ProcessingJob:
        return ProcessingJob(request, self._settings, self._storage, self._images)

    def describe_processing_job(self, request: dict[str, Any]) -> dict[str, Any]:
        return self.find(request["ProcessingJobName"]).describe()

    def stop_processing_job(self, request: dict[str, Any]) -> dict[str, Any]:
        job = self.find(request["ProcessingJobName"])
        if job.status not in ("InProgress", "Stopping"):
            raise validation_error(f"The request was rejected because the processing job is in status {job.status}.")
        job.request_stop()
        return {}

    def list_processing_jobs(self, request: dict[str, Any]) -> dict[str, Any]:
        shown: tuple[str, ...] = (
            "ProcessingJobName",
            "ProcessingJobArn",
            "CreationTime",
            "ProcessingEndTime",
            "LastModifiedTime",
        )
        shown += ("ProcessingJobStatus", "FailureReason", "ExitMessage")
        described = [job.describe() for job in self.jobs]
        items = [{key: item[key] for key in shown if key in item} for item in described]
        chosen, more = page(request, items, "ProcessingJobName", "ProcessingJobStatus")
        return {"ProcessingJobSummaries": chosen, **more}

    def find(self, name: str) -> ProcessingJob:
        return self.jobs.require(name, validation_error(f"Could not find requested job with name: {name}"))
