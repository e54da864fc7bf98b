"""Photos uploaded from the console, and how far each has come."""

import json
import re
import secrets
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from console.aws import Aws
from console.decisions import Decisions, Step
from deploy.outputs import Deployed
from functions.shared.photo import Photo
from functions.shared.times import now

MOST_BYTES = 20 * 1024 * 1024
_LOOKED_AT = 100
_MARGIN = timedelta(seconds=10)
_NAME_LENGTH = 120
_TYPES = {b"\xff\xd8\xff": "image/jpeg", b"\x89PN": "image/png", b"RIF": "image/webp"}


class BadUpload(ValueError):
    """The upload cannot be taken; the message says why."""


@dataclass(frozen=True)
class Progress:
    """How far a photo has come. `entry` is its decision, or its entry while it has none, None before either."""

    steps: list[Step]
    entry: dict[str, Any] | None

    @property
    def status(self) -> str:
        """`starting`, `running`, `in_review`, `rejected` or `routed`."""
        if self.entry is None:
            return "running" if self.steps else "starting"
        return str(self.entry.get("status", "routed"))


class Uploads:
    """What this console has uploaded since it was started."""

    def __init__(self, resources: Deployed, aws: Aws, decisions: Decisions) -> None:
        self._resources = resources
        self._aws = aws
        self._decisions = decisions
        self._lock = threading.Lock()
        self._uploaded: dict[str, tuple[Photo, datetime]] = {}
        self._executions: dict[str, str] = {}  # by the key of their photo
        self._looked_at: set[str] = set()

    def put(self, driver: str, name: str, content: bytes) -> Photo:
        """Upload a photo as its driver would. Raises BadUpload."""
        if not content:
            raise BadUpload("The file is empty.")
        if len(content) > MOST_BYTES:
            raise BadUpload("The file has more than 20 MB.")
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,40}", driver) or driver.strip(".") == "":
            raise BadUpload("A driver's id has up to 40 letters, digits, dots, dashes and underscores.")
        key = f"uploads/{driver}/{secrets.token_hex(4)}-{clean(name)}"
        put = self._aws.s3.put_object(
            Bucket=self._resources.uploads_bucket,
            Key=key,
            Body=content,
            ContentType=_TYPES.get(content[:3], "application/octet-stream"),
        )
        photo = Photo(self._resources.uploads_bucket, key, put["ETag"].strip('"'), len(content))
        with self._lock:
            self._uploaded[photo.photo_id] = (photo, now())
        return photo

    def find(self, photo_id: str) -> Photo | None:
        """A photo that was uploaded here."""
        with self._lock:
            return self._uploaded[photo_id][0] if photo_id in self._uploaded else None

    def progress(self, photo_id: str) -> Progress | None:
        """How far an uploaded photo has come; None when it was not uploaded here."""
        with self._lock:
            if photo_id not in self._uploaded:
                return None
            photo, since = self._uploaded[photo_id]
        entry = self._decisions.find(photo_id)
        execution = str(entry["execution"]) if entry else self._execution(photo.key, since)
        return Progress(self._decisions.steps(execution) if execution else [], entry)

    def _execution(self, key: str, since: datetime) -> str | None:
        """The execution about a photo. Only its input names the photo, so recent ones are looked at, once each."""
        with self._lock:
            if key in self._executions:
                return self._executions[key]
        states = self._aws.stepfunctions
        recent = states.list_executions(stateMachineArn=self._resources.classify_photo_arn, maxResults=_LOOKED_AT)[
            "executions"
        ]
        for execution in recent:
            arn = execution["executionArn"]
            with self._lock:
                if arn in self._looked_at or execution["startDate"] < since - _MARGIN:
                    continue
                self._looked_at.add(arn)
            try:
                found = json.loads(states.describe_execution(executionArn=arn)["input"])["photo"]["key"]
            except (ValueError, KeyError, TypeError):
                continue
            with self._lock:
                self._executions[str(found)] = arn
        with self._lock:
            return self._executions.get(key)


def clean(name: str) -> str:
    """A file's own name as the last segment of a key: no folders, no control characters, not endless.

    >>> clean("C:\\\\photos\\\\my bike.jpg")
    'my bike.jpg'
    """
    last = re.split(r"[/\\]", name)[-1]
    printable = "".join(letter if letter.isprintable() else "_" for letter in last).strip(" .")
    return printable[-_NAME_LENGTH:] or "photo"
