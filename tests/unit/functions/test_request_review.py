"""RequestReview: one open request per photo, also with retries."""

import hashlib
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from functions.shared.aws import client
from functions.shared.errors import (
    EventNotPublished,
    InvalidInput,
    PhotoDecided,
    PhotoMissing,
    ReviewNotSent,
    ReviewPending,
)
from functions.shared.photo import Photo
from tests.unit.functions.stack import (
    ANOTHER_EXECUTION,
    EXECUTION,
    TASK_TOKEN,
    Function,
    FunctionOutput,
    Stack,
)

CLASSIFICATION = {
    "vehicle": "motorcycle",
    "confidence": 0.71,
    "probabilities": {"bicycle": 0.25, "motorcycle": 0.71, "other": 0.04},
    "model_version": "model-1",
}
NEW_TOKEN = TASK_TOKEN + "-of-the-second-attempt"
ANOTHER_TOKEN = TASK_TOKEN + "-of-another-execution"


def review_input(photo: Photo, **changes: Any) -> dict[str, Any]:
    return {
        "photo": photo.as_state(),
        "classification": CLASSIFICATION,
        "threshold": 0.93,
        "reason": "LowConfidence",
        "task_token": TASK_TOKEN,
        "timeout_s": 900,
    } | changes


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def test_the_message_has_everything_about_the_photo(stack: Stack, request_review: Function) -> None:
    photo = stack.upload()
    request_review(**review_input(photo))
    (message,) = stack.messages()
    requested_at, expires_at = (datetime.fromisoformat(message.pop(name)) for name in ("requested_at", "expires_at"))
    assert expires_at - requested_at == timedelta(minutes=15)
    assert message == {
        "photo": photo.as_state(),
        "driver_id": "driver-17",
        "vehicle": "motorcycle",
        "confidence": 0.71,
        "probabilities": {"bicycle": 0.25, "motorcycle": 0.71, "other": 0.04},
        "model_version": "model-1",
        "threshold": 0.93,
        "reason": "LowConfidence",
        "execution": EXECUTION,
        "task_token": TASK_TOKEN,
    }


def test_the_event_has_no_task_token(stack: Stack, request_review: Function) -> None:
    photo = stack.upload()
    answer = request_review(**review_input(photo))
    (event,) = stack.published("Review Requested")
    assert event == answer
    assert event["photo"] == photo.as_state()
    assert TASK_TOKEN not in json.dumps(event)


def test_without_an_answer_of_the_model_its_fields_are_null(stack: Stack, request_review: Function) -> None:
    photo = stack.upload()
    request_review(**review_input(photo, classification=None, threshold=None, reason="ModelUnavailable"))
    (message,) = stack.messages()
    assert (message["vehicle"], message["confidence"], message["reason"]) == (None, None, "ModelUnavailable")
    assert len(stack.published("Review Requested")) == 1


def test_the_record_has_the_request_and_the_hash_of_its_token_only(stack: Stack, request_review: Function) -> None:
    photo = stack.upload()
    request_review(**review_input(photo))
    record = stack.record(photo)
    assert record.review is not None
    assert (record.status, record.execution, record.review["reason"]) == ("in_review", EXECUTION, "LowConfidence")
    assert record.review["token_hash"] == record.review_sent == digest(TASK_TOKEN)
    assert TASK_TOKEN not in str(record)


def test_a_photo_with_a_request_of_another_execution_gets_no_second_one(stack: Stack, request_review: Function) -> None:
    photo = stack.upload()
    request_review(**review_input(photo))
    with pytest.raises(ReviewPending, match=photo.photo_id):
        request_review(execution=ANOTHER_EXECUTION, **review_input(photo, task_token=ANOTHER_TOKEN))
    assert len(stack.messages()) == 1
    assert len(stack.published()) == 1
    assert stack.record(photo).execution == EXECUTION


def test_an_expired_request_may_be_replaced_by_another_execution(stack: Stack, request_review: Function) -> None:
    photo = stack.upload()
    request_review(**review_input(photo, timeout_s=0.001))
    request_review(execution=ANOTHER_EXECUTION, **review_input(photo, task_token=ANOTHER_TOKEN))
    assert [message["execution"] for message in stack.messages()] == [EXECUTION, ANOTHER_EXECUTION]
    assert len(stack.published("Review Requested")) == 2


def test_the_same_attempt_delivered_twice_leaves_one_message(
    stack: Stack, request_review: Function, output: Callable[[], FunctionOutput]
) -> None:
    photo = stack.upload()
    request_review(**review_input(photo))
    output()
    request_review(**review_input(photo))
    assert len(stack.messages()) == 1
    assert len(stack.published()) == 1
    assert output().metrics("ReviewsRequested") == []


def test_a_retry_after_a_failure_before_the_message_sends_it_once(
    stack: Stack, request_review: Function, fail_call: Any
) -> None:
    photo = stack.upload()
    restore = fail_call(client("sqs"), "send_message")
    with pytest.raises(ReviewNotSent):
        request_review(**review_input(photo))
    restore()
    request_review(**review_input(photo, task_token=NEW_TOKEN))
    (message,) = stack.messages()
    assert message["task_token"] == NEW_TOKEN
    assert len(stack.published("Review Requested")) == 1


def test_a_failing_event_puts_no_message_into_the_queue(stack: Stack, request_review: Function, fail_call: Any) -> None:
    photo = stack.upload()
    restore = fail_call(client("events"), "put_events")
    with pytest.raises(EventNotPublished):
        request_review(**review_input(photo))
    restore()
    assert stack.messages() == []
    request_review(**review_input(photo, task_token=NEW_TOKEN))
    assert [message["task_token"] for message in stack.messages()] == [NEW_TOKEN]
    assert len(stack.published("Review Requested")) == 1


def test_after_a_lost_response_of_sqs_the_record_names_the_valid_message(
    stack: Stack, request_review: Function, fail_call: Any
) -> None:
    photo = stack.upload()
    restore = fail_call(client("sqs"), "send_message", after_the_call=True)
    with pytest.raises(ReviewNotSent):
        request_review(**review_input(photo))
    restore()
    request_review(**review_input(photo, task_token=NEW_TOKEN))
    tokens = {message["task_token"] for message in stack.messages()}
    assert tokens == {TASK_TOKEN, NEW_TOKEN}
    assert (stack.record(photo).review or {})["token_hash"] == digest(NEW_TOKEN)
    assert len(stack.published("Review Requested")) == 1


def test_a_photo_that_was_decided_meanwhile_gets_no_request(
    stack: Stack, request_review: Function, assign_bay: Function
) -> None:
    photo = stack.upload()
    assign_bay(execution=ANOTHER_EXECUTION, photo=photo.as_state(), vehicle="bicycle", decided_by="reviewer")
    with pytest.raises(PhotoDecided, match=ANOTHER_EXECUTION):
        request_review(**review_input(photo))
    assert stack.messages() == []
    assert stack.record(photo).status == "routed"


def test_a_photo_that_was_missing_may_get_a_request_when_it_is_uploaded_again(
    stack: Stack, request_review: Function, reject_photo: Function
) -> None:
    photo = stack.upload()
    reject_photo(photo=photo.as_state(), error={"Error": "PhotoMissing", "Cause": ""})
    request_review(execution=ANOTHER_EXECUTION, **review_input(photo))
    assert len(stack.messages()) == 1


def test_a_rejected_photo_gets_no_request(stack: Stack, request_review: Function, reject_photo: Function) -> None:
    photo = stack.upload()
    reject_photo(photo=photo.as_state(), error={"Error": "UnusablePhoto", "Cause": ""})
    with pytest.raises(PhotoDecided):
        request_review(execution=ANOTHER_EXECUTION, **review_input(photo))
    assert stack.messages() == []


def test_a_photo_named_without_its_etag_is_identified_first(stack: Stack, request_review: Function) -> None:
    photo = stack.upload()
    request_review(**(review_input(photo) | {"photo": {"bucket": photo.bucket, "key": photo.key}}))
    assert stack.messages()[0]["photo"] == photo.as_state()


def test_a_deleted_photo_gets_no_request(stack: Stack, request_review: Function) -> None:
    photo = stack.upload()
    stack.delete(photo)
    with pytest.raises(PhotoMissing):
        request_review(**(review_input(photo) | {"photo": {"bucket": photo.bucket, "key": photo.key}}))
    assert stack.messages() == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("task_token", None), ("reason", ""), ("timeout_s", 0), ("timeout_s", "900"), ("timeout_s", None)],
)
def test_the_error_names_the_missing_field(stack: Stack, request_review: Function, name: str, value: Any) -> None:
    with pytest.raises(InvalidInput, match=name):
        request_review(**review_input(stack.upload(), **{name: value}))


def test_requests_are_counted_by_reason(
    stack: Stack, request_review: Function, output: Callable[[], FunctionOutput]
) -> None:
    request_review(**review_input(stack.upload()))
    (line,) = output().metrics("ReviewsRequested")
    assert set(line["_aws"]["CloudWatchMetrics"][0]["Dimensions"][0]) == {"service", "stage", "reason"}
    assert (line["reason"], line["ReviewsRequested"], line["model_version"]) == ("LowConfidence", [1.0], "model-1")


def test_the_message_does_not_escape_umlauts(stack: Stack, request_review: Function) -> None:
    request_review(**review_input(stack.upload(key="uploads/jürgen/rädle.jpg")))
    (raw,) = client("sqs").receive_message(QueueUrl=stack.queue_url)["Messages"]
    assert "uploads/jürgen/rädle.jpg" in raw["Body"]


@pytest.mark.parametrize("character", ["\uffff", "\ufffe"])
def test_a_character_that_sqs_refuses_is_escaped(stack: Stack, request_review: Function, character: str) -> None:
    photo = stack.upload(key="uploads/jürgen/rädle.jpg")
    key = f"uploads/jürgen/r{character}dle.jpg"
    request_review(**review_input(photo) | {"photo": photo.as_state() | {"key": key}})
    (raw,) = client("sqs").receive_message(QueueUrl=stack.queue_url)["Messages"]
    assert character not in raw["Body"]
    assert json.loads(raw["Body"])["photo"]["key"] == key
