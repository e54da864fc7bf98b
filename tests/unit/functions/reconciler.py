"""Helpers of the tests of ReconcilePhotos: the function with its state machine, and records in each status."""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from functions.shared.aws import client
from functions.shared.photo import Photo
from functions.shared.photo_record import ROUTED
from functions.shared.photo_table import PhotoTable
from functions.shared.times import now
from tests.unit.functions.stack import EXECUTION, Function

CLASSIFICATION = {"vehicle": "bicycle", "confidence": 0.97}
DECISION = {
    "vehicle": "bicycle",
    "confidence": 0.97,
    "decided_by": "model",
    "loading_bay": "Bay A",
    "order_range": "nearby",
    "model_version": "model-1",
    "execution": EXECUTION,
    "decided_at": "2026-11-27T10:00:00.000Z",
}


@dataclass
class Reconciler:
    """The function, its state machine, and the executions of it."""

    function: Function
    machine: str
    remaining_ms: Callable[[], int] = lambda: 900_000

    def __call__(self, **event: Any) -> dict[str, Any]:
        """Run the function on everything that changed until now."""
        self.prepare()
        context = SimpleNamespace(
            function_name="reconcile-photos",
            memory_limit_in_mb=512,
            invoked_function_arn="arn:aws:lambda:eu-west-1:123456789012:function:scones-test",
            aws_request_id="52fdfc07-2182-454f-963f-5f0f9a621d72",
            get_remaining_time_in_millis=self.remaining_ms,
        )
        answer: dict[str, Any] = self.function.module.handler({"grace_s": 0, **event}, context)
        json.dumps(answer)
        return answer

    def prepare(self) -> None:
        """Make the last changes older than the start, and write the log to the output of the test."""
        time.sleep(0.002)
        for log in self.function.module.logger.handlers:
            log.stream = sys.stdout

    def start(self, photo: Photo, name: str = "first") -> str:
        """Start an execution as the rule does; the test decides what it does."""
        state = {"photo": {"bucket": photo.bucket, "key": photo.key, "etag": photo.etag, "size": photo.size}}
        return str(
            client("stepfunctions").start_execution(stateMachineArn=self.machine, name=name, input=json.dumps(state))[
                "executionArn"
            ]
        )

    def stop(self, execution: str) -> None:
        client("stepfunctions").stop_execution(executionArn=execution)

    def started(self) -> list[str]:
        """The names of all executions."""
        found = client("stepfunctions").list_executions(stateMachineArn=self.machine)["executions"]
        return sorted(one["name"] for one in found)


def counts(report: dict[str, Any]) -> dict[str, int]:
    """The counts that are not 0."""
    return {name: count for name, count in report["counts"].items() if count}


def classify(photos: PhotoTable, photo: Photo, execution: str, at: datetime | None = None) -> None:
    photos.classify(photo, execution, at or now(), classification=CLASSIFICATION, threshold=0.9)


def decide(photos: PhotoTable, photo: Photo, at: datetime | None = None, *, announced: bool = True) -> None:
    outcome = {**DECISION, "photo": photo.as_state(), "driver_id": photo.driver_id}
    photos.record_outcome(photo, ROUTED, EXECUTION, at or now(), outcome=outcome)
    if announced:
        (record,) = [one for one in photos.list_unannounced() if one.photo == photo]
        photos.mark_announced(record, now())
