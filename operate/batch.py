"""`make batch`: classify many photos, follow the batch, and keep its results in a report."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from deploy.outputs import Deployed
from functions.shared.batch import batch_id as check_id
from functions.shared.batch_results import OUTCOMES
from functions.shared.errors import InvalidInput
from functions.shared.s3 import parse_uri
from operate.batch_source import Source, prepare_address, prepare_folder
from operate.errors import CommandError
from operate.photo_folders import describe_left_out
from operate.terminal import console, print_line

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_stepfunctions import SFNClient

POLL_S = 0.5
# The name of an execution has at most 80 characters; the start of it is the id, the rest the time.
_LONGEST_ID = 55
_ENDED = ("succeeded", "failed", "timedOut", "aborted")


def run(deployed: Deployed, photos: str, folder: Path, batch_id: str = "", *, review: bool = False) -> dict[str, Any]:
    """Upload photos where that is needed, classify them, and write the report to `folder`; return the summary.

    `photos` is a folder or a file on this machine, or an address in S3. Photos that have a result in the batch are not
    classified again. With `review`, reviewers are asked for labels of unsure photos. Raises CommandError, also when
    photos have no result.
    """
    if batch_id:
        _check(batch_id)
    with _bar("upload") as progress:
        if photos.startswith("s3://"):
            source = prepare_address(deployed, photos, batch_id, progress)
        else:
            source = prepare_folder(deployed, Path(photos), batch_id, progress)
    for line in describe_left_out(source.left_out):
        print_line(line)
    print_line(f"Batch {source.id}: {source.address}")
    execution = _find_running(deployed, source.id) or start(deployed, source, review=review)
    status = follow(execution)
    summary = _read_report(deployed, source.id, folder)
    ended = boto3.client("stepfunctions").describe_execution(executionArn=execution)
    if summary is None or summary["execution"] != execution:
        raise CommandError(
            f"The batch ended as {status}: {ended.get('error', '')}: {ended.get('cause', 'no cause given')}\n"
            f"Execution: {execution}"
        )
    _print(summary, folder, source.id)
    if summary["status"] != "complete":
        reasons = [f"{one['photos']:,} photos: {one['error']}: {one['cause']}" for one in summary["unclassified"]]
        reasons += [f"it stopped early: {one['error']}: {one['cause']}" for one in [summary["stopped_by"]] if one]
        raise CommandError("Photos have no result. Run this command again to continue.\n" + "\n".join(reasons))
    return summary


def start(deployed: Deployed, source: Source, *, review: bool = False) -> str:
    """Start classify-batch for a source, with labels for unsure photos if `review`; return the ARN of the execution."""
    states: SFNClient = boto3.client("stepfunctions")
    name = f"{source.id[:_LONGEST_ID]}-{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
    request = {"id": source.id, source.kind: source.address, "review_unsure": review}
    return states.start_execution(stateMachineArn=deployed.classify_batch_arn, name=name, input=json.dumps(request))[
        "executionArn"
    ]


def follow(execution: str) -> str:
    """Show the progress of a batch until it ends; return the status of its execution."""
    states: SFNClient = boto3.client("stepfunctions")
    with _bar("classify") as progress:
        while True:
            status = states.describe_execution(executionArn=execution)["status"]
            for run in states.list_map_runs(executionArn=execution)["mapRuns"]:
                counts: Any = states.describe_map_run(mapRunArn=run["mapRunArn"])["itemCounts"]
                progress(sum(counts[name] for name in _ENDED), counts["total"])
            if status != "RUNNING":
                return status
            time.sleep(POLL_S)


def _find_running(deployed: Deployed, batch_id: str) -> str | None:
    """Return the execution of a batch that runs, of an earlier command that was interrupted."""
    states: SFNClient = boto3.client("stepfunctions")
    pages = states.get_paginator("list_executions").paginate(
        stateMachineArn=deployed.classify_batch_arn, statusFilter="RUNNING"
    )
    for page in pages:
        for execution in page["executions"]:
            given = json.loads(states.describe_execution(executionArn=execution["executionArn"])["input"])
            if given.get("id", execution["name"]) == batch_id:
                print_line("It runs already, since an earlier command: following it.")
                return execution["executionArn"]
    return None


def _read_report(deployed: Deployed, batch_id: str, folder: Path) -> dict[str, Any] | None:
    """Download summary and results of a batch; return the summary, None when there is none."""
    s3: S3Client = boto3.client("s3")
    summary_key = f"batches/{batch_id}/summary.json"
    try:
        content = s3.get_object(Bucket=deployed.ml_bucket, Key=summary_key)["Body"].read()
    except s3.exceptions.NoSuchKey:  # the execution failed before it wrote one, which the caller reports
        return None
    summary: dict[str, Any] = json.loads(content)
    folder.mkdir(parents=True, exist_ok=True)
    report_path(folder, batch_id, "json").write_bytes(content)
    bucket, key = parse_uri(summary["results"])
    s3.download_file(bucket, key, str(report_path(folder, batch_id, "jsonl")))
    return summary


def report_path(folder: Path, batch_id: str, suffix: str) -> Path:
    """Return the file of a report: the summary (`json`) or the results (`jsonl`)."""
    return folder / f"batch-{batch_id}.{suffix}"


def _print(summary: dict[str, Any], folder: Path, batch_id: str) -> None:
    grid = Table(title=f"{summary['photos']:,} photos", title_justify="left")
    grid.add_column("")
    grid.add_column("photos", justify="right")
    for name in OUTCOMES:
        grid.add_row(name, f"{summary['outcomes'][name]:,}")
    for title, counts in (("answered", summary["vehicles"]), ("failed as", summary["failures"])):
        for name, count in counts.items():
            grid.add_row(f"  {title} {name}", f"{count:,}")
    if summary["reviews"]:
        grid.add_row("sent to reviewers for a label", f"{summary['reviews']:,}")
    console.print(grid)
    print_line(f"Report: {report_path(folder, batch_id, 'jsonl')}, {report_path(folder, batch_id, 'json')}")


def _check(batch_id: str) -> None:
    try:
        check_id(batch_id, "BATCH")
    except InvalidInput as error:
        raise CommandError(f"{error}.") from error


@contextmanager
def _bar(what: str) -> Iterator[Any]:
    """Show a progress bar; yields a function of the number of photos that are done, and of all."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
