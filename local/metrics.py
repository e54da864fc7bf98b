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

# AWS publishes every minute; here a changed value is published within POLL_S, so that tests of alarms do not wait.
POLL_S, PUBLISH_S = 2.0, 60.0
METRICS_BY_STATUS = {
    "SUCCEEDED": "ExecutionsSucceeded",
    "FAILED": "ExecutionsFailed",
    "TIMED_OUT": "ExecutionsTimedOut",
    "ABORTED": "ExecutionsAborted",
}


def publish_execution_metrics(execution: dict[str, Any]) -> None:
    """Publish the AWS/States metrics of an execution that has started or ended."""
    values: dict[str, tuple[float, str]] = {}
    if execution["status"] == "RUNNING":
        values["ExecutionsStarted"] = (1.0, "Count")
    else:
        values = {name: (float(execution["status"] == status), "Count") for status, name in METRICS_BY_STATUS.items()}
        duration = datetime.fromisoformat(execution["stopDate"]) - datetime.fromisoformat(execution["startDate"])
        values["ExecutionTime"] = (duration.total_seconds() * 1000, "Milliseconds")
    emf.put_metrics("AWS/States", {"StateMachineArn": execution["stateMachineArn"]}, values)


def queue_metrics(queue: dict[str, Any], now: float) -> dict[str, tuple[float, str]]:
    """Return the AWS/SQS metrics of one queue as {name: (value, unit)}."""
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
        time.sleep(POLL_S)
        now = time.time()
        for (account, region, url), queue in sqs._queues.all_items():
            values = queue_metrics(queue, now)
            last, before = published.get((account, region, url), (0.0, {}))
            if values != before or now - last >= PUBLISH_S:
                published[(account, region, url)] = (now, values)
                with request_scope(account, region):
                    emf.put_metrics("AWS/SQS", {"QueueName": url.rpartition("/")[2]}, values)


def install() -> None:
    """Apply the patches of this module."""

    def emit(execution: dict[str, Any]) -> None:
        original(execution)
        if not execution.get("sync"):
            publish_execution_metrics(execution)

    original = patches.replace(stepfunctions, "_emit_execution_status_event", "execution", emit)
    patches.attribute(sqs, "_queues", sqs.AccountRegionScopedDict)
    threading.Thread(target=_publish_queue_metrics, name="queue metrics", daemon=True).start()
