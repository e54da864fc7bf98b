"""Reads the figures of the Now page and of `make status`, all at the same time."""

import json
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from console import queue
from console.aws import Aws
from console.aws_errors import explain
from console.now_figures import (
    BATCH,
    CLASSIFY,
    FAILURES_SHOWN,
    RETRAIN,
    ROLLBACK,
    Alarm,
    Endpoint,
    Execution,
    Figures,
    Messages,
    Unreadable,
    Waiting,
)
from deploy.outputs import Deployed
from deploy.templates import load_alarms
from functions.shared.champion import ModelTable
from functions.shared.errors import RecordUnavailable
from functions.shared.photo_record import UNROUTED
from functions.shared.photo_table import PhotoTable
from functions.shared.sagemaker import find_endpoint
from functions.shared.times import now

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions.literals import ExecutionStatusType

FRESH_S = 5.0
"""How old figures may be to be shown again without another reading."""

_FAILED: "tuple[ExecutionStatusType, ...]" = ("FAILED", "TIMED_OUT", "ABORTED")
_MAX_COUNTED = 1000
# Of the reason of a state, as CloudWatch writes it.
_WITHOUT_DATA = "no datapoints were received"
_UNKNOWN_LEVEL = "page"  # of an alarm that this version does not have

T = TypeVar("T")


class NowReader:
    """Reads one stage. Its methods can be called from any thread."""

    def __init__(self, deployed: Deployed, aws: Aws) -> None:
        """Read the resources of a stage with the clients of `aws`."""
        self._deployed = deployed
        self._aws = aws
        self._photos = PhotoTable(deployed.photo_table, aws.dynamodb)
        self._models = ModelTable(deployed.model_table, aws.dynamodb)
        self._lock = threading.Lock()
        self._last: tuple[float, Figures] | None = None  # the time of the reading, the figures

    def read(self) -> Figures:
        """Return the figures, at most FRESH_S old. What AWS does not return is `Unreadable`; nothing is raised."""
        with self._lock:
            if self._last is None or time.monotonic() - self._last[0] > FRESH_S:
                figures = self._measure()
                self._last = (time.monotonic(), figures)
            return self._last[1]

    def peek(self, max_age_s: float = 60.0) -> Figures | None:
        """Return the figures of the last reading without a call of AWS; None when they are older than `max_age_s`."""
        last = self._last
        return last[1] if last and time.monotonic() - last[0] <= max_age_s else None

    def _measure(self) -> Figures:
        deployed = self._deployed
        with ThreadPoolExecutor(10, thread_name_prefix="now") as pool:
            readings: dict[str, Any] = {
                name: pool.submit(_attempt, read)
                for name, read in (
                    ("champion", self._models.champion),
                    ("endpoint", self._endpoint),
                    ("waiting", self._waiting),
                    ("reviews", lambda: self._messages(deployed.review_queue_url)),
                    ("audits", lambda: self._messages(deployed.audit_queue_url)),
                    ("unrouted", self._unrouted),
                    ("failed", self._failed),
                    ("alarms", self._alarms),
                    ("failures", self._failures),
                    ("retraining", self._retraining),
                )
            }
            return Figures(
                read_at=now(),
                stage=deployed.stage,
                account=deployed.account,
                region=deployed.region,
                endpoint_name=deployed.endpoint_name,
                **{name: reading.result() for name, reading in readings.items()},
            )

    def _endpoint(self) -> Endpoint:
        found = find_endpoint(self._deployed.endpoint_name, self._aws.sagemaker)
        if found is None:
            return Endpoint(None)
        variants = found.get("ProductionVariants", ())
        instances = sum(one.get("DesiredInstanceCount", 0) for one in variants)
        return Endpoint(found["EndpointStatus"], found["EndpointConfigName"], instances)

    def _waiting(self) -> Waiting:
        drivers, oldest = queue.count_waiting_drivers(self._photos)
        return Waiting(drivers, (now() - oldest).total_seconds() if oldest else None)

    def _messages(self, url: str) -> Messages:
        return Messages(*queue.count_messages(self._aws.sqs, url))

    def _unrouted(self) -> int:
        return sum(1 for _ in islice(self._photos.list_by_status(UNROUTED), _MAX_COUNTED))

    def _failed(self) -> int:
        queues = (self._deployed.review_dead_letter_queue_url, self._deployed.unrouted_queue_url)
        return sum(self._messages(url).all for url in queues)

    def _alarms(self) -> Sequence[Alarm]:
        prefix = f"{self._deployed.app_name}-"
        pages = self._aws.cloudwatch.get_paginator("describe_alarms").paginate(
            AlarmNamePrefix=prefix, AlarmTypes=["MetricAlarm"]
        )
        found = []
        for alarm in (one for page in pages for one in page["MetricAlarms"]):
            name = alarm["AlarmName"].removeprefix(prefix)
            entry = _entries().get(name, {})
            meaning = entry.get("Meaning", alarm.get("AlarmDescription", ""))
            level = entry.get("Level", _UNKNOWN_LEVEL)
            without_data = _WITHOUT_DATA in alarm.get("StateReason", "")
            found.append(Alarm(name, alarm["StateValue"], level, meaning, entry.get("Action", ""), without_data))
        return found

    def _failures(self) -> dict[str, int]:
        machines = {
            CLASSIFY: self._deployed.classify_photo_arn,
            RETRAIN: self._deployed.retrain_model_arn,
            ROLLBACK: self._deployed.rollback_model_arn,
            BATCH: self._deployed.classify_batch_arn,
        }
        since = now() - FAILURES_SHOWN
        return {
            workflow: sum(self._count_ended(machine, status, since) for status in _FAILED)
            for workflow, machine in machines.items()
        }

    def _count_ended(self, machine: str, status: "ExecutionStatusType", since: datetime) -> int:
        listed = self._aws.stepfunctions.list_executions(
            stateMachineArn=machine, statusFilter=status, maxResults=_MAX_COUNTED
        )["executions"]
        return sum(1 for one in listed if one.get("stopDate", since) > since)

    def _retraining(self) -> Execution | None:
        listed = self._aws.stepfunctions.list_executions(
            stateMachineArn=self._deployed.retrain_model_arn, maxResults=1
        )["executions"]
        if not listed:
            return None
        last = self._aws.stepfunctions.describe_execution(executionArn=listed[0]["executionArn"])
        output = json.loads(last.get("output") or "{}")
        if not isinstance(output, dict):
            output = {}
        reason = f" ({output['reason']})" if output.get("reason") else ""
        outcome = f"{output['outcome']}{reason}" if output.get("outcome") else None
        return Execution(last["status"], last["startDate"], last.get("stopDate"), outcome)


@cache
def _entries() -> dict[str, Any]:
    return load_alarms()


def _attempt(read: Callable[[], T]) -> T | Unreadable:
    """Return what `read` returns, or why AWS did not answer."""
    try:
        return read()
    except (ClientError, BotoCoreError, RecordUnavailable) as error:
        return Unreadable(explain(error))
