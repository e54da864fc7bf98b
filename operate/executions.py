"""Start an execution of a workflow and follow it state by state."""

import json
import re
import time
from typing import TYPE_CHECKING, Any, Protocol

import boto3
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from operate.errors import CommandError
from operate.terminal import console, duration

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_logs.type_defs import GetLogEventsRequestTypeDef
    from mypy_boto3_stepfunctions import SFNClient
    from mypy_boto3_stepfunctions.type_defs import HistoryEventTypeDef

TRAINING_LOGS = "/aws/sagemaker/TrainingJobs"
TRAINING_STATE = "Train"
POLL_S = 0.5
LOG_LINES_SHOWN = 15
_PROGRESS = re.compile(r"features (\d+)/(\d+)")


def start(state_machine: str, execution_input: dict[str, Any]) -> str:
    """Start an execution; returns its ARN."""
    states: SFNClient = boto3.client("stepfunctions")
    return states.start_execution(stateMachineArn=state_machine, input=json.dumps(execution_input))["executionArn"]


class Display(Protocol):
    """What is shown of an execution, apart from its states."""

    def see(self, event: "HistoryEventTypeDef") -> None:
        """Take notice of an event."""

    def poll(self) -> list[str]:
        """Return the lines to print since the last call."""

    def note(self) -> str:
        """Return what to show beside the progress bar; empty for the state."""


def follow(execution: str, workflow: str, failure_note: str = "", display: Display | None = None) -> dict[str, Any]:
    """Print each state when it is first entered, and the progress of a training job; returns the execution's output.

    `display` sees every event, and is asked for lines at each poll.

    Raises CommandError with error, cause and `failure_note` when the execution did not succeed.
    """
    states: SFNClient = boto3.client("stepfunctions")
    started = time.monotonic()
    last_event = 0
    printed: set[str] = set()
    training = _TrainingLog()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(workflow, total=None)
        while True:
            status = states.describe_execution(executionArn=execution)["status"]
            for event in _events_after(states, execution, last_event):
                last_event = event["id"]
                state = event.get("stateEnteredEventDetails", {}).get("name", "")
                # A loop that polls an endpoint enters its states repeatedly.
                if state and state not in printed:
                    printed.add(state)
                    console.print(f"  {duration(time.monotonic() - started):>12}  {state}")
                    bar.update(task, description=state, total=None)
                training.find_job(event)
                if display:
                    display.see(event)
            if display:
                for line in display.poll():
                    console.print(f"  {'':>12}  {line}", markup=False, soft_wrap=True)
                if note := display.note():
                    bar.update(task, description=note, total=None)
            for computed, total in training.progress():
                bar.update(task, description=f"features {computed}/{total}", total=total, completed=computed)
            if status != "RUNNING":
                break
            time.sleep(POLL_S)
    ended = states.describe_execution(executionArn=execution)
    if status != "SUCCEEDED":
        for line in training.last_lines(LOG_LINES_SHOWN):
            console.print(f"  | {line}", markup=False)
        raise CommandError(
            f"{workflow} ended as {status}: {ended.get('error', '')}: {ended.get('cause', 'no cause given')}\n"
            f"{failure_note}Execution: {execution}"
        )
    output: dict[str, Any] = json.loads(ended["output"])
    return output


def _events_after(states: "SFNClient", execution: str, last_id: int) -> "list[HistoryEventTypeDef]":
    """Return the events after `last_id`, oldest first. Reads backwards, so that a poll reads new events only."""
    found: list[HistoryEventTypeDef] = []
    for page in states.get_paginator("get_execution_history").paginate(executionArn=execution, reverseOrder=True):
        for event in page["events"]:
            if event["id"] <= last_id:
                return found[::-1]
            found.append(event)
    return found[::-1]


class _TrainingLog:
    """The log of the training job that the execution started."""

    def __init__(self) -> None:
        self._logs: CloudWatchLogsClient = boto3.client("logs")
        self._job = ""
        self._stream = ""
        self._token = ""
        self._lines: list[str] = []

    def find_job(self, event: "HistoryEventTypeDef") -> None:
        """Read the name of the job from the input of the state that starts it."""
        entered = event.get("stateEnteredEventDetails", {})
        if entered.get("name") == TRAINING_STATE:
            self._job = json.loads(entered["input"])["run"]["name"]

    def progress(self) -> list[tuple[int, int]]:
        """Return the progress since the last call, as (images whose features are computed, all images)."""
        found = [match for line in self._new_lines() if (match := _PROGRESS.search(line))]
        return [(int(match[1]), int(match[2])) for match in found]

    def last_lines(self, count: int) -> list[str]:
        """Return the last `count` lines."""
        self._new_lines()
        return self._lines[-count:]

    def _new_lines(self) -> list[str]:
        if not self._job:
            return []
        try:
            if not self._stream:
                streams = self._logs.describe_log_streams(
                    logGroupName=TRAINING_LOGS, logStreamNamePrefix=f"{self._job}/"
                )["logStreams"]
                if not streams:
                    return []
                self._stream = streams[0]["logStreamName"]
            request: GetLogEventsRequestTypeDef = {
                "logGroupName": TRAINING_LOGS,
                "logStreamName": self._stream,
                "startFromHead": True,
            }
            if self._token:
                request["nextToken"] = self._token
            answer = self._logs.get_log_events(**request)
        except self._logs.exceptions.ResourceNotFoundException:
            return []  # SageMaker creates the log group and stream when the job writes its first line.
        self._token = answer["nextForwardToken"]
        lines = [event["message"] for event in answer["events"]]
        self._lines += lines
        return lines
