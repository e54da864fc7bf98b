"""RejectPhoto: the item and the event of a rejection."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from functions.shared.aws import client
from functions.shared.errors import EventNotPublished, InvalidInput
from tests.unit.functions.stack import (
    ANOTHER_EXECUTION,
    EXECUTION,
    TASK_TOKEN,
    Function,
    FunctionOutput,
    Stack,
)

CAUGHT = {
    "Error": "UnreadablePhoto",
    "Cause": json.dumps({"errorMessage": "it is empty", "errorType": "UnreadablePhoto", "stackTrace": ["…"]}),
}


def test_a_rejection_has_a_message_for_the_driver(stack: Stack, reject_photo: Function) -> None:
    photo = stack.upload(b"")
    rejection = reject_photo(photo=photo.as_state(), error=CAUGHT)
    assert rejection.pop("rejected_at").endswith("Z")
    assert rejection == {
        "photo": photo.as_state(),
        "driver_id": "driver-17",
        "rejected": {"reason": "UnreadablePhoto", "message": "it is empty"},
        "execution": EXECUTION,
    }


def test_the_rejection_is_published_and_recorded(stack: Stack, reject_photo: Function) -> None:
    photo = stack.upload(b"")
    rejection = reject_photo(photo=photo.as_state(), error=CAUGHT)
    assert stack.published("Photo Rejected") == [rejection]
    record = stack.record(photo)
    assert (record.status, record.outcome, record.announced) == ("rejected", rejection, True)


def test_a_cause_that_is_plain_text_is_the_message(stack: Stack, reject_photo: Function) -> None:
    rejection = reject_photo(
        photo=stack.upload().as_state(), error={"Error": "UnusablePhoto", "Cause": "a reviewer could not use it"}
    )
    assert rejection["rejected"] == {"reason": "UnusablePhoto", "message": "a reviewer could not use it"}


@pytest.mark.parametrize("cause", [None, "", "[]", "7", '{"other": 1}'])
def test_a_cause_without_a_message_is_accepted(stack: Stack, reject_photo: Function, cause: Any) -> None:
    reject_photo(photo=stack.upload().as_state(), error={"Error": "PhotoMissing", "Cause": cause})
    assert len(stack.published("Photo Rejected")) == 1


def test_a_photo_that_is_gone_can_be_rejected(stack: Stack, reject_photo: Function) -> None:
    gone = {"bucket": "scones-test-uploads", "key": "uploads/driver-17/gone.jpg"}
    rejection = reject_photo(photo=gone, error={"Error": "PhotoMissing", "Cause": "deleted"})
    assert rejection["photo"]["etag"] == ""
    assert stack.published("Photo Rejected") == [rejection]


def test_a_retry_of_the_same_execution_publishes_nothing_twice(
    stack: Stack, reject_photo: Function, output: Callable[[], FunctionOutput]
) -> None:
    photo = stack.upload(b"")
    reject_photo(photo=photo.as_state(), error=CAUGHT)
    reject_photo(photo=photo.as_state(), error=CAUGHT)
    assert len(stack.published("Photo Rejected")) == 1
    assert len(output().metrics("PhotosRejected")) == 1


def test_a_rejection_that_was_recorded_but_not_published_is_published_by_the_retry(
    stack: Stack, reject_photo: Function, fail_call: Any
) -> None:
    photo = stack.upload(b"")
    restore = fail_call(client("events"), "put_events")
    with pytest.raises(EventNotPublished):
        reject_photo(photo=photo.as_state(), error=CAUGHT)
    restore()
    reject_photo(photo=photo.as_state(), error=CAUGHT)
    assert len(stack.published("Photo Rejected")) == 1


def test_the_same_bytes_under_the_same_key_again_are_the_same_photo_and_publish_nothing(
    stack: Stack, reject_photo: Function
) -> None:
    photo = stack.upload(b"")
    first = reject_photo(photo=photo.as_state(), error=CAUGHT)
    assert reject_photo(execution=ANOTHER_EXECUTION, photo=photo.as_state(), error=CAUGHT) == first
    assert stack.published("Photo Rejected") == [first]


def test_a_photo_that_was_missing_and_was_uploaded_again_is_rejected_for_its_own_reason(
    stack: Stack, reject_photo: Function
) -> None:
    photo = stack.upload(b"")
    missing = {"Error": "PhotoMissing", "Cause": "deleted"}
    for execution, error in ((EXECUTION, missing), (ANOTHER_EXECUTION, missing), (ANOTHER_EXECUTION, CAUGHT)):
        reject_photo(execution=execution, photo=photo.as_state(), error=error)
    reasons = [event["rejected"]["reason"] for event in stack.published("Photo Rejected")]
    assert reasons == ["PhotoMissing", "UnreadablePhoto"]


def test_a_decided_photo_keeps_its_decision(
    stack: Stack, assign_bay: Function, reject_photo: Function, output: Callable[[], FunctionOutput]
) -> None:
    photo = stack.upload()
    decision = assign_bay(photo=photo.as_state(), vehicle="bicycle", decided_by="reviewer")
    output()
    rejection = {"Error": "PhotoMissing", "Cause": "deleted"}
    assert reject_photo(execution=ANOTHER_EXECUTION, photo=photo.as_state(), error=rejection) == decision
    assert stack.published() == [decision]
    assert output().metrics("PhotosRejected") == []


def test_an_unusable_photo_is_rejected_by_the_execution_that_requested_the_review(
    stack: Stack, request_review: Function, reject_photo: Function
) -> None:
    photo = stack.upload()
    request_review(photo=photo.as_state(), reason="LowConfidence", task_token=TASK_TOKEN, timeout_s=900)
    reject_photo(photo=photo.as_state(), error={"Error": "UnusablePhoto", "Cause": "rejected by a reviewer"})
    assert len(stack.published("Photo Rejected")) == 1
    assert stack.record(photo).status == "rejected"


def test_rejections_are_counted_by_reason(
    stack: Stack, reject_photo: Function, output: Callable[[], FunctionOutput]
) -> None:
    reject_photo(photo=stack.upload(b"").as_state(), error=CAUGHT)
    (line,) = output().metrics("PhotosRejected")
    assert set(line["_aws"]["CloudWatchMetrics"][0]["Dimensions"][0]) == {"service", "stage", "reason"}
    assert (line["reason"], line["PhotosRejected"]) == ("UnreadablePhoto", [1.0])


def test_a_rejection_without_an_error_is_invalid(stack: Stack, reject_photo: Function) -> None:
    with pytest.raises(InvalidInput, match="error is missing"):
        reject_photo(photo=stack.upload().as_state(), error=None)
