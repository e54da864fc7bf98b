"""The log lines and metrics of an invocation.

Patches in ministack's `lambda_svc`:
- `_emit_lambda_logs` creates a log stream for each invocation and reports the memory of another process. AWS has one
  stream per execution environment, and START, END and REPORT lines ("Sending Lambda function logs to CloudWatch Logs").
- `_emit_lambda_metrics` counts calls of the Invoke API only. AWS also counts invocations by Step Functions ("Types of
  metrics for Lambda functions").
"""

from __future__ import annotations

import contextvars
import json
import math
import time
from dataclasses import dataclass
from typing import Any

from ministack.core.responses import get_account_id, get_region
from ministack.services import cloudwatch_logs, lambda_svc

from local import patches
from local.lambdas import emf
from local.lambdas.roles import function_role

# On AWS, a function whose role may not write its log has none.
LOST = "Log lines of a function are lost"


@dataclass(frozen=True)
class Report:
    """The figures of one invocation: durations in milliseconds, memory in MB. `init_ms` is None for a warm start."""

    stream: str
    duration_ms: float
    init_ms: float | None
    memory_mb: int

    def line(self, request_id: str, memory_size_mb: int) -> str:
        """Return the REPORT line, as on AWS."""
        fields = [
            f"REPORT RequestId: {request_id}",
            f"Duration: {self.duration_ms:.2f} ms",
            f"Billed Duration: {math.ceil(self.duration_ms + (self.init_ms or 0))} ms",
            f"Memory Size: {memory_size_mb} MB",
            f"Max Memory Used: {self.memory_mb} MB",
        ]
        if self.init_ms is not None:
            fields.append(f"Init Duration: {self.init_ms:.2f} ms")
        return "\t".join(fields) + "\t"


_report: contextvars.ContextVar[Report | None] = contextvars.ContextVar("report", default=None)


def set_current(report: Report) -> None:
    """Store the report for the log lines, which ministack writes next on the same thread."""
    _report.set(report)


def publish_metrics(function: str, report: Report, failed: bool) -> None:
    """Publish the AWS/Lambda metrics of one invocation."""
    values = {"Invocations": (1.0, "Count"), "Errors": (float(failed), "Count")}
    values |= {"Throttles": (0.0, "Count"), "Duration": (report.duration_ms, "Milliseconds")}
    emf.put_metrics("AWS/Lambda", {"FunctionName": function}, values)


def _write(config: dict[str, Any], report: Report, request_id: str, text: str) -> None:
    group = (config.get("LoggingConfig") or {}).get("LogGroup") or f"/aws/lambda/{config['FunctionName']}"
    where = {"logGroupName": group, "logStreamName": report.stream}
    streams = (cloudwatch_logs._log_groups.get(group) or {}).get("streams", {})
    role = function_role(config)
    arn = f"arn:aws:logs:{get_region()}:{get_account_id()}:log-group:{group}"
    stream = f"{arn}:log-stream:{report.stream}"
    if group not in cloudwatch_logs._log_groups:
        if not role.allows("logs:CreateLogGroup", arn, LOST):
            return
        cloudwatch_logs._create_log_group({"logGroupName": group})
    if report.stream not in streams:
        if not role.allows("logs:CreateLogStream", stream, LOST):
            return
        cloudwatch_logs._create_log_stream(where)
    if not role.allows("logs:PutLogEvents", stream, LOST):
        return
    lines = [
        f"START RequestId: {request_id} Version: {config.get('Version', '$LATEST')}",
        *text.splitlines(),
        f"END RequestId: {request_id}",
        report.line(request_id, int(config.get("MemorySize", 128))),
    ]
    now_ms = int(time.time() * 1000)
    events = [{"timestamp": now_ms, "message": line} for line in lines if line]
    status, _headers, body = cloudwatch_logs._put_log_events({**where, "logEvents": events})
    if status >= 400:
        raise RuntimeError(json.loads(body))


def install() -> None:
    """Apply the patches of this module."""

    def emit_logs(
        func: dict[str, Any],
        request_id: str,
        log_text: str,
        error: bool,
        duration_ms: int,
        *,
        log_source: str | None = None,
    ) -> None:
        report = _report.get()
        if report is None:
            original_logs(func, request_id, log_text, error, duration_ms, log_source=log_source)
            return
        _report.set(None)
        _write(func.get("config") or func, report, request_id, log_text)

    def emit_metrics(function_name: str, duration_ms: float, error: bool, throttle: bool) -> None:
        if throttle:
            original_metrics(function_name, duration_ms, error, throttle)

    original_logs = patches.replace(
        lambda_svc, "_emit_lambda_logs", "func request_id log_text error duration_ms log_source", emit_logs
    )
    original_metrics = patches.replace(
        lambda_svc, "_emit_lambda_metrics", "function_name duration_ms error throttle", emit_metrics
    )
