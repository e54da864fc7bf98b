"""Photos uploaded from the console, and the progress of their executions."""

import json
import re
import secrets
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta

from botocore.exceptions import ClientError

from console.aws import Aws
from console.execution_history import ExecutionHistory, Step
from console.photo_records import PhotoRecords
from deploy.outputs import Deployed
from functions.shared.photo import Photo
from functions.shared.photo_record import PhotoRecord
from functions.shared.times import now
from functions.shared.uploads import LARGEST_PHOTO_BYTES
from training.photo_format import PhotoFormat, photo_format

_MAX_EXECUTIONS = 100
_CLOCK_SKEW = timedelta(seconds=10)
_MAX_NAME_LENGTH = 120
TOO_LARGE = f"The file is larger than {LARGEST_PHOTO_BYTES // 1024**2} MB."
_CONTENT_TYPES = {
    PhotoFormat.JPEG: "image/jpeg",
    PhotoFormat.PNG: "image/png",
    PhotoFormat.WEBP: "image/webp",
    PhotoFormat.HEIF: "image/heic",
    PhotoFormat.AVIF: "image/avif",
}


class InvalidUpload(ValueError):
    """The upload is refused; the message gives the reason."""


@dataclass(frozen=True)
class Progress:
    """The progress of a photo. `record` is None until an execution has made its first transition."""

    steps: list[Step]
    record: PhotoRecord | None

    @property
    def status(self) -> str:
        """The status of the record; without one `running`, or `starting` before the execution."""
        if self.record is None:
            return "running" if self.steps else "starting"
        return self.record.status


class Uploads:
    """The photos that this process has uploaded."""

    def __init__(self, deployed: Deployed, aws: Aws, records: PhotoRecords, history: ExecutionHistory) -> None:
        """Upload to the uploads bucket of the stage."""
        self._deployed = deployed
        self._aws = aws
        self._records = records
        self._history = history
        self._lock = threading.Lock()
        self._uploaded: dict[str, tuple[Photo, datetime]] = {}
        self._executions: dict[str, str] = {}  # by the key of their photo
        self._described: set[str] = set()

    def put(self, driver: str, name: str, content: bytes) -> Photo:
        """Upload a photo under the prefix of a driver and return it. Raises InvalidUpload."""
        if not content:
            raise InvalidUpload("The file is empty.")
        if len(content) > LARGEST_PHOTO_BYTES:
            raise InvalidUpload(TOO_LARGE)
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,40}", driver) or driver.strip(".") == "":
            raise InvalidUpload("A driver ID has up to 40 letters, digits, dots, dashes and underscores.")
        key = f"uploads/{driver}/{secrets.token_hex(4)}-{safe_file_name(name)}"
        kind = photo_format(content)
        try:
            put = self._aws.s3.put_object(
                Bucket=self._deployed.uploads_bucket,
                Key=key,
                Body=content,
                ContentType=_CONTENT_TYPES[kind] if kind else "application/octet-stream",
            )
        except ClientError as error:
            if explanation := self._deployed.explain_denied_upload(error):
                raise InvalidUpload(explanation) from error
            raise
        photo = Photo(self._deployed.uploads_bucket, key, put["ETag"].strip('"'), len(content))
        with self._lock:
            self._uploaded[photo.photo_id] = (photo, now())
        return photo

    def find(self, photo_id: str) -> Photo | None:
        """Return a photo that this process uploaded, or None."""
        with self._lock:
            return self._uploaded[photo_id][0] if photo_id in self._uploaded else None

    def progress(self, photo_id: str) -> Progress | None:
        """Return the progress of an uploaded photo; None when this process did not upload it."""
        with self._lock:
            if photo_id not in self._uploaded:
                return None
            photo, since = self._uploaded[photo_id]
        record = self._records.get(photo_id)
        execution = record.execution if record else self._execution(photo.key, since)
        return Progress(self._history.read_steps(execution) if execution else [], record)

    def _execution(self, key: str, since: datetime) -> str | None:
        """Return the execution of a photo without a record, found by the inputs of recent executions.

        Each execution is described once.
        """
        with self._lock:
            if key in self._executions:
                return self._executions[key]
        states = self._aws.stepfunctions
        recent = states.list_executions(stateMachineArn=self._deployed.classify_photo_arn, maxResults=_MAX_EXECUTIONS)[
            "executions"
        ]
        for execution in recent:
            arn = execution["executionArn"]
            with self._lock:
                if arn in self._described or execution["startDate"] < since - _CLOCK_SKEW:
                    continue
                self._described.add(arn)
            try:
                found = json.loads(states.describe_execution(executionArn=arn)["input"])["photo"]["key"]
            except (ValueError, KeyError, TypeError):  # started by hand, with another input
                continue
            with self._lock:
                self._executions[str(found)] = arn
        with self._lock:
            return self._executions.get(key)


def safe_file_name(name: str) -> str:
    """Return the last segment of a file name without control characters, at most 120 characters long.

    >>> safe_file_name("C:\\\\photos\\\\my bike.jpg")
    'my bike.jpg'
    """
    last = re.split(r"[/\\]", name)[-1]
    printable = "".join(character if character.isprintable() else "_" for character in last).strip(" .")
    return printable[-_MAX_NAME_LENGTH:] or "photo"
