"""Starting retrain-model, and following it or another workflow, state by state."""

import hashlib
import io
import json
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import boto3
from PIL import Image
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from deploy.outputs import Deployed
from functions.shared.checks import Check
from operate.errors import CommandError
from operate.show import console
from training import dataset
from training.holdout import split_holdout
from training.vehicles import OTHER, configured_vehicles

WORKFLOW = "retrain-model"
TRAINING_LOGS = "/aws/sagemaker/TrainingJobs"
TRAINING_STATE = "Train"
POLL_S = 0.5
GOLDEN_EACH = 6
# States that a loop enters again and again while an endpoint changes.
WAITING = {
    "WaitForEndpoint", "DescribeEndpoint", "CountPolls", "InService?",
    "WaitForRestore", "DescribeRestoredEndpoint", "CountRestorePolls", "Restored?",
}  # fmt: skip
COMPARED = (
    ("accuracy", "accuracy", ".3f"), ("ece", "calibration error", ".3f"), ("auroc", "outlier AUROC", ".3f"),
    ("coverage", "coverage at threshold", ".3f"), ("threshold", "threshold", ".3f"),
    ("latency_ms", "latency, ms", ".2f"), ("size_mb", "size, MB", ".2f"),
)  # fmt: skip
_PROGRESS = re.compile(r"features (\d+)/(\d+)")


def publish_training_input(deployed: Deployed, train: Path, source: Path) -> dict[str, Any]:
    """Put the staged data set, its golden photos and the training code into the ML bucket, under their content's hash.

    Returns the input of retrain-model. What is there already is not uploaded again. Nothing that is there changes: what
    retrainings use that nobody starts by hand is written when a model is promoted.
    """
    s3: Any = boto3.client("s3")
    files = sorted(file for file in train.iterdir() if file.is_file())
    if not files:
        raise CommandError(f"There is no staged data in {train}. Run `make stage`.")
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode())
        digest.update(file.read_bytes())
    name = digest.hexdigest()[:20]
    prefix, golden = f"datasets/base/{name}", f"golden/{name}"
    source_key = f"source/{hashlib.sha256(source.read_bytes()).hexdigest()[:20]}/sourcedir.tar.gz"
    for file, key in [*((file, f"{prefix}/{file.name}") for file in files), (source, source_key)]:
        if s3.list_objects_v2(Bucket=deployed.ml_bucket, Prefix=key)["KeyCount"]:
            continue
        s3.upload_file(str(file), deployed.ml_bucket, key)
        console.print(f"  {file.stat().st_size / 1e6:,.1f} MB to s3://{deployed.ml_bucket}/{key}", soft_wrap=True)
    # The photos that a new endpoint must know follow from the data set, so a few that are missing are put again.
    there = {
        found["Key"]
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=deployed.ml_bucket, Prefix=f"{golden}/")
        for found in page.get("Contents", ())
    }
    for photo, content in golden_photos(train):
        if f"{golden}/{photo}" not in there:
            s3.put_object(Bucket=deployed.ml_bucket, Key=f"{golden}/{photo}", Body=content, ContentType="image/png")
    return {
        "dataset": f"s3://{deployed.ml_bucket}/{prefix}/",
        "source": f"s3://{deployed.ml_bucket}/{source_key}",
        "hyperparameters": {},
        "golden": f"s3://{deployed.ml_bucket}/{golden}/",
    }


def golden_photos(train: Path) -> Iterator[tuple[str, bytes]]:
    """A few photos that no model learns from, as (vehicle or `other`/name, PNG): a new endpoint must know them."""
    _, holdout = split_holdout(dataset.load(train))
    vehicles = configured_vehicles()
    of_class = {**{name: holdout.with_labels([name]) for name in vehicles}, OTHER: holdout.without_labels(vehicles)}
    for name, photos in of_class.items():
        # Spread over what there is: the others are sorted by what they show.
        for number in range(0, len(photos), max(1, len(photos) // GOLDEN_EACH))[:GOLDEN_EACH]:
            file = io.BytesIO()
            Image.fromarray(photos.images[number]).save(file, "PNG")
            yield f"{name}/{number:05}.png", file.getvalue()


def start(deployed: Deployed, training_input: dict[str, Any]) -> str:
    """Start retrain-model; returns the execution's ARN."""
    states: Any = boto3.client("stepfunctions")
    arn: str = states.start_execution(stateMachineArn=deployed.retrain_model_arn, input=json.dumps(training_input))[
        "executionArn"
    ]
    return arn


def follow(execution: str, workflow: str = WORKFLOW) -> dict[str, Any]:
    """Print each state as it is entered, with the training's progress; returns the execution's output.

    Raises CommandError with the reason when the execution did not succeed.
    """
    states: Any = boto3.client("stepfunctions")
    started = time.monotonic()
    last_event = 0
    training = _TrainingLog()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(workflow, total=None)
        while True:
            status = states.describe_execution(executionArn=execution)["status"]
            for event in _events_after(states, execution, last_event):
                last_event = event["id"]
                entered = event.get("stateEnteredEventDetails")
                if entered and entered["name"] not in WAITING:
                    console.print(f"  {time.monotonic() - started:6.1f} s  {entered['name']}")
                    bar.update(task, description=entered["name"], total=None)
                training.note(event)
            for computed, total in training.progress():
                bar.update(task, description=f"features {computed}/{total}", total=total, completed=computed)
            if status != "RUNNING":
                break
            time.sleep(POLL_S)
    ended = states.describe_execution(executionArn=execution)
    if status != "SUCCEEDED":
        for line in training.last_lines(15):
            console.print(f"  | {line}", markup=False)
        # rollback-model says itself what the endpoint serves.
        still = "The previous model, if there was one, still answers. " if workflow == WORKFLOW else ""
        raise CommandError(
            f"{workflow} ended as {status}: {ended.get('error', '')}: {ended.get('cause', 'no cause given')}\n"
            f"{still}Execution: {execution}"
        )
    output: dict[str, Any] = json.loads(ended["output"])
    return output


def conclude(output: dict[str, Any]) -> None:
    """Print challenger and champion side by side, each check with its limit, and the verdict in words."""
    challenger, champion = output.get("challenger"), output.get("compared_with")
    if challenger:
        grid = Table(title="On the frozen holdout", title_justify="left")
        for heading, justify in (("", "left"), ("challenger", "right"), ("champion", "right")):
            grid.add_column(heading, justify=justify)  # type: ignore[arg-type]  # one of rich's words
        for key, title, shape in COMPARED:
            grid.add_row(title, *(_figure(model, key, shape) for model in (challenger, champion)))
        console.print(grid)
    if checks := [Check.from_state(row) for row in output.get("checks") or ()]:
        console.print(_checks(checks))
    outcome = output["outcome"]
    reason = f" ({output['reason']})" if output.get("reason") else ""
    console.print(f"[{'green' if outcome == 'promoted' else 'yellow'}]{outcome}{reason}[/]: {output['verdict']}")
    if output.get("champion"):
        console.print(f"Champion: {output['champion']['model_version']}")


def _checks(checks: Sequence[Check]) -> Table:
    grid = Table(title="The checks", title_justify="left")
    for heading, justify in (("check", "left"), ("value", "right"), ("limit", "right"), ("passed", "left")):
        grid.add_column(heading, justify=justify)  # type: ignore[arg-type]  # one of rich's words
    for check in checks:
        value, limit = check.numbers
        passed = "[green]yes[/]" if check.passed else "[red]no[/]"
        grid.add_row(escape(check.check), value, f"{check.direction} {limit}", passed)
    return grid


def _figure(model: dict[str, Any] | None, key: str, shape: str) -> str:
    value = (model or {}).get(key)
    return "—" if value is None else format(value, shape)


def _events_after(states: Any, execution: str, last: int) -> list[dict[str, Any]]:
    """Oldest first; read from the newest back, so that a long history is not read again and again."""
    found: list[dict[str, Any]] = []
    for page in states.get_paginator("get_execution_history").paginate(executionArn=execution, reverseOrder=True):
        for event in page["events"]:
            if event["id"] <= last:
                return found[::-1]
            found.append(event)
    return found[::-1]


class _TrainingLog:
    """The log of the training job that the execution started, as far as it has been written."""

    def __init__(self) -> None:
        self._logs: Any = boto3.client("logs")
        self._job = ""
        self._stream = ""
        self._token: str | None = None
        self._lines: list[str] = []

    def note(self, event: dict[str, Any]) -> None:
        """Learn the job's name from the input of the state that starts it."""
        entered = event.get("stateEnteredEventDetails") or {}
        if entered.get("name") == TRAINING_STATE:
            self._job = json.loads(entered["input"])["run"]["name"]

    def progress(self) -> list[tuple[int, int]]:
        """What the job said since the last call: pictures whose features are computed, and of how many."""
        found = [match for line in self._new_lines() if (match := _PROGRESS.search(line))]
        return [(int(match[1]), int(match[2])) for match in found]

    def last_lines(self, count: int) -> list[str]:
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
            more = {"nextToken": self._token} if self._token else {}
            answer = self._logs.get_log_events(
                logGroupName=TRAINING_LOGS, logStreamName=self._stream, startFromHead=True, **more
            )
        except self._logs.exceptions.ResourceNotFoundException:
            return []  # SageMaker makes group and stream with the job's first line.
        self._token = answer["nextForwardToken"]
        lines = [event["message"] for event in answer["events"]]
        self._lines += lines
        return lines
