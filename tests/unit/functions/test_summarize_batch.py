"""SummarizeBatch: the results as JSON Lines, their summary, and the event."""

import json
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest

import events
from functions.shared.aws import client
from functions.shared.batch_results import BatchResults
from functions.shared.times import now
from tests.support.photo_table import create_batch_result_table
from tests.unit.functions.stack import PHOTOS, REGION, UPLOADS, Function, Stack

TABLE, ML = "scones-test-batch-results", "scones-test-ml"
BATCH = {"id": "yard", "kind": "prefix", "bucket": UPLOADS, "prefix": "batches/yard/"}
MANIFEST = "batches/yard/map-runs/1/manifest.json"


@pytest.fixture
def table(stack: Stack) -> BatchResults:
    create_batch_result_table(client("dynamodb"), TABLE)
    return BatchResults(TABLE, client("dynamodb"))


@pytest.fixture
def summarize(table: BatchResults, function: Callable[[str], Function], monkeypatch: pytest.MonkeyPatch) -> Function:
    monkeypatch.setenv("BATCH_RESULT_TABLE", TABLE)
    monkeypatch.setenv("ML_BUCKET", ML)
    monkeypatch.setenv("PHOTO_TABLE", PHOTOS)
    client("s3").create_bucket(Bucket=ML, CreateBucketConfiguration={"LocationConstraint": REGION})
    return function("summarize_batch")


def add(table: BatchResults, number: int, confidence: float | None = 0.97, outcome: str = "classified") -> None:
    """Add a result; one without a confidence has failed."""
    failed = confidence is None
    result = {
        "outcome": "failed" if failed else outcome,
        "reason": "UnreadablePhoto" if failed else None,
        "vehicle": None if failed else "bicycle",
        "confidence": confidence,
        "model_version": None if failed else "model-1",
    }
    assert table.add("yard", f"{number:032x}", None, result, now())


def put(key: str, content: Any) -> None:
    client("s3").put_object(Bucket=ML, Key=key, Body=json.dumps(content).encode())


def read(key: str) -> str:
    content: bytes = client("s3").get_object(Bucket=ML, Key=key)["Body"].read()
    return content.decode()


def failed_children(*children: dict[str, Any]) -> None:
    files = [{"Key": "batches/yard/map-runs/1/FAILED_0.json", "Size": 1}] if children else []
    put("batches/yard/map-runs/1/FAILED_0.json", children)
    put(MANIFEST, {"DestinationBucket": ML, "ResultFiles": {"FAILED": files, "PENDING": [], "SUCCEEDED": []}})


def test_the_results_are_counted(summarize: Function, table: BatchResults) -> None:
    failed_children()
    for number, confidence in enumerate((0.0, 0.049, 0.05, 0.97, 1.0)):
        add(table, number, confidence, "unsure" if confidence < 0.9 else "classified")
    add(table, 9, None)
    answer = summarize(batch=BATCH, manifest=MANIFEST, error=None)
    jsonschema.validate(answer["event"], events.schema("Batch Completed"))
    summary = json.loads(read("batches/yard/summary.json"))
    jsonschema.validate(summary, events.contract("batch_summary"))
    assert summary["status"] == "complete"
    assert summary["outcomes"] == {"classified": 2, "unsure": 3, "failed": 1}
    assert summary["confidence_histogram"] == [2, 1, *[0] * 16, 0, 2]
    assert summary["failures"] == {"UnreadablePhoto": 1}
    assert summary["model_versions"] == {"model-1": 5}
    lines = [json.loads(line) for line in read("batches/yard/results.jsonl").splitlines()]
    assert [line["confidence"] for line in lines] == [0.0, 0.049, 0.05, 0.97, 1.0, None]


def test_more_results_than_a_page_of_dynamodb_are_written(summarize: Function, table: BatchResults) -> None:
    failed_children()
    padding = "x" * 100_000
    for number in range(25):
        result = {"outcome": "failed", "reason": "UnreadablePhoto", "error": {"Error": "e", "Cause": padding}}
        table.add("yard", f"{number:032x}", None, result, now())
    assert summarize(batch=BATCH, manifest=MANIFEST, error=None)["event"]["photos"] == 25
    assert len(read("batches/yard/results.jsonl").splitlines()) == 25


def test_photos_without_a_result_are_counted_by_the_error(summarize: Function, table: BatchResults) -> None:
    add(table, 1)
    cause = json.dumps({"errorMessage": "the endpoint did not answer", "errorType": "ModelUnavailable"})
    child = {"Input": json.dumps({"Items": [{}, {}, {}]}), "Error": "ModelUnavailable", "Cause": cause}
    failed_children(child, {**child, "Input": json.dumps({"Items": [{}]})}, {**child, "Error": "Lambda.Unknown"})
    answer = summarize(batch=BATCH, manifest=MANIFEST, error=None)
    assert answer["event"]["status"] == "incomplete"
    assert answer["unclassified"] == [
        {"error": "Lambda.Unknown", "cause": "the endpoint did not answer", "photos": 3},
        {"error": "ModelUnavailable", "cause": "the endpoint did not answer", "photos": 4},
    ]
    assert answer["stopped_by"] is None


def test_a_batch_that_stopped_early_is_summarized(summarize: Function, table: BatchResults) -> None:
    add(table, 1)
    error = {"Error": "States.ExceedToleratedFailureThreshold", "Cause": "too\nmany"}
    answer = summarize(batch=BATCH, manifest=None, error=error)
    assert answer["event"]["status"] == "incomplete"
    assert answer["event"]["photos"] == 1
    assert answer["stopped_by"] == {"error": "States.ExceedToleratedFailureThreshold", "cause": "too\\nmany"}


def test_a_batch_without_photos_is_complete(summarize: Function) -> None:
    failed_children()
    assert summarize(batch=BATCH, manifest=MANIFEST, error=None)["event"]["status"] == "complete"
    assert read("batches/yard/results.jsonl") == ""


def test_a_manifest_that_cannot_be_read_is_an_error_with_its_address(summarize: Function) -> None:
    put(MANIFEST, {"ResultFiles": {}})
    with pytest.raises(Exception, match=f"s3://{ML}/{MANIFEST}") as caught:
        summarize(batch=BATCH, manifest=MANIFEST, error=None)
    assert type(caught.value).__name__ == "InvalidDocument"
