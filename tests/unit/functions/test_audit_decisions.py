"""AuditDecisions: requests for labels, the answers in the records, second opinions, figures and metrics."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import jsonschema
import pytest
from botocore.exceptions import ClientError

import events
from functions.audit_decisions import audit as audit_module
from functions.shared.aws import client
from functions.shared.photo import Photo
from functions.shared.photo_record import PhotoRecord
from functions.shared.sampling import SECOND_OPINION, in_sample
from tests.support.labels import label_of
from tests.unit.functions.stack import (
    PHOTOS,
    REGION,
    TASK_TOKEN,
    CallFailer,
    Function,
    FunctionOutput,
    ModelServer,
    Stack,
)

ML = "scones-test-ml"
ADA, BEN = "AIDAADA", "AIDABEN"


@pytest.fixture
def queue(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> str:
    """The audit queue; every confident photo is in the sample, and nobody is asked for a second opinion."""
    client("s3").create_bucket(Bucket=ML, CreateBucketConfiguration={"LocationConstraint": REGION})
    url = client("sqs").create_queue(QueueName="audit")["QueueUrl"]
    for name, value in {
        "STAGE": "test",
        "ML_BUCKET": ML,
        "AUDIT_QUEUE_URL": url,
        "AUDIT_SHARE": "1",
        "SECOND_OPINION_SHARE": "0",
    }.items():
        monkeypatch.setenv(name, value)
    return url


@pytest.fixture
def classify(queue: str, function: Callable[[str], Function]) -> Function:
    return function("classify_photo")


@pytest.fixture
def audit(queue: str, function: Callable[[str], Function]) -> Function:
    return function("audit_decisions")


@pytest.fixture
def audit_all_twice(queue: str, function: Callable[[str], Function], monkeypatch: pytest.MonkeyPatch) -> Function:
    """The function, with a second opinion about every photo."""
    monkeypatch.setenv("SECOND_OPINION_SHARE", "1")
    return function("audit_decisions")


def decide(stack: Stack, classify: Function, name: str = "bike") -> Photo:
    """Return a photo that the model has decided about: a bicycle."""
    photo = stack.upload(key=f"uploads/driver-{name}/bike.jpg")
    classify(photo=photo.as_state())
    return photo


def messages(url: str) -> list[dict[str, Any]]:
    """Receive and delete the messages of a queue, each validated against its contract."""
    found = []
    while received := client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for message in received:
            found.append(json.loads(message["Body"]))
            jsonschema.validate(found[-1], events.contract("label_request"))
            client("sqs").delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return found


def answer(record: PhotoRecord, vehicle: str, by: str = ADA, *, request: int = -1, **changed: Any) -> None:
    """Write a label and the object that names it, as the console does, for the newest request or another one."""
    asked = record.review_requests[request]
    alone = PhotoRecord(record.photo, "", "", "", "", review_requests=(asked,))
    label = label_of(alone, vehicle, by).with_content(**changed)
    key = label.put(client("s3"), ML)
    day = datetime.fromisoformat(asked["requested_at"])
    name = f"reviews/{day:%Y/%m/%d}/{record.photo.photo_id}-{asked['token_hash'][:16]}.answer.json"
    client("s3").put_object(Bucket=ML, Key=name, Body=json.dumps({"label": key}))


def test_a_sampled_decision_is_sent_to_the_reviewers_once(
    stack: Stack, queue: str, classify: Function, audit: Function
) -> None:
    photo = decide(stack, classify)
    assert audit()["sent"] == 1
    (message,) = messages(queue)
    record = stack.record(photo)
    assert (message["photo"], message["reason"]) == (photo.as_state(), "Audit")
    assert record.review_requests[-1]["token_hash"] == message["token_hash"] == record.label_sent
    assert record.status == "routed"
    assert audit()["sent"] == 0
    assert messages(queue) == []


def test_the_message_has_neither_the_answer_of_the_model_nor_a_task_token(
    stack: Stack, queue: str, classify: Function, audit: Function
) -> None:
    decide(stack, classify)
    audit()
    (message,) = messages(queue)
    assert set(message) == {"photo", "reason", "token_hash", "requested_at"}


def test_a_message_that_sqs_did_not_accept_is_sent_by_the_next_run(
    stack: Stack, queue: str, classify: Function, audit: Function, fail_call: CallFailer
) -> None:
    photo = decide(stack, classify)
    restore = fail_call(client("sqs"), "send_message")
    with pytest.raises(Exception, match="on purpose"):
        audit()
    restore()
    audit()
    (message,) = messages(queue)
    assert len(stack.record(photo).review_requests) == 1
    assert stack.record(photo).label_sent == message["token_hash"]


def test_a_review_that_timed_out_is_sent_as_a_request_for_a_label(
    stack: Stack, queue: str, classify: Function, audit: Function, assign_bay: Function, model: ModelServer
) -> None:
    model.set_probabilities(bicycle=0.5, motorcycle=0.4, other=0.1)
    photo = decide(stack, classify)
    assign_bay(photo=photo.as_state(), decided_by="fallback", vehicle=None, confidence=None, model_version=None)
    result = audit()
    (message,) = messages(queue)
    assert message["reason"] == "ReviewTimedOut"
    assert result["figures"]["by_model"] == {}


def test_a_photo_without_a_record_any_more_is_not_sent(
    stack: Stack, queue: str, classify: Function, audit: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = decide(stack, classify)
    records = list(stack.label_wanted())
    client("dynamodb").delete_item(TableName=PHOTOS, Key={"photo_id": {"S": photo.photo_id}})
    monkeypatch.setattr(audit.module.photos, "list_label_wanted", lambda since: records)
    audit()
    assert messages(queue) == []
    assert stack.find_record(photo) is None


@pytest.mark.parametrize(("vehicle", "wrong"), [("bicycle", 0), ("motorcycle", 1), ("other", 1)])
def test_an_answer_is_recorded_and_counted_and_changes_no_decision(
    stack: Stack, classify: Function, audit: Function, vehicle: str, wrong: int
) -> None:
    photo = decide(stack, classify)
    before = stack.record(photo)
    audit()
    answer(stack.record(photo), vehicle)
    figures = audit()["figures"]
    record = stack.record(photo)
    assert record.label_answer is not None
    assert (record.label_answer["vehicle"], record.label_answer["reviewer"]) == (vehicle, ADA)
    assert (record.status, record.outcome, record.announced) == (before.status, before.outcome, before.announced)
    estimate = figures["by_model"]["model-1"]
    assert (estimate["answered"], estimate["wrong"], estimate["open"]) == (1, wrong, 0)
    assert figures["by_vehicle"] == {"bicycle": estimate}


def test_an_unusable_photo_is_no_wrong_decision(stack: Stack, classify: Function, audit: Function) -> None:
    photo = decide(stack, classify)
    audit()
    answer(stack.record(photo), "unusable")
    estimate = audit()["figures"]["by_model"]["model-1"]
    assert (estimate["answered"], estimate["unusable"], estimate["error"]) == (0, 1, None)


def test_an_answer_to_another_request_does_not_count(stack: Stack, classify: Function, audit: Function) -> None:
    photo = decide(stack, classify)
    audit()
    answer(stack.record(photo), "motorcycle", token_hash="0" * 64)
    assert audit()["answered"] == 0
    assert stack.record(photo).label_answer is None


def test_a_label_under_the_key_of_another_reviewer_does_not_count(
    stack: Stack, classify: Function, audit: Function
) -> None:
    photo = decide(stack, classify)
    audit()
    answer(stack.record(photo), "motorcycle", BEN, reviewer=ADA)
    assert audit()["answered"] == 0


def test_a_second_opinion_is_asked_of_another_reviewer(
    stack: Stack, queue: str, classify: Function, audit_all_twice: Function
) -> None:
    photo = decide(stack, classify)
    audit_all_twice()
    answer(stack.record(photo), "bicycle", ADA)
    messages(queue)
    audit_all_twice()
    (message,) = messages(queue)
    assert message["reason"] == "SecondOpinion"
    record = stack.record(photo)
    assert record.second_request is not None
    assert record.second_request["first"]["reviewer"] == ADA
    answer(record, "motorcycle", BEN)
    reviewers = audit_all_twice()["figures"]["reviewers"]
    assert (reviewers["photos"], reviewers["agreement"]) == (1, 0.0)


def test_the_first_reviewer_cannot_give_the_second_opinion(
    stack: Stack, classify: Function, audit_all_twice: Function
) -> None:
    photo = decide(stack, classify)
    audit_all_twice()
    answer(stack.record(photo), "bicycle", ADA)
    audit_all_twice()
    record = stack.record(photo)
    asked = PhotoRecord(record.photo, "", "", "", "", review_requests=record.review_requests[-1:])
    label_of(asked, "bicycle", ADA, number=2).put(client("s3"), ML)
    answered = client("s3").list_objects_v2(Bucket=ML, Prefix="reviews/")["Contents"][0]["Key"]
    second = answered.replace(record.review_requests[0]["token_hash"][:16], asked.review_requests[0]["token_hash"][:16])
    client("s3").put_object(Bucket=ML, Key=second, Body=b"{}")
    assert audit_all_twice()["figures"]["reviewers"]["photos"] == 0


def test_a_reviewed_photo_gets_a_second_opinion_too(
    stack: Stack,
    queue: str,
    classify: Function,
    assign_bay: Function,
    request_review: Function,
    audit_all_twice: Function,
    model: ModelServer,
) -> None:
    model.set_probabilities(bicycle=0.5, motorcycle=0.4, other=0.1)
    photo = decide(stack, classify)
    request_review(photo=photo.as_state(), reason="LowConfidence", timeout_s=900, task_token=TASK_TOKEN)
    answer(stack.record(photo), "motorcycle")
    assign_bay(
        photo=photo.as_state(), decided_by="reviewer", vehicle="motorcycle", confidence=None, model_version="model-1"
    )
    audit_all_twice()
    assert [message["reason"] for message in messages(queue)] == ["SecondOpinion"]


def test_a_share_of_the_answered_photos_gets_a_second_opinion(
    stack: Stack, queue: str, classify: Function, function: Callable[[str], Function], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECOND_OPINION_SHARE", "0.5")
    audit = function("audit_decisions")
    photos = [decide(stack, classify, str(number)) for number in range(6)]
    audit()
    for photo in photos:
        answer(stack.record(photo), "bicycle")
    messages(queue)
    audit()
    asked = {message["photo"]["photo_id"] for message in messages(queue)}
    assert asked == {photo.photo_id for photo in photos if in_sample(photo.photo_id, 0.5, SECOND_OPINION)}
    assert 0 < len(asked) < 6


def test_the_bounds_of_the_error_are_published_for_the_stage(
    stack: Stack, classify: Function, audit: Function, output: Callable[[], FunctionOutput]
) -> None:
    photo = decide(stack, classify)
    audit()
    assert output().metrics("AuditErrorLowerBound") == []
    answer(stack.record(photo), "motorcycle")
    audit()
    (line,) = output().metrics("AuditErrorLowerBound")
    assert (line["service"], line["stage"]) == ("audit-decisions", "test")
    assert line["AuditError"] == [1.0]
    assert 0 < line["AuditErrorLowerBound"][0] < 1
    assert line["AuditErrorUpperBound"] == [1.0]


def test_a_run_continues_where_the_one_before_ended(
    stack: Stack, queue: str, classify: Function, audit: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_module, "MOST_CHANGES", 4)
    photos = {decide(stack, classify, str(number)).photo_id for number in range(3)}
    runs = [audit()["sent"] for _ in range(4)]
    assert runs == [1, 2, 0, 0]
    assert {message["photo"]["photo_id"] for message in messages(queue)} == photos


def test_decisions_before_the_window_are_not_counted(
    stack: Stack, classify: Function, audit: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = decide(stack, classify)
    audit()
    answer(stack.record(photo), "bicycle")
    audit()
    later = audit.module.now() + timedelta(days=29)
    monkeypatch.setattr(audit.module, "now", lambda: later)
    assert audit()["figures"]["model_version"] is None


def test_an_object_that_nobody_may_read_is_no_answer(
    stack: Stack, classify: Function, audit: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = decide(stack, classify)
    audit()
    answer(stack.record(photo), "bicycle")
    refused: Any = {"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}

    def refuse(**_: Any) -> None:
        raise ClientError(refused, "GetObject")

    monkeypatch.setattr(client("s3"), "get_object", refuse)
    assert audit()["answered"] == 0
