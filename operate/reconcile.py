"""Account for every upload: run the function reconcile-photos, follow what it restarted, print what is left."""

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from rich.table import Table

from deploy.outputs import Deployed
from functions.shared.aws import error_code
from functions.shared.photo_record import IN_REVIEW, OUTCOMES
from functions.shared.photo_table import PhotoTable
from functions.shared.running import is_running
from operate.errors import CommandError
from operate.terminal import console, duration, print_line

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_stepfunctions import SFNClient

FUNCTION = "reconcile-photos"
GRACE_S = 120.0
WAIT_S = 120.0
POLL_S = 1.0
# Executions that ended are looked for less often than results, and in few of the executions: the quota is small.
_POLLS_PER_DESCRIBE, _MAX_DESCRIBED = 5, 50
# Longer than the timeout of the function.
_CALL_TIMEOUT_S = 910

# The results of a restart; the others are statuses of records: routed, rejected, in_review.
RUNNING, FAILED = "running", "failed"

LISTS = ("announced", "restarted", "unexplained")
_TITLES = {
    "uploads": "uploads in the time window",
    "with_outcome": "  with a decision or a rejection",
    "without_outcome": "  without",
    "too_young": "uploads that are too young to examine",
    "waiting_for_review": "photos waiting for a reviewer",
    "in_progress": "photos in a running execution",
    "announced": "outcomes announced now",
    "restarted": "photos restarted now",
    "unexplained": "unexplained",
}
_QUEUES = {
    "review": "review_queue_url",
    "review_dead_letter": "review_dead_letter_queue_url",
    "unrouted": "unrouted_queue_url",
}


def run(
    deployed: Deployed,
    report_file: Path,
    *,
    hours: float | None = None,
    grace_s: float = GRACE_S,
    force: bool = False,
    wait_s: float = WAIT_S,
) -> int:
    """Reconcile, follow the restarted photos for at most `wait_s` seconds, write the report; return the exit status.

    It is 0 when every photo has an outcome, waits for a reviewer or is in a running execution. `hours` limits the
    uploads to examine, None examines all. `grace_s`: younger photos are not touched. `force`: restart also photos that
    were restarted as often as the function does by itself. Raises CommandError when the function fails.
    """
    started = time.monotonic()
    request = {"grace_s": grace_s, "force": force, **({} if hours is None else {"hours": hours})}
    report = _merge(_call(deployed, request))
    for name in LISTS:
        for entry in report[name]:
            print_line(f"  {name:<12} {entry['photo_id']}  {entry['photo']}  ({entry['reason']})")
    _follow(deployed, report["restarted"], wait_s)
    failed = sum(entry["result"] == FAILED for entry in report["restarted"])
    report |= {
        "names_left_out": {name: report["counts"][name] - len(report[name]) for name in LISTS},
        "queues": _read_queues(deployed),
        "results": dict(Counter(entry["result"] for entry in report["restarted"])),
        "explained": not report["counts"]["unexplained"] and not failed,
        "duration_s": round(time.monotonic() - started, 1),
    }
    _print(report)
    report_file.parent.mkdir(parents=True, exist_ok=True)
    report_file.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print_line(f"Report: {report_file}")
    if report["explained"]:
        print_line("Every photo has an outcome, waits for a reviewer or is being processed.")
        return 0
    print_line(_advice(report, failed))
    return 1


def _call(deployed: Deployed, request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Call the function until it is complete; yield each answer. Raises CommandError."""
    function: LambdaClient = boto3.client(
        "lambda",
        config=Config(read_timeout=_CALL_TIMEOUT_S, tcp_keepalive=True, retries={"total_max_attempts": 1}),
    )
    continuation: dict[str, Any] | None = None
    while True:
        try:
            answer = function.invoke(
                FunctionName=f"{deployed.app_name}-{FUNCTION}",
                Payload=json.dumps({**request, "continuation": continuation}),
            )
        except ClientError as error:
            if error_code(error) == "ResourceNotFoundException":
                raise CommandError(
                    f"There is no function {FUNCTION}: an earlier version is deployed. Run `make deploy`."
                ) from error
            raise
        payload = json.loads(answer["Payload"].read())
        if "FunctionError" in answer:
            raise CommandError(
                f"The function failed: {payload.get('errorType')}: {payload.get('errorMessage')}. "
                f"Its log is {deployed.log_group(FUNCTION)}. It is safe to run `make reconcile` again."
            )
        yield payload
        if payload["complete"]:
            return
        if payload["continuation"] == continuation:
            raise CommandError("The function makes no progress within its timeout. Its log contains the counts.")
        continuation = payload["continuation"]
        console.print(f"  {payload['counts']['uploads']:,} uploads examined; the function continues")


def _merge(answers: Iterator[dict[str, Any]]) -> dict[str, Any]:
    """Return one report of all answers: counts added, lists joined."""
    merged: dict[str, Any] = {}
    for answer in answers:
        if merged:
            answer["counts"] = {name: count + merged["counts"][name] for name, count in answer["counts"].items()}
            for name in LISTS:
                answer[name] = merged[name] + answer[name]
        merged = answer
    del merged["continuation"]
    return merged


def _follow(deployed: Deployed, restarted: Sequence[dict[str, Any]], wait_s: float) -> None:
    """Set the `result` of each restarted photo: its status, RUNNING, or FAILED when its execution ended without one."""
    photos = PhotoTable(deployed.photo_table, boto3.client("dynamodb"))
    states: SFNClient = boto3.client("stepfunctions")
    deadline = time.monotonic() + wait_s
    left = {entry["photo_id"]: entry for entry in restarted}
    for entry in restarted:
        entry["result"] = RUNNING
    polls = 0
    with console.status("") as status:
        while True:
            last = time.monotonic() > deadline
            ended = []
            if last or polls % _POLLS_PER_DESCRIBE == _POLLS_PER_DESCRIBE - 1:
                examined = list(left.values())[: None if last else _MAX_DESCRIBED]
                ended = [entry for entry in examined if not is_running(states, entry["execution"])]
            # Read after the executions: the record of one that has ended does not change any more.
            for photo_id, found in photos.find_statuses(left).items():
                if found in OUTCOMES or found == IN_REVIEW:
                    left.pop(photo_id)["result"] = found
            for entry in ended:
                if entry["photo_id"] in left or entry["result"] == IN_REVIEW:
                    left.pop(entry["photo_id"], None)
                    entry["result"] = FAILED
            status.update(f"{len(restarted) - len(left):,} of {len(restarted):,} restarted photos have a result")
            if not left or last:
                return
            polls += 1
            time.sleep(POLL_S)


def _read_queues(deployed: Deployed) -> dict[str, int]:
    """Return the number of messages in each queue, also of those that a reader has."""
    sqs: SQSClient = boto3.client("sqs")
    lengths = {}
    for name, output in _QUEUES.items():
        attributes = sqs.get_queue_attributes(
            QueueUrl=getattr(deployed, output),
            AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
        )["Attributes"]
        lengths[name] = sum(map(int, attributes.values()))
    return lengths


def _print(report: Mapping[str, Any]) -> None:
    grid = Table(title=f"Reconciliation in {duration(report['duration_s'])}", title_justify="left")
    grid.add_column("")
    grid.add_column("photos", justify="right")
    for name, title in _TITLES.items():
        grid.add_row(title, f"{report['counts'][name]:,}", style="bold red" if _is_wrong(name, report) else None)
    for name, count in report["results"].items():
        grid.add_row(f"  restarted, now {name.replace('_', ' ')}", f"{count:,}")
    console.print(grid)
    for name, count in report["names_left_out"].items():
        if count:
            print_line(f"{count:,} more were {name}; the log of the function names them.")
    queues = report["queues"]
    print_line(
        f"Messages: {queues['review']:,} review requests, {queues['review_dead_letter']:,} failed review requests, "
        f"{queues['unrouted']:,} in the unrouted queue."
    )
    if queues["review_dead_letter"] or queues["unrouted"]:
        print_line("To send failed messages again: make redrive")


def _is_wrong(name: str, report: Mapping[str, Any]) -> bool:
    return bool(name == "unexplained" and report["counts"][name])


def _advice(report: Mapping[str, Any], failed: int) -> str:
    """Return the sentence that ends a run with unexplained photos."""
    parts = []
    if count := report["counts"]["unexplained"]:
        parts.append(f"{count:,} photos are unexplained")
    if failed:
        parts.append(f"{failed:,} restarted executions ended without an outcome")
    return (
        f"{' and '.join(parts)}; the reasons are above. Remove the cause, which the history of an execution shows; "
        "then run `make reconcile FORCE=yes`, which also restarts photos that were restarted three times."
    )
