"""Metrics that Step Functions and SQS publish by themselves on AWS, so that alarms on them can go off.

Seams: `stepfunctions._emit_execution_status_event` is called once for each change of an execution's status;
`sqs._queues` holds each queue's messages with the times they were sent and become visible.
"""

from __future__ import annotations

import threading
import time
from datetime import datetime
from typing import Any

from ministack.core.responses import request_scope
from ministack.services import sqs, stepfunctions

from local import patches
from local.lambdas import emf

# AWS measures queues every minute; a change is published sooner here, so that an alarm need not be waited for.
MEASURE_S, REPEAT_S = 2.0, 60.0
ENDINGS = {
    "SUCCEEDED": "ExecutionsSucceeded",
    "FAILED": "ExecutionsFailed",
    "TIMED_OUT": "ExecutionsTimedOut",
    "ABORTED": "ExecutionsAborted",
}


def _put(namespace: str, dimension: tuple[str, str], values: dict[str, tuple[float, str]]) -> None:
    pair = [{"Name": dimension[0], "Value": dimension[1]}]
    now = time.time()
    data = [
        {"MetricName": name, "Dimensions": pair, "Value": value, "Unit": unit, "Timestamp": now}
        for name, (value, unit) in values.items()
    ]
    emf.put(namespace, data)


def _seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()


def count_execution(execution: dict[str, Any]) -> None:
    """AWS/States metrics for an execution that has started or ended."""
    values: dict[str, tuple[float, str]] = {}
    if execution["status"] == "RUNNING":
        values["ExecutionsStarted"] = (1.0, "Count")
    else:
        values = {name: (float(execution["status"] == status), "Count") for status, name in ENDINGS.items()}
        duration = _seconds(execution["stopDate"]) - _seconds(execution["startDate"])
        values["ExecutionTime"] = (duration * 1000, "Milliseconds")
    _put("AWS/States", ("StateMachineArn", execution["stateMachineArn"]), values)


def measured(queue: dict[str, Any], now: float) -> dict[str, tuple[float, str]]:
    """AWS/SQS metrics of one queue. The age is that of the oldest message that was not deleted, in seconds."""
    messages = list(queue["messages"])
    visible = sum(message["visible_at"] <= now for message in messages)
    oldest = min((message["sent_at"] for message in messages), default=now)
    return {
        "ApproximateNumberOfMessagesVisible": (float(visible), "Count"),
        "ApproximateNumberOfMessagesNotVisible": (float(len(messages) - visible), "Count"),
        "ApproximateAgeOfOldestMessage": (float(int(now - oldest)), "Seconds"),
    }


def _measure_queues() -> None:
    published: dict[Any, tuple[float, dict[str, tuple[float, str]]]] = {}
    while True:
        time.sleep(MEASURE_S)
        now = time.time()
        for (account, region, url), queue in sqs._queues.all_items():
            values = measured(queue, now)
            last, before = published.get((account, region, url), (0.0, {}))
            if values != before or now - last >= REPEAT_S:
                published[(account, region, url)] = (now, values)
                with request_scope(account, region):
                    _put("AWS/SQS", ("QueueName", url.rpartition("/")[2]), values)


def install() -> None:
    def emit(execution: dict[str, Any]) -> None:
        original(execution)
        if not execution.get("sync"):
            count_execution(execution)

    original = patches.replace(stepfunctions, "_emit_execution_status_event", "execution", emit)
    patches.attribute(sqs, "_queues", sqs.AccountRegionScopedDict)
    threading.Thread(target=_measure_queues, name="queue metrics", daemon=True).start()
