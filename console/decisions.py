"""What became of photos: decisions with their filters, and one photo's whole story."""

import json
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from console.aws import Aws
from deploy.outputs import Deployed
from functions.shared.aws import error_code
from functions.shared.dynamodb import attributes, values
from functions.shared.errors import InvalidInput
from functions.shared.photo import Photo
from functions.shared.photo_table import IN_REVIEW

MOST_SCANNED = 5000
FUNCTIONS = ("classify-photo", "request-review", "assign-bay", "reject-photo")
_FRESH_S = 3.0
_LOG_MARGIN = timedelta(minutes=2)
_LOG_LINES = 100
_HIDDEN = {"message", "level", "timestamp", "location", "service", "photo_id", "xray_trace_id", "correlation_id"}
_HIDDEN |= {"cold_start", "function_name", "function_memory_size", "function_arn", "function_request_id"}


@dataclass(frozen=True)
class Filter:
    """Which decisions to show; None is no restriction. Confidence bounds are in [0, 1] and need a confidence."""

    bay: str | None = None
    decided_by: str | None = None
    least: float | None = None
    most: float | None = None

    def takes(self, decision: Mapping[str, Any]) -> bool:
        """Whether a decision is among the wanted ones."""
        if self.bay is not None and decision["loading_bay"] != self.bay:
            return False
        if self.decided_by is not None and decision["decided_by"] != self.decided_by:
            return False
        if self.least is None and self.most is None:
            return True
        confidence = decision.get("confidence")
        return confidence is not None and (self.least or 0.0) <= confidence <= (1.0 if self.most is None else self.most)


@dataclass(frozen=True)
class Step:
    """One state that an execution went through. `seconds` is None while it is in it; `error` is a failure's name."""

    state: str
    entered: datetime
    seconds: float | None
    error: str | None = None


@dataclass(frozen=True)
class LogLine:
    """What a function logged about a photo; `more` are its other fields as `name=value`."""

    at: datetime
    function: str
    level: str
    message: str
    more: str


class Decisions:
    """The decision table, the photos without a decision, and what executions and logs tell about them."""

    def __init__(self, resources: Deployed, aws: Aws) -> None:
        self._resources = resources
        self._aws = aws
        self._scanned: tuple[float, list[dict[str, Any]]] | None = None

    def all(self) -> list[dict[str, Any]]:
        """The newest decisions first, of at most MOST_SCANNED looked at; at most three seconds old."""
        if self._scanned is None or time.monotonic() - self._scanned[0] > _FRESH_S:
            pages = self._aws.dynamodb.get_paginator("scan").paginate(
                TableName=self._resources.decision_table, PaginationConfig={"MaxItems": MOST_SCANNED}
            )
            found = [values(item) for page in pages for item in page["Items"]]
            found.sort(key=lambda decision: str(decision["decided_at"]), reverse=True)
            self._scanned = (time.monotonic(), found)
        return self._scanned[1]

    def in_review(self) -> list[dict[str, Any]]:
        """The entries of the photos that wait for a person, of at most MOST_SCANNED looked at."""
        pages = self._aws.dynamodb.get_paginator("scan").paginate(
            TableName=self._resources.photo_table,
            FilterExpression="#status = :in_review",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues=attributes({":in_review": IN_REVIEW}),
            PaginationConfig={"MaxItems": MOST_SCANNED},
        )
        return [values(item) for page in pages for item in page["Items"]]

    def matching(self, wanted: Filter, most: int) -> list[dict[str, Any]]:
        """The newest decisions that pass a filter."""
        return [decision for decision in self.all() if wanted.takes(decision)][:most]

    def find(self, photo_id: str) -> dict[str, Any] | None:
        """The entry of a photo: its decision, or why it has none (`status`), or None when nothing is known."""
        for table in (self._resources.decision_table, self._resources.photo_table):
            answer = self._aws.dynamodb.get_item(TableName=table, Key=attributes({"photo_id": photo_id}))
            if "Item" in answer:
                return values(answer["Item"])
        return None

    def photo(self, photo_id: str) -> Photo | None:
        """The photo with an id, when it is one of this stage's uploads bucket."""
        entry = self.find(photo_id)
        try:
            photo = Photo.from_state(entry["photo"]) if entry else None
        except (InvalidInput, KeyError):
            return None
        return photo if photo and photo.bucket == self._resources.uploads_bucket else None

    def steps(self, execution: str) -> list[Step]:
        """The states an execution went through. Only names and times: inputs and outputs hold task tokens."""
        try:
            pages = self._aws.stepfunctions.get_paginator("get_execution_history").paginate(
                executionArn=execution, PaginationConfig={"MaxItems": 1000}
            )
            return steps_of(event for page in pages for event in page["events"])
        except ClientError as error:
            if error_code(error) in {"ExecutionDoesNotExist", "InvalidArn"}:
                return []
            raise

    def log_lines(self, photo_id: str, around: datetime) -> list[LogLine]:
        """What the functions logged about a photo from a day before `around` on, oldest first."""
        since = int((around - timedelta(days=1)).timestamp() * 1000)
        with ThreadPoolExecutor(len(FUNCTIONS)) as pool:
            found = pool.map(lambda function: self._lines(function, photo_id, since), FUNCTIONS)
            return sorted((line for lines in found for line in lines), key=lambda line: line.at)

    def _lines(self, function: str, photo_id: str, since: int) -> list[LogLine]:
        try:
            events = self._aws.logs.filter_log_events(
                logGroupName=self._resources.log_group(function),
                filterPattern=f'"{photo_id}"',
                startTime=since,
                limit=_LOG_LINES,
            )["events"]
        except ClientError as error:
            if error_code(error) == "ResourceNotFoundException":
                return []
            raise
        return [line for event in events if (line := log_line(function, event))]


def log_line(function: str, event: Mapping[str, Any]) -> LogLine | None:
    """A log event as a line; None for metrics and for what is not JSON."""
    try:
        said = json.loads(event["message"])
    except ValueError:
        return None
    if not isinstance(said, dict) or "_aws" in said or "message" not in said:
        return None
    more = "  ".join(f"{name}={value}" for name, value in said.items() if name not in _HIDDEN)
    at = datetime.fromtimestamp(event["timestamp"] / 1000).astimezone()
    return LogLine(at, function, str(said.get("level", "")), str(said["message"]), more)


def steps_of(events: Iterable[Mapping[str, Any]]) -> list[Step]:
    """The states of an execution's history, in order.

    A failure is an event without the state's name between its entering and its exit, so it belongs to the last one
    entered.
    """
    steps: list[Step] = []
    for event in events:
        kind, at = str(event["type"]), event["timestamp"]
        if kind.endswith("StateEntered"):
            steps.append(Step(event["stateEnteredEventDetails"]["name"], at, None))
        elif kind.endswith("StateExited") and steps:
            last = steps[-1]
            steps[-1] = Step(last.state, last.entered, (at - last.entered).total_seconds(), last.error)
        elif steps and kind.endswith(("Failed", "TimedOut")):
            details: Mapping[str, Any] = next(
                (value for name, value in event.items() if name.endswith("EventDetails")), {}
            )
            last = steps[-1]
            steps[-1] = Step(last.state, last.entered, last.seconds, str(details.get("error") or kind))
    return steps
