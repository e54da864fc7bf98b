"""Upload the hostile files to a deployed stage, and check how each ends."""

import dataclasses
import json
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import boto3
from jsonschema import Draft202012Validator

import events
from deploy.outputs import Deployed
from functions.shared.photo import Photo
from functions.shared.photo_record import IN_REVIEW, REJECTED, ROUTED, PhotoRecord
from functions.shared.photo_table import PhotoTable
from operate.event_listener import EventListener
from tests.torture import corpus
from tests.torture.corpus import NO_OUTCOME, HostileFile

IN_FLIGHT = 8
TIMEOUT_S = 90.0
FOLDER_S = 3.0  # after the last outcome, for what should have none
NOT_PLAIN = re.compile(r"Traceback|File \"|\.py\b|site-packages|[A-Z]\w+(?:Error|Exception)\b|<class|object at 0x")
"""What no message to a person contains."""


@dataclass
class Uploaded:
    """An uploaded file, and what became of it. `counts` counts its events by detail-type."""

    file: HostileFile
    photo: Photo
    record: PhotoRecord | None = None
    counts: Counter[str] = field(default_factory=Counter)
    executions: list[str] = field(default_factory=list)

    @property
    def status(self) -> str:
        """The status of its record, or NO_OUTCOME."""
        return self.record.status if self.record else NO_OUTCOME

    @property
    def rejected(self) -> dict[str, str]:
        """Reason and message of a rejection, else empty."""
        return dict((self.record.outcome or {}).get("rejected") or {}) if self.record else {}

    def faults(self) -> Iterable[str]:
        """Yield a line for everything that is wrong."""
        expected = self.file.expected
        if expected == NO_OUTCOME:
            if self.record or self.counts:
                yield f"a folder marker is {self.status}"
            return
        if self.status not in (ROUTED, IN_REVIEW, REJECTED):
            yield f"it is {self.status}"
        elif expected and (self.status == REJECTED) != (expected == corpus.REJECTED):
            yield f"it is {self.status} {self.rejected}, expected is a {expected}"
        if self.status == IN_REVIEW and self.executions != ["RUNNING"]:
            yield f"its executions are {self.executions}"
        if self.status in (ROUTED, REJECTED) and self.executions != ["SUCCEEDED"]:
            yield f"its executions are {self.executions}"
        if self.counts["Driver Routed"] + self.counts["Photo Rejected"] != (self.status in (ROUTED, REJECTED)):
            yield f"its events are {dict(self.counts)}"
        if self.status == REJECTED:
            yield from message_faults(self.rejected.get("message", ""))
            if not re.fullmatch(r"[A-Z][A-Za-z]+", self.rejected.get("reason", "")):
                yield f"its reason is {self.rejected.get('reason')!r}"


def message_faults(message: str) -> Iterable[str]:
    """Yield a line when a message is too short, or is not for a person."""
    if len(message) <= 20 or NOT_PLAIN.search(message):
        yield f"its message is {message!r}"
    if not message.isprintable():
        yield f"its message has unprintable characters: {message!r}"


class Uploads:
    """Uploads files to a stage and follows them."""

    def __init__(self, deployed: Deployed) -> None:
        """Use the clients of the default session."""
        self.deployed = deployed
        self.s3: Any = boto3.client("s3")
        self.table = PhotoTable(deployed.photo_table, boto3.client("dynamodb"))

    def put(self, file: HostileFile) -> Uploaded:
        """Upload one file."""
        content, bucket = file.make(), self.deployed.uploads_bucket
        etag = self.s3.put_object(Bucket=bucket, Key=file.object_key, Body=content, ContentType=file.media_type)["ETag"]
        return Uploaded(file, Photo(bucket, file.object_key, etag.strip('"'), len(content)))

    def follow(self, uploaded: Uploaded, timeout_s: float = TIMEOUT_S) -> Uploaded:
        """Wait until a photo has an outcome or a review, at most `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            uploaded.record = self.table.get(uploaded.photo.photo_id)
            settled = uploaded.record and (uploaded.record.announced or uploaded.record.status == IN_REVIEW)
            if settled or uploaded.file.expected == NO_OUTCOME:
                break
            time.sleep(0.03)
        return uploaded

    def run(self, files: Sequence[HostileFile], in_flight: int = IN_FLIGHT) -> list[Uploaded]:
        """Upload all files, `in_flight` at a time, and collect records, events and executions."""
        with EventListener(self.deployed.event_bus) as listener:
            with ThreadPoolExecutor(in_flight) as pool:
                done = list(pool.map(lambda file: self.follow(self.put(file)), files))
            by_id = {one.photo.photo_id: one for one in done}
            for detail_type, detail in listener.events(FOLDER_S):
                Draft202012Validator(events.schema(detail_type)).validate(detail)
                if one := by_id.get(detail["photo"]["photo_id"]):
                    one.counts[detail_type] += 1
        for one in done:
            one.record = self.table.get(one.photo.photo_id)
        self._read_executions(done)
        return done

    def _read_executions(self, done: Sequence[Uploaded]) -> None:
        states: Any = boto3.client("stepfunctions")
        by_key = {one.photo.key: one for one in done}
        pages = states.get_paginator("list_executions").paginate(stateMachineArn=self.deployed.classify_photo_arn)
        for execution in (item for page in pages for item in page["executions"]):
            described = states.describe_execution(executionArn=execution["executionArn"])
            if one := by_key.get(json.loads(described["input"])["photo"]["key"]):
                one.executions.append(described["status"])

    def unrouted(self) -> int:
        """The number of messages in the unrouted queue."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        sqs: Any = boto3.client("sqs")
        found = sqs.get_queue_attributes(QueueUrl=self.deployed.unrouted_queue_url, AttributeNames=names)
        return sum(int(value) for value in found["Attributes"].values())


def show(deployed: Deployed, uploaded: Sequence[Uploaded]) -> list[dict[str, Any]]:
    """Return what the console shows for each photo, in both sizes."""
    photos = "".join(json.dumps(dataclasses.asdict(one.photo)) + "\n" for one in uploaded)
    ended = subprocess.run(
        [sys.executable, "-m", "tests.torture.console", json.dumps(dataclasses.asdict(deployed))],
        input=photos,
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode or ended.stderr:
        raise RuntimeError(f"the console ended with {ended.returncode}: {ended.stderr[-2000:]}")
    return [json.loads(line) for line in ended.stdout.splitlines()]


def console_faults(shown: Iterable[dict[str, Any]]) -> Iterable[str]:
    """Yield a line for each photo that the console shows neither as an image nor as a sentence."""
    for one in shown:
        if "sentence" in one:
            yield from (f"{one['key']!r} in the console: {fault}" for fault in message_faults(one["sentence"]))
        elif not one["bytes"]:
            yield f"{one['key']!r} in the console: an empty image"


def all_faults(uploads: Uploads, uploaded: Sequence[Uploaded]) -> list[str]:
    """Return a line for everything that is wrong with the uploaded files."""
    found = [f"{one.file.name}: {fault}" for one in uploaded for fault in one.faults()]
    if unrouted := uploads.unrouted():
        found.append(f"{unrouted} messages in the unrouted queue")
    return found


def outcomes(uploaded: Sequence[Uploaded]) -> dict[str, int]:
    """Return the number of files by outcome; a rejection by its reason."""
    named = Counter(f"rejected: {one.rejected['reason']}" if one.rejected else one.status for one in uploaded)
    return dict(sorted(named.items()))
