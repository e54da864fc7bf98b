"""The metrics that Step Functions and SQS publish.

Patch: `stepfunctions._emit_execution_status_event`, which ministack calls for each status change of an execution, also
publishes the execution metrics of AWS ("Monitoring Step Functions metrics using Amazon CloudWatch"). A thread publishes
the metrics of the queues in `sqs._queues` ("Available CloudWatch metrics for Amazon SQS"). ministack publishes neither.
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

# AWS publishes every minute; here a change is published sooner, so that tests of alarms do not wait.
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


def publish_execution_metrics(execution: dict[str, Any]) -> None:
    """Publish the AWS/States metrics of an execution that has started or ended."""
    values: dict[str, tuple[float, str]] = {}
    if execution["status"] == "RUNNING":
        values["ExecutionsStarted"] = (1.0, "Count")
    else:
        values = {name: (float(execution["status"] == status), "Count") for status, name in ENDINGS.items()}
        duration = _seconds(execution["stopDate"]) - _seconds(execution["startDate"])
        values["ExecutionTime"] = (duration * 1000, "Milliseconds")
    _put("AWS/States", ("StateMachineArn", execution["stateMachineArn"]), values)


def queue_metrics(queue: dict[str, Any], now: float) -> dict[str, tuple[float, str]]:
    """The AWS/SQS metrics of one queue. The age is that of the oldest message, in seconds."""
    messages = list(queue["messages"])
    visible = sum(message["visible_at"] <= now for message in messages)
    oldest = min((message["sent_at"] for message in messages), default=now)
    return {
        "ApproximateNumberOfMessagesVisible": (float(visible), "Count"),
        "ApproximateNumberOfMessagesNotVisible": (float(len(messages) - visible), "Count"),
        "ApproximateAgeOfOldestMessage": (float(int(now - oldest)), "Seconds"),
    }


def _publish_queue_metrics() -> None:
    published: dict[Any, tuple[float, dict[str, tuple[float, str]]]] = {}
    while True:
        time.sleep(MEASURE_S)
        now = time.time()
        for (account, region, url), queue in sqs._queues.all_items():
            values = queue_metrics(queue, now)
            last, before = published.get((account, region, url), (0.0, {}))
            if values != before or now - last >= REPEAT_S:
                published[(account, region, url)] = (now, values)
                with request_scope(account, region):
                    _put("AWS/SQS", ("QueueName", url.rpartition("/")[2]), values)


def install() -> None:
    """Apply the patches of this module."""

    def emit(execution: dict[str, Any]) -> None:
        original(execution)
        if not execution.get("sync"):
            publish_execution_metrics(execution)

    original = patches.replace(stepfunctions, "_emit_execution_status_event", "execution", emit)
    patches.attribute(sqs, "_queues", sqs.AccountRegionScopedDict)
    threading.Thread(target=_publish_queue_metrics, name="queue metrics", daemon=True).start()
