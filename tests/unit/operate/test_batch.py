"""`make batch`: what is started, what is continued, and what the report says."""

import json
from pathlib import Path
from typing import Any

import boto3
import pytest

from deploy.outputs import Deployed
from operate import batch
from operate.batch_source import Source
from operate.errors import CommandError
from operate.terminal import console

SOURCE = Source("yard", "prefix", "s3://uploads-bucket/batches/yard/")


def executions(deployed: Deployed) -> list[dict[str, Any]]:
    """The inputs of the executions of classify-batch."""
    states = boto3.client("stepfunctions")
    listed = states.list_executions(stateMachineArn=deployed.classify_batch_arn)["executions"]
    return [json.loads(states.describe_execution(executionArn=one["executionArn"])["input"]) for one in listed]


def put_summary(deployed: Deployed, execution: str, **changed: Any) -> None:
    """Write what SummarizeBatch writes."""
    results = f"s3://{deployed.ml_bucket}/batches/yard/results.jsonl"
    summary = {
        "execution": execution,
        "status": "complete",
        "photos": 1,
        "outcomes": {"classified": 0, "unsure": 1, "failed": 0},
        "vehicles": {"bicycle": 1},
        "failures": {},
        "reviews": 0,
        "results": results,
        "unclassified": [],
        "stopped_by": None,
        **changed,
    }
    s3 = boto3.client("s3")
    s3.put_object(Bucket=deployed.ml_bucket, Key="batches/yard/results.jsonl", Body=b'{"outcome": "unsure"}\n')
    s3.put_object(Bucket=deployed.ml_bucket, Key="batches/yard/summary.json", Body=json.dumps(summary).encode())


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every execution ends at once: moto runs none."""

    def follow(execution: str) -> str:
        boto3.client("stepfunctions").stop_execution(executionArn=execution, error="Stopped", cause="by the test")
        return "ABORTED"

    monkeypatch.setattr(batch, "follow", follow)


def run(deployed: Deployed, folder: Path, **options: Any) -> tuple[dict[str, Any], str]:
    """Run the command; return the summary and what was printed."""
    with console.capture() as captured:
        summary = batch.run(deployed, SOURCE.address, folder, "yard", **options)
    return summary, captured.get()


@pytest.mark.parametrize("review", [False, True])
def test_the_execution_gets_the_batch(deployed: Deployed, review: bool) -> None:
    batch.start(deployed, SOURCE, review=review)
    assert executions(deployed) == [{"id": "yard", "prefix": SOURCE.address, "review_unsure": review}]


def test_the_longest_id_fits_into_the_name_of_an_execution(deployed: Deployed) -> None:
    arn = batch.start(deployed, Source("i" * 80, "prefix", SOURCE.address))
    assert len(arn.rpartition(":")[2]) <= 80


def test_a_running_execution_of_the_batch_is_followed(deployed: Deployed, tmp_path: Path, ended: None) -> None:
    batch.start(deployed, Source("another", "prefix", SOURCE.address))
    running = batch.start(deployed, SOURCE)
    put_summary(deployed, running)
    _, printed = run(deployed, tmp_path)
    assert "following it" in printed
    assert len(executions(deployed)) == 2


def test_the_report_is_downloaded_and_printed(
    deployed: Deployed, tmp_path: Path, ended: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = batch.start

    def start(*arguments: Any, **options: Any) -> str:
        execution = real(*arguments, **options)
        put_summary(deployed, execution, reviews=1)
        return execution

    monkeypatch.setattr(batch, "start", start)
    summary, printed = run(deployed, tmp_path, review=True)
    assert json.loads((tmp_path / "batch-yard.json").read_text()) == summary
    assert (tmp_path / "batch-yard.jsonl").read_text() == '{"outcome": "unsure"}\n'
    assert "sent to reviewers for a label" in printed


def test_the_summary_of_an_earlier_execution_is_not_taken_for_this_one(
    deployed: Deployed, tmp_path: Path, ended: None
) -> None:
    put_summary(deployed, "arn:of:an:earlier:execution")
    with pytest.raises(CommandError, match="ended as ABORTED"):
        run(deployed, tmp_path)


def test_an_execution_without_a_summary_is_reported_with_its_error(
    deployed: Deployed, tmp_path: Path, ended: None
) -> None:
    with pytest.raises(CommandError, match="Execution: arn:aws:states"):
        run(deployed, tmp_path)


def test_photos_without_a_result_end_the_command_with_what_to_do(
    deployed: Deployed, tmp_path: Path, ended: None
) -> None:
    unclassified = [{"photos": 1200, "error": "ModelUnavailable", "cause": "no answer"}]
    stopped = {"error": "States.ExceedToleratedFailureThreshold", "cause": "too many"}
    put_summary(
        deployed, batch.start(deployed, SOURCE), status="incomplete", unclassified=unclassified, stopped_by=stopped
    )
    with pytest.raises(CommandError) as caught:
        run(deployed, tmp_path)
    text = str(caught.value)
    assert "Run this command again to continue." in text
    assert "1,200 photos: ModelUnavailable: no answer" in text
    assert "it stopped early: States.ExceedToleratedFailureThreshold: too many" in text


def test_an_id_that_is_none_is_refused_before_anything_is_uploaded(deployed: Deployed, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="BATCH is"):
        batch.run(deployed, str(tmp_path), tmp_path, "../labels")
    assert executions(deployed) == []
