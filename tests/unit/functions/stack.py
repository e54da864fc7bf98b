"""Helpers of the functions' tests: the AWS resources, a model server, a function to call, and its output."""

import json
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import jsonschema
import pytest
from botocore.exceptions import ClientError

import events
from functions.shared.aws import client
from functions.shared.photo import Photo
from functions.shared.photo_record import PhotoRecord
from functions.shared.photo_table import PhotoTable

REGION = "eu-west-1"
UPLOADS = "scones-test-uploads"
PHOTOS = "scones-test-photos"
UPLOAD_COUNTS = "scones-test-uploads-per-minute"
UPLOADS_PER_MINUTE = 3
# When the photos of a test were uploaded, unless it says otherwise.
UPLOADED_AT = "2026-11-23T02:35:35Z"
BUS = "scones-test"
ENDPOINT = "scones-test"
THRESHOLD = "/scones/test/threshold"
AUDIT_SHARE = "/scones/test/audit-share"
EXECUTION = "arn:aws:states:eu-west-1:123456789012:execution:scones-test-classify-photo:first"
ANOTHER_EXECUTION = EXECUTION.replace("first", "second")
# In the format of Step Functions; it belongs to no execution.
TASK_TOKEN = "AQCEAAAAKgAAAAMAAAAAAAAA-a-task-token-of-the-tests"  # noqa: S105  # made up
JPEG = b"\xff\xd8\xff\xe0" + b"the rest of a photo, which only the endpoint reads" * 20


@dataclass
class ModelServer:
    """A model server that returns the last answer that was set, for every photo."""

    url: str = ""
    status: int = 200
    body: bytes = b""
    code: str = ""
    delay: threading.Event | None = None
    received: list[bytes] = field(default_factory=list)

    def set_probabilities(self, threshold: float = 0.9, **probabilities: float) -> None:
        vehicle = max(probabilities, key=lambda name: probabilities[name])
        self.set_answer(
            {
                "model_version": "model-1",
                "vehicle": vehicle,
                "confidence": probabilities[vehicle],
                "probabilities": probabilities,
                "threshold": threshold,
            }
        )

    def set_answer(self, answer: Any) -> None:
        self.status, self.code = 200, ""
        self.body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()

    def set_error(self, status: int, code: str) -> None:
        self.status, self.code = status, code
        self.body = json.dumps({"Code": code, "Message": f"{code} on purpose"}).encode()


@dataclass
class Stack:
    """The AWS resources of the functions."""

    queue_url: str
    _events_url: str
    _seen: list[dict[str, Any]] = field(default_factory=list)

    def upload(self, body: bytes = JPEG, key: str = "uploads/driver-17/bike.jpg") -> Photo:
        answer = client("s3").put_object(Bucket=UPLOADS, Key=key, Body=body)
        return Photo(UPLOADS, key, answer["ETag"].strip('"'), len(body))

    def delete(self, photo: Photo) -> None:
        client("s3").delete_object(Bucket=photo.bucket, Key=photo.key)

    def set_threshold(self, value: str) -> None:
        client("ssm").put_parameter(Name=THRESHOLD, Value=value, Type="String", Overwrite=True)

    def set_audit_share(self, value: str) -> None:
        client("ssm").put_parameter(Name=AUDIT_SHARE, Value=value, Type="String", Overwrite=True)

    def record(self, photo: Photo) -> PhotoRecord:
        """Return the record of a photo that has one."""
        record = self.find_record(photo)
        assert record is not None
        return record

    def find_record(self, photo: Photo) -> PhotoRecord | None:
        return PhotoTable(PHOTOS, client("dynamodb")).get(photo.photo_id)

    def label_wanted(self) -> list[PhotoRecord]:
        """Return the records of the photos that reviewers are to be asked about."""
        return list(PhotoTable(PHOTOS, client("dynamodb")).list_label_wanted("2026"))

    def messages(self) -> list[dict[str, Any]]:
        """Return the bodies of all messages in the review queue, without deleting them."""
        return self._bodies(self.queue_url)

    def published(self, detail_type: str | None = None) -> list[dict[str, Any]]:
        """Return the details of all events so far, each validated against its schema."""
        self._seen = self._bodies(self._events_url)
        for event in self._seen:
            assert event["source"] == "scones.vehicles"
            jsonschema.Draft202012Validator(events.schema(event["detail-type"])).validate(event["detail"])
        return [event["detail"] for event in self._seen if detail_type in (None, event["detail-type"])]

    def _bodies(self, url: str) -> list[dict[str, Any]]:
        bodies = []
        while (
            found := client("sqs")
            .receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=600, AttributeNames=["All"])
            .get("Messages")
        ):
            bodies += found
        for message in bodies:
            client("sqs").change_message_visibility(
                QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
            )
        return [json.loads(message["Body"]) for message in bodies]


@dataclass
class Function:
    """A function, called as the workflow calls it; `remaining_ms` is the time that it has left."""

    module: ModuleType
    remaining_ms: int = 900_000

    def __call__(self, execution: str = EXECUTION, **event: Any) -> dict[str, Any]:
        context = SimpleNamespace(
            function_name=self.module.__name__,
            function_version="$LATEST",
            memory_limit_in_mb=256,
            invoked_function_arn="arn:aws:lambda:eu-west-1:123456789012:function:scones-test",
            aws_request_id="52fdfc07-2182-454f-963f-5f0f9a621d72",
            get_remaining_time_in_millis=lambda: self.remaining_ms,
        )
        for log in self.module.logger.handlers:
            # pytest replaces stdout for each test; setStream would flush the closed stream of the previous test.
            log.stream = sys.stdout
        whole = {"started_at": UPLOADED_AT, **event, "execution": execution}
        answer: dict[str, Any] = self.module.handler(whole, context)
        json.dumps(answer)
        return answer


class CallFailer:
    """Makes an operation of a client fail, optionally after the call."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def __call__(self, client: Any, operation: str, *, after_the_call: bool = False) -> Callable[[], None]:
        real = getattr(client, operation)

        def fail(**arguments: Any) -> Any:
            if after_the_call:
                real(**arguments)
            raise ClientError({"Error": {"Code": "InternalError", "Message": "on purpose"}}, operation)

        self._monkeypatch.setattr(client, operation, fail)
        return lambda: self._monkeypatch.setattr(client, operation, real)


@dataclass
class FunctionOutput:
    """The output of a function: log lines and metrics."""

    text: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines() if line.strip()]

    @property
    def log(self) -> list[dict[str, Any]]:
        return [line for line in self.lines if "_aws" not in line]

    def metrics(self, name: str) -> list[dict[str, Any]]:
        """Return the EMF lines with a metric."""
        return [
            line
            for line in self.lines
            for definition in line.get("_aws", {}).get("CloudWatchMetrics", [])
            if any(metric["Name"] == name for metric in definition["Metrics"])
        ]
