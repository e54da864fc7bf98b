"""Listening to the bus: every event of the system, as it is published, for as long as somebody follows."""

import json
import time
import uuid
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import boto3

from operate.errors import CommandError

SOURCE = "scones.vehicles"
_MARKER = "scones.tap"
# EventBridge documents that a new rule may take a moment to match; beyond this, something is wrong.
READY_LIMIT_S = 90


class Tap:
    """A queue and a rule of its own on the bus, gone when the `with` block ends.

    Entering waits until an event that we publish ourselves has come through, so nothing that follows is missed.
    """

    def __init__(self, bus: str, source: str = SOURCE) -> None:
        self._bus = bus
        self._source = source
        self._name = f"{bus}-tap-{uuid.uuid4().hex[:12]}"
        self._events: Any = boto3.client("events")
        self._sqs: Any = boto3.client("sqs")
        self._url = ""

    def __enter__(self) -> "Tap":
        self._url = self._sqs.create_queue(
            QueueName=self._name, Attributes={"MessageRetentionPeriod": "3600", "SqsManagedSseEnabled": "true"}
        )["QueueUrl"]
        try:
            self._connect()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def events(self, limit_s: float) -> Iterator[tuple[str, dict[str, Any]]]:
        """Each event as (detail-type, detail), until none has come for `limit_s` seconds."""
        deadline = time.monotonic() + limit_s
        while (left := deadline - time.monotonic()) > 0:
            for event in self._receive(left):
                if event["source"] == self._source:
                    yield event["detail-type"], event["detail"]
                    deadline = time.monotonic() + limit_s

    def _connect(self) -> None:
        queue_arn = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])["Attributes"][
            "QueueArn"
        ]
        rule_arn = self._events.put_rule(
            Name=self._name,
            EventBusName=self._bus,
            EventPattern=json.dumps({"source": [self._source, _MARKER]}),
            Description="Somebody follows the system from a terminal; may be removed when that terminal is gone",
        )["RuleArn"]
        policy = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "events.amazonaws.com"},
                    "Action": "sqs:SendMessage",
                    "Resource": queue_arn,
                    "Condition": {"ArnEquals": {"aws:SourceArn": rule_arn}},
                }
            ],
        }
        self._sqs.set_queue_attributes(QueueUrl=self._url, Attributes={"Policy": json.dumps(policy)})
        refused = self._events.put_targets(
            Rule=self._name, EventBusName=self._bus, Targets=[{"Id": "tap", "Arn": queue_arn}]
        )["FailedEntryCount"]
        if refused:
            raise CommandError(f"EventBridge refused to send the events of bus {self._bus} to {queue_arn}.")
        deadline = time.monotonic() + READY_LIMIT_S
        while time.monotonic() < deadline:
            self._events.put_events(
                Entries=[{"EventBusName": self._bus, "Source": _MARKER, "DetailType": "Ready", "Detail": "{}"}]
            )
            if self._receive(2):
                return
        raise CommandError(
            f"No event of bus {self._bus} came through in {READY_LIMIT_S} s. Is the bus there? Run `make deploy`."
        )

    def _receive(self, wait_s: float) -> list[dict[str, Any]]:
        messages = self._sqs.receive_message(
            QueueUrl=self._url, MaxNumberOfMessages=10, WaitTimeSeconds=max(1, min(20, round(wait_s)))
        ).get("Messages", [])
        if messages:
            entries = [
                {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
                for number, message in enumerate(messages)
            ]
            self._sqs.delete_message_batch(QueueUrl=self._url, Entries=entries)
        return [json.loads(message["Body"]) for message in messages]

    def _remove(self) -> None:
        """Also what was only half made: each call is harmless when its object is not there."""
        missing = self._events.exceptions.ResourceNotFoundException
        try:
            self._events.remove_targets(Rule=self._name, EventBusName=self._bus, Ids=["tap"])
            self._events.delete_rule(Name=self._name, EventBusName=self._bus)
        except missing:
            pass  # The rule was not made yet.
        self._sqs.delete_queue(QueueUrl=self._url)
