"""The execution and the log lines of one photo."""

import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from console.aws import Aws
from console.aws_errors import explain
from deploy.outputs import Deployed
from functions.shared.aws import error_code

FUNCTIONS = ("classify-photo", "request-review", "assign-bay", "reject-photo")
_MAX_LOG_LINES = 100
_NOT_SHOWN = {"message", "level", "timestamp", "location", "service", "photo_id", "xray_trace_id", "correlation_id"}
_NOT_SHOWN |= {"cold_start", "function_name", "function_memory_size", "function_arn", "function_request_id"}


@dataclass(frozen=True)
class Step:
    """One state of an execution. `seconds` is None while the execution is in it; `error` is the name of its error."""

    state: str
    entered: datetime
    seconds: float | None
    error: str | None = None


@dataclass(frozen=True)
class LogLine:
    """A log line of a function about a photo; `more` holds its other fields as `name=value`."""

    at: datetime
    function: str
    level: str
    message: str
    more: str


class ExecutionHistory:
    """Reads the histories of executions and the log groups of the functions."""

    def __init__(self, deployed: Deployed, aws: Aws) -> None:
        """Read the executions and logs of one stage."""
        self._deployed = deployed
        self._aws = aws

    def read_steps(self, execution: str) -> list[Step]:
        """Return the states of an execution without inputs and outputs, which contain task tokens; [] if it is gone."""
        try:
            pages = self._aws.stepfunctions.get_paginator("get_execution_history").paginate(
                executionArn=execution, PaginationConfig={"MaxItems": 1000}
            )
            return parse_history(event for page in pages for event in page["events"])
        except ClientError as error:
            if error_code(error) in {"ExecutionDoesNotExist", "InvalidArn"}:
                return []
            raise

    def find_steps(self, execution: str) -> tuple[list[Step], str]:
        """Return what `read_steps` does, and why AWS does not return it; one of both is empty.

        Reviewers may not read the executions of every workflow, such as the batch that recorded a photo.
        """
        try:
            return self.read_steps(execution), ""
        except ClientError as error:
            return [], explain(error)

    def read_log_lines(self, photo_id: str, around: datetime) -> list[LogLine]:
        """Return the log lines of the functions about a photo, from a day before `around` on, oldest first."""
        since = int((around - timedelta(days=1)).timestamp() * 1000)
        with ThreadPoolExecutor(len(FUNCTIONS)) as pool:
            found = pool.map(lambda function: self._read_log_lines(function, photo_id, since), FUNCTIONS)
            return sorted((line for lines in found for line in lines), key=lambda line: line.at)

    def _read_log_lines(self, function: str, photo_id: str, since: int) -> list[LogLine]:
        try:
            events = self._aws.logs.filter_log_events(
                logGroupName=self._deployed.log_group(function),
                filterPattern=f'"{photo_id}"',
                startTime=since,
                limit=_MAX_LOG_LINES,
            )["events"]
        except ClientError as error:
            if error_code(error) == "ResourceNotFoundException":
                return []
            raise
        return [line for event in events if (line := parse_log_line(function, event))]


def parse_log_line(function: str, event: Mapping[str, Any]) -> LogLine | None:
    """Parse a log event; None for a metrics line and for text that is not JSON."""
    try:
        entry = json.loads(event["message"])
    except ValueError:  # Lambda's own lines, such as REPORT
        return None
    if not isinstance(entry, dict) or "_aws" in entry or "message" not in entry:
        return None
    more = "  ".join(f"{name}={value}" for name, value in entry.items() if name not in _NOT_SHOWN)
    at = datetime.fromtimestamp(event["timestamp"] / 1000, UTC)
    return LogLine(at, function, str(entry.get("level", "")), str(entry["message"]), more)


def parse_history(events: Iterable[Mapping[str, Any]]) -> list[Step]:
    """Return the states of an execution's history, in order.

    The events of a failure do not name their state, so a failure belongs to the state that was entered last.
    """
    steps: list[Step] = []
    for event in events:
        kind, at = str(event["type"]), event["timestamp"]
        if kind.endswith("StateEntered"):
            steps.append(Step(event["stateEnteredEventDetails"]["name"], at, None))
        elif kind.endswith("StateExited") and steps:
            last = steps[-1]
            steps[-1] = Step(last.state, last.entered, (at - last.entered).total_seconds(), last.error)
        elif steps and kind.endswith(("Failed", "TimedOut", "Aborted")):
            details: Mapping[str, Any] = next(
                (value for name, value in event.items() if name.endswith("EventDetails")), {}
            )
            last = steps[-1]
            # The state in which an execution ends without success has no event of its exit.
            ended = kind.startswith("Execution") and last.seconds is None
            seconds = (at - last.entered).total_seconds() if ended else last.seconds
            steps[-1] = Step(last.state, last.entered, seconds, str(details.get("error") or last.error or kind))
    return steps
