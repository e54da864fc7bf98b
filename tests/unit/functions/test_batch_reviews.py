"""SummarizeBatch asks reviewers about photos of which a batch was not sure: for labels, never for decisions."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from functions.shared.aws import client
from functions.shared.batch_results import BatchResults
from functions.shared.photo import Photo
from functions.shared.photo_record import BATCHED, ROUTED
from functions.shared.photo_table import PhotoTable
from functions.shared.times import now
from tests.support.photo_table import create_batch_result_table
from tests.unit.functions.stack import (
    ANOTHER_EXECUTION,
    EXECUTION,
    JPEG,
    PHOTOS,
    REGION,
    UPLOADS,
    CallFailer,
    Function,
    Stack,
)

TABLE, ML = "scones-test-batch-results", "scones-test-ml"
BATCH: dict[str, Any] = {"id": "yard", "kind": "prefix", "bucket": UPLOADS, "prefix": "batches/yard/", "reviews": 3}
PREDICTION = {
    "vehicle": "bicycle",
    "confidence": 0.6,
    "probabilities": {"bicycle": 0.6, "motorcycle": 0.3, "other": 0.1},
    "model_version": "model-1",
}


@pytest.fixture
def table(stack: Stack) -> BatchResults:
    create_batch_result_table(client("dynamodb"), TABLE)
    return BatchResults(TABLE, client("dynamodb"))


@pytest.fixture
def summarize(table: BatchResults, function: Callable[[str], Function], monkeypatch: pytest.MonkeyPatch) -> Function:
    for name, value in {"BATCH_RESULT_TABLE": TABLE, "ML_BUCKET": ML, "PHOTO_TABLE": PHOTOS}.items():
        monkeypatch.setenv(name, value)
    client("s3").create_bucket(Bucket=ML, CreateBucketConfiguration={"LocationConstraint": REGION})
    return function("summarize_batch")


@pytest.fixture
def audit(stack: Stack, function: Callable[[str], Function], monkeypatch: pytest.MonkeyPatch) -> Function:
    """AuditDecisions, with its queue."""
    url = client("sqs").create_queue(QueueName="audit")["QueueUrl"]
    for name, value in {"AUDIT_QUEUE_URL": url, "SECOND_OPINION_SHARE": "0", "ML_BUCKET": ML}.items():
        monkeypatch.setenv(name, value)
    return function("audit_decisions")


def add(stack: Stack, table: BatchResults, key: str, outcome: str = "unsure", batch: str = "yard") -> Photo:
    """Upload a photo, and add its result."""
    photo = stack.upload(JPEG + key.encode(), key)
    result = {"photo": photo.as_state(), "outcome": outcome, "reason": "LowConfidence", **PREDICTION, "threshold": 0.9}
    assert table.add(batch, photo.photo_id, None, result, now())
    return photo


def ask(summarize: Function, **changed: Any) -> int:
    """Summarize a complete batch; return the number of photos that reviewers are asked about."""
    key = f"batches/{changed.get('id', 'yard')}/map-runs/1/manifest.json"
    client("s3").put_object(Bucket=ML, Key=key, Body=b'{"ResultFiles": {"FAILED": []}}')
    answer = summarize(batch={**BATCH, **changed}, manifest=key, error=None)
    assert answer["event"]["status"] == "complete"
    return reviews(changed.get("id", "yard"))


def reviews(batch: str) -> int:
    body = client("s3").get_object(Bucket=ML, Key=f"batches/{batch}/summary.json")["Body"].read()
    return int(json.loads(body)["reviews"])


def test_reviewers_are_asked_about_unsure_photos_by_choice(
    stack: Stack, summarize: Function, table: BatchResults
) -> None:
    unsure = add(stack, table, "batches/yard/unsure.jpg")
    sure = add(stack, table, "batches/yard/sure.jpg", "classified")
    assert ask(summarize, reviews=0) == 0
    assert stack.find_record(unsure) is None
    assert ask(summarize) == 1
    assert stack.find_record(sure) is None
    record = stack.record(unsure)
    assert (record.status, record.outcome, record.classification) == (BATCHED, None, PREDICTION)
    assert record.label_request is not None
    assert record.label_request["reason"] == "UnsureInBatch"
    assert [one["token_hash"] for one in record.review_requests] == [record.label_request["token_hash"]]
    # Nothing that counts the photos of drivers finds it.
    reader = PhotoTable(PHOTOS, client("dynamodb"))
    assert list(reader.list_by_day(record.first_seen_at[:10])) == []
    assert list(reader.list_by_driver(unsure.driver_id)) == []
    assert stack.messages() == []
    assert stack.published() == []


def test_the_request_is_sent_to_the_audit_queue_once(
    stack: Stack, summarize: Function, table: BatchResults, audit: Function
) -> None:
    add(stack, table, "batches/yard/unsure.jpg")
    ask(summarize)
    assert audit()["sent"] == 1
    ask(summarize)
    assert audit()["sent"] == 0


def test_a_batch_that_continues_and_another_one_ask_no_second_time(
    stack: Stack, summarize: Function, table: BatchResults
) -> None:
    photo = add(stack, table, "batches/yard/unsure.jpg")
    assert ask(summarize) == 1
    before = stack.record(photo)
    assert ask(summarize) == 1
    result = next(iter(table.list_results("yard")))
    table.add("again", photo.photo_id, None, result, now())
    assert ask(summarize, id="again") == 1
    assert stack.record(photo) == before


def test_of_more_photos_the_limit_is_kept_by_every_execution(
    stack: Stack, summarize: Function, table: BatchResults
) -> None:
    photos = [add(stack, table, f"batches/yard/{number}.jpg") for number in range(5)]
    for _ in range(2):
        assert ask(summarize, reviews=2) == 2
        assert sum(stack.find_record(photo) is not None for photo in photos) == 2


def test_nobody_is_asked_while_photos_have_no_result(stack: Stack, summarize: Function, table: BatchResults) -> None:
    photo = add(stack, table, "batches/yard/unsure.jpg")
    summarize(batch=BATCH, manifest=None, error={"Error": "States.ItemReaderFailed", "Cause": ""})
    assert (reviews("yard"), stack.find_record(photo)) == (0, None)


def test_a_decision_of_the_model_is_not_changed_by_the_request(
    stack: Stack, summarize: Function, table: BatchResults, function: Callable[[str], Function]
) -> None:
    decided, unrecorded = (add(stack, table, f"uploads/driver-17/{name}.jpg") for name in ("decided", "new"))
    function("classify_photo")(photo=decided.as_state())
    before = stack.record(decided)
    assert before.status == ROUTED
    assert ask(summarize) == 1
    record = stack.record(decided)
    assert (record.status, record.outcome, record.audit) == (ROUTED, before.outcome, before.audit)
    assert record.label_request is not None
    # A photo of a driver without a record is about to be classified by its own execution.
    assert stack.find_record(unrecorded) is None


def test_a_photo_in_review_or_decided_by_a_reviewer_gets_no_request(
    stack: Stack, summarize: Function, table: BatchResults
) -> None:
    photos = PhotoTable(PHOTOS, client("dynamodb"))
    waiting, reviewed = (add(stack, table, f"uploads/driver-17/{name}.jpg") for name in ("waiting", "reviewed"))
    request = {"reason": "LowConfidence", "token_hash": "0" * 64, "expires_at": "2099-01-01T00:00:00Z"}
    photos.claim_review(waiting, EXECUTION, now(), review=request)
    outcome = {"decided_by": "reviewer", "vehicle": "bicycle"}
    photos.record_outcome(reviewed, ROUTED, EXECUTION, now(), outcome=outcome)
    assert ask(summarize) == 0
    assert [stack.record(photo).label_request for photo in (waiting, reviewed)] == [None, None]


def test_a_photo_of_a_batch_can_be_routed_later(
    stack: Stack, summarize: Function, table: BatchResults, function: Callable[[str], Function]
) -> None:
    photo = add(stack, table, "batches/yard/unsure.jpg")
    ask(summarize)
    function("classify_photo")(photo=photo.as_state(), execution=ANOTHER_EXECUTION)
    assert stack.record(photo).status == ROUTED


def test_a_batch_is_summarized_again_when_the_records_do_not_answer(
    stack: Stack, summarize: Function, table: BatchResults, fail_call: CallFailer
) -> None:
    add(stack, table, "batches/yard/unsure.jpg")
    fail_call(summarize.module.photos._dynamodb, "update_item")
    with pytest.raises(Exception) as caught:  # noqa: PT011  # the class is imported again by the cold start
        ask(summarize)
    assert type(caught.value).__name__ == "RecordUnavailable"
