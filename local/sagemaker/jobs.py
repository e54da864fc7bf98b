"""The base class of training and processing jobs: folder, container, stopping."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from pathlib import Path
from typing import Any, ClassVar

from local.images.registry import Image, ImageMissing, Images
from local.sagemaker.aws import LogStream, Storage, sagemaker_role
from local.sagemaker.containers import Container, containers_folder
from local.service_roles import ServiceRole
from local.settings import Settings

logger = logging.getLogger("local.sagemaker")
# "SageMaker sends the algorithm a SIGTERM signal, which delays job termination for 120 seconds" (StopTrainingJob).
STOP_GRACE_S = 120.0


class JobFailed(Exception):
    """The job ends with status Failed and this FailureReason."""


class JobStopped(Exception):
    """The job was stopped; `phase` is its last SecondaryStatus."""

    def __init__(self, phase: str = "Stopped") -> None:
        super().__init__(phase)
        self.phase = phase


class Job:
    """A job: its request, folder and container. `SAVED` names the attributes that survive a restart of the server."""

    arn: str
    SAVED: ClassVar[tuple[str, ...]] = ("request", "created", "status", "failure_reason", "started", "finished")

    def __init__(
        self, kind: str, name: str, request: dict[str, Any], settings: Settings, storage: Storage, images: Images
    ) -> None:
        self.name = name
        self.request = request
        self.settings = settings
        self.storage = storage
        self._images = images
        self.created = time.time()
        self.status = "InProgress"
        self.failure_reason: str | None = None
        self.started: float | None = None
        self.finished: float | None = None
        self.home = containers_folder(settings.work) / kind / name
        self.stop_requested = threading.Event()
        self.ended = threading.Event()
        self._container: Container | None = None
        self._lock = threading.Lock()

    @property
    def role(self) -> ServiceRole:
        """The role with which the job reads, writes and logs."""
        return sagemaker_role(self.request["RoleArn"], self.arn)

    @property
    def opt_ml(self) -> Path:
        """The folder in place of /opt/ml."""
        return self.home / "opt" / "ml"

    def find_image(self, uri: str) -> Image:
        """Return the image of the job; raises JobFailed when there is none."""
        try:
            return self._images.find(uri)
        except ImageMissing as error:
            raise JobFailed(f"ClientError: {error}") from error

    def with_container_paths(self, text: str) -> str:
        """Return a text with /opt/ml in place of the folder."""
        for folder in (self.opt_ml, self.opt_ml.resolve()):
            text = text.replace(str(folder), "/opt/ml")
        return text

    def log_stream(self, group: str) -> LogStream:
        """Create a log stream for the job."""
        return LogStream(group, f"{self.name}/algo-1-{int(self.created)}", self.role)

    def check_stop(self) -> None:
        """Raise JobStopped when a stop was requested."""
        if self.stop_requested.is_set():
            raise JobStopped

    def request_stop(self) -> None:
        """Stop the job: SIGTERM now, SIGKILL after the grace period."""
        with self._lock:
            self.stop_requested.set()
            container = self._container
        if container is not None:
            container.terminate()

    def run_container(self, container: Container, limit_s: float) -> int | None:
        """Wait for the container; returns its exit code, None when stopped after `limit_s`. Raises JobStopped."""
        with self._lock:
            self._container = container
        if self.stop_requested.is_set():
            container.terminate()
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            code = container.wait(min(0.5, max(0.01, deadline - time.monotonic())))
            if self.stop_requested.is_set():
                if code is None:
                    container.stop(STOP_GRACE_S)
                raise JobStopped
            if code is not None:
                return code
        container.stop(STOP_GRACE_S)
        return None

    def fail(self, reason: str) -> None:
        """End the job with status Failed."""
        raise NotImplementedError

    def describe(self) -> dict[str, Any]:
        """The response of the Describe operation."""
        raise NotImplementedError

    def clean_up(self) -> None:
        """Remove the job's folder."""
        shutil.rmtree(self.home, ignore_errors=True)
