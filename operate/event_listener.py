"""Receive the events of a bus while a command runs."""

import json
import time
import uuid
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

import boto3

from deploy.cleanup import LISTENER
from operate.errors import CommandError

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_sqs import SQSClient

SOURCE = "scones.vehicles"
_PROBE_SOURCE = "scones.event-listener"
_TARGET_ID = "listener"
# "Allow a short period of time for changes to take effect" (Amazon EventBridge API Reference, PutRule).
RULE_TIMEOUT_S = 90


class EventListener:
    """A temporary SQS queue that a temporary rule of the bus sends events to; both are deleted at the end of `with`.

    `with` publishes probe events and starts when one has arrived, so that no later event is missed.
    """

    def __init__(self, bus: str, source: str = SOURCE) -> None:
        """Listen on `bus` to the events of `source`."""
        self._bus = bus
        self._source = source
        self._name = f"{bus}{LISTENER}{uuid.uuid4().hex[:12]}"
        self._events: EventBridgeClient = boto3.client("events")
        self._sqs: SQSClient = boto3.client("sqs")
        self._url = ""

    def __enter__(self) -> "EventListener":
        """Create queue and rule. Raises CommandError when no event arrives."""
        self._url = self._sqs.create_queue(
            QueueName=self._name, Attributes={"MessageRetentionPeriod": "3600", "SqsManagedSseEnabled": "true"}
        )["QueueUrl"]
        try:
            self._create_rule()
            self._wait_for_probe()
        except BaseException:
            self._delete()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Delete queue and rule."""
        self._delete()

    def events(self, timeout_s: float) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield each event as (detail-type, detail); end when none has arrived for `timeout_s` seconds."""
        deadline = time.monotonic() + timeout_s
        while (left := deadline - time.monotonic()) > 0:
            for event in self._receive(left):
                if event["source"] == self._source:
                    yield event["detail-type"], event["detail"]
                    deadline = time.monotonic() + timeout_s

    def _create_rule(self) -> None:
        attributes = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])["Attributes"]
        queue_arn = attributes["QueueArn"]
        rule_arn = self._events.put_rule(
            Name=self._name,
            EventBusName=self._bus,
            EventPattern=json.dumps({"source": [self._source, _PROBE_SOURCE]}),
            Description="Temporary: sends events to a command that is running. Delete it when the command has ended.",
        )["RuleArn"]
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": queue_arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": rule_arn}},
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self._sqs.set_queue_attributes(QueueUrl=self._url, Attributes={"Policy": policy})
        failed = self._events.put_targets(
            Rule=self._name, EventBusName=self._bus, Targets=[{"Id": _TARGET_ID, "Arn": queue_arn}]
        )["FailedEntryCount"]
        if failed:
            raise CommandError(f"EventBridge refused to send the events of bus {self._bus} to {queue_arn}.")

    def _wait_for_probe(self) -> None:
        deadline = time.monotonic() + RULE_TIMEOUT_S
        while time.monotonic() < deadline:
            self._events.put_events(
                Entries=[{"EventBusName": self._bus, "Source": _PROBE_SOURCE, "DetailType": "Probe", "Detail": "{}"}]
            )
            if self._receive(2):
                return
        raise CommandError(
            f"No event of bus {self._bus} arrived within {RULE_TIMEOUT_S} s. Does the bus exist? Run `make deploy`."
        )

    def _receive(self, wait_s: float) -> list[dict[str, Any]]:
        messages = self._sqs.receive_message(
            QueueUrl=self._url, MaxNumberOfMessages=10, WaitTimeSeconds=max(1, min(20, round(wait_s)))
        ).get("Messages", [])
        if messages:
            self._sqs.delete_message_batch(
                QueueUrl=self._url,
                Entries=[
                    {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
                    for number, message in enumerate(messages)
                ],
            )
        return [json.loads(message["Body"]) for message in messages]

    def _delete(self) -> None:
        """Delete rule and queue; the rule may not exist yet."""
        try:
            self._events.remove_targets(Rule=self._name, EventBusName=self._bus, Ids=[_TARGET_ID])
            self._events.delete_rule(Name=self._name, EventBusName=self._bus)
        except self._events.exceptions.ResourceNotFoundException:  # gone, or never created
            pass
        self._sqs.delete_queue(QueueUrl=self._url)
