"""The limit of uploads per driver and minute: which photos ClassifyPhoto rejects, and which it must not."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest

from functions.shared.aws import client
from functions.shared.errors import ModelUnavailable, PhotoInProgress
from functions.shared.photo import Photo
from functions.shared.photo_table import PhotoTable
from functions.shared.times import now
from tests.unit.functions.stack import (
    ANOTHER_EXECUTION,
    EXECUTION,
    PHOTOS,
    TASK_TOKEN,
    UPLOADED_AT,
    UPLOADS_PER_MINUTE,
    CallFailer,
    Function,
    FunctionOutput,
    ModelServer,
    Stack,
)

NEXT_MINUTE = "2026-11-23T02:36:00.000Z"
_SEQUENCE = count(0x617F08299329D189)


def upload(stack: Stack, name: str, *, driver: str = "driver-17", at: str = UPLOADED_AT) -> Photo:
    """Upload a photo at a time, or the same one again; it has the sequencer of this upload."""
    photo = stack.upload(b"\xff\xd8\xff" + name.encode(), f"uploads/{driver}/{name}.jpg")
    return replace(photo, uploaded_at=at, sequencer=f"{next(_SEQUENCE):018X}")


def fill(stack: Stack, classify: Function, driver: str = "driver-17") -> list[Photo]:
    """Upload and classify as many photos as a driver may upload in a minute."""
    photos = [upload(stack, f"accepted-{number}", driver=driver) for number in range(UPLOADS_PER_MINUTE)]
    for photo in photos:
        assert "vehicle" in classify(photo=photo.as_input())["recorded"]
    return photos


@pytest.fixture
def reject_excess(function: Callable[[str], Function]) -> Function:
    return function("reject_excess_photo")


def is_excess(answer: dict[str, Any]) -> bool:
    """Whether ClassifyPhoto found that the photo is one of too many."""
    return bool(answer["outcome"] == "excess")


def reject(reject_excess: Function, answer: dict[str, Any], execution: str = EXECUTION) -> dict[str, Any]:
    """Continue as the workflow does after an answer of ClassifyPhoto about one of too many photos."""
    return reject_excess(execution, photo=answer["photo"], excess=answer["excess"])


def test_a_photo_over_the_limit_is_rejected_with_the_time_to_try_again(
    stack: Stack, classify: Function, reject_excess: Function
) -> None:
    fill(stack, classify)
    photo = upload(stack, "excess")
    answer = classify(photo=photo.as_input())
    recorded = reject(reject_excess, answer)
    del answer["excess"]
    assert answer == {
        "photo": photo.as_state(),
        "driver_id": "driver-17",
        "classification": None,
        "threshold": None,
        "outcome": "excess",
        "reason": None,
        "recorded": None,
    }
    assert recorded["rejected"] == {
        "reason": "TooManyPhotos",
        "message": f"the driver uploaded more than {UPLOADS_PER_MINUTE} photos in a minute; "
        f"upload it again from {NEXT_MINUTE} on",
        "retry_at": NEXT_MINUTE,
    }
    assert stack.published("Photo Rejected") == [recorded]
    record = stack.record(photo)
    assert (record.status, record.outcome, record.announced) == ("rejected", recorded, True)


def test_a_photo_over_the_limit_is_neither_read_nor_sent_to_the_model(
    stack: Stack, classify: Function, model: ModelServer, fail_call: CallFailer
) -> None:
    fill(stack, classify)
    photo = upload(stack, "excess")
    model.received.clear()
    fail_call(client("s3"), "get_object")
    assert is_excess(classify(photo=photo.as_input()))
    assert model.received == []


def test_other_drivers_have_a_limit_of_their_own(stack: Stack, classify: Function) -> None:
    fill(stack, classify)
    assert is_excess(classify(photo=upload(stack, "excess").as_input()))
    assert not is_excess(classify(photo=upload(stack, "first", driver="driver-18").as_input()))


def test_photos_of_unknown_drivers_count_as_one_driver(stack: Stack, classify: Function) -> None:
    answers = [
        classify(photo=replace(stack.upload(key=f"uploads/{number}.jpg"), uploaded_at=UPLOADED_AT).as_input())
        for number in range(UPLOADS_PER_MINUTE + 1)
    ]
    assert [is_excess(answer) for answer in answers] == [False] * UPLOADS_PER_MINUTE + [True]


def test_a_second_event_and_a_retry_of_an_upload_are_not_counted_again(stack: Stack, classify: Function) -> None:
    first = upload(stack, "first")
    for execution in (EXECUTION, EXECUTION, ANOTHER_EXECUTION):
        assert not is_excess(classify(execution, photo=first.as_input()))
    for number in range(UPLOADS_PER_MINUTE - 1):
        assert not is_excess(classify(photo=upload(stack, f"more-{number}").as_input()))
    assert is_excess(classify(photo=upload(stack, "excess").as_input()))
    # Also when the minute is full by now.
    assert not is_excess(classify(photo=first.as_input()))


def test_the_same_file_uploaded_over_and_over_counts_every_time(
    stack: Stack, classify: Function, reject_excess: Function, model: ModelServer
) -> None:
    answers = []
    for number in range(20):
        execution = f"{EXECUTION}-{number}"
        answers.append(classify(execution, photo=upload(stack, "same").as_input()))
        if is_excess(answers[-1]):
            # The photo was decided before: that stays its outcome.
            assert reject(reject_excess, answers[-1], execution) == answers[0]["recorded"]
    assert [is_excess(answer) for answer in answers] == [False] * UPLOADS_PER_MINUTE + [True] * (
        20 - UPLOADS_PER_MINUTE
    )
    assert len(model.received) == UPLOADS_PER_MINUTE
    assert stack.published() == [answers[0]["recorded"]]


def test_a_restart_without_the_sequencer_of_the_upload_is_not_counted_again(stack: Stack, classify: Function) -> None:
    """A reconciliation that finds no record knows only what S3 lists."""
    for photo in fill(stack, classify):
        again = replace(photo, sequencer=None)
        assert not is_excess(classify(ANOTHER_EXECUTION, photo=again.as_input()))
    another = replace(upload(stack, "excess"), sequencer=None)
    assert is_excess(classify(photo=another.as_input()))


@pytest.fixture
def classified(stack: Stack, classify: Function, model: ModelServer) -> dict[str, Any]:
    """The answer about an accepted photo of which the model is not sure, in the minute before."""
    model.set_probabilities(bicycle=0.5, motorcycle=0.4, other=0.1)
    answer = classify(photo=upload(stack, "waits", at="2026-11-23T02:34:10Z").as_input())
    model.set_probabilities(bicycle=0.97, motorcycle=0.02, other=0.01)
    return answer


def reject_second_upload(stack: Stack, classify: Function, reject_excess: Function) -> None:
    """Upload the photo of `classified` again, over the limit: another execution decides about it."""
    fill(stack, classify)
    before = stack.record(upload(stack, "waits"))
    answer = classify(ANOTHER_EXECUTION, photo=upload(stack, "waits").as_input())
    with pytest.raises(PhotoInProgress, match=EXECUTION):
        reject(reject_excess, answer, ANOTHER_EXECUTION)
    assert stack.record(before.photo) == before
    assert stack.published("Photo Rejected") == []


def test_a_photo_in_review_is_not_rejected_because_it_is_uploaded_again_over_the_limit(
    stack: Stack,
    classify: Function,
    reject_excess: Function,
    request_review: Function,
    function: Callable[[str], Function],
    classified: dict[str, Any],
) -> None:
    request = {name: classified[name] for name in ("photo", "classification", "threshold", "reason")}
    request_review(**request, timeout_s=900, task_token=TASK_TOKEN)
    reject_second_upload(stack, classify, reject_excess)
    decision = function("assign_bay")(photo=classified["photo"], vehicle="motorcycle", decided_by="reviewer")
    assert (decision["vehicle"], decision["decided_by"]) == ("motorcycle", "reviewer")


@pytest.mark.parametrize("unrouted", [False, True])
def test_a_photo_without_an_outcome_is_not_rejected_because_it_is_uploaded_again_over_the_limit(
    stack: Stack, classify: Function, reject_excess: Function, classified: dict[str, Any], unrouted: bool
) -> None:
    if unrouted:
        photos = PhotoTable(PHOTOS, client("dynamodb"))
        photos.mark_unrouted(Photo.from_state(classified["photo"]), EXECUTION, now(), error={"Error": "ABORTED"})
    reject_second_upload(stack, classify, reject_excess)


def test_an_upload_over_the_limit_whose_execution_failed_is_rejected_by_the_next_one(
    stack: Stack, classify: Function, reject_excess: Function
) -> None:
    fill(stack, classify)
    photo = upload(stack, "excess")
    photos = PhotoTable(PHOTOS, client("dynamodb"))
    photos.mark_unrouted(photo, EXECUTION, now(), error={"Error": "RecordUnavailable"})
    answer = classify(ANOTHER_EXECUTION, photo=photo.as_input())
    assert reject(reject_excess, answer, ANOTHER_EXECUTION)["rejected"]["reason"] == "TooManyPhotos"


def test_photos_that_waited_for_the_end_of_an_outage_are_not_too_many(
    stack: Stack, classify: Function, model: ModelServer
) -> None:
    """A driver uploads one photo per minute; all are tried again in the minute in which the model is back."""
    began = datetime.fromisoformat(UPLOADED_AT)
    photos = [upload(stack, f"{n}", at=(began + timedelta(minutes=n)).isoformat()) for n in range(12)]
    model.set_error(503, "ModelError")
    for photo in photos:
        for _ in range(3):
            with pytest.raises(ModelUnavailable):
                classify(photo=photo.as_input(), started_at=photo.uploaded_at)
    model.set_probabilities(bicycle=0.97, motorcycle=0.02, other=0.01)
    for photo in photos:
        assert not is_excess(classify(ANOTHER_EXECUTION, photo=photo.as_input(), started_at="2026-11-23T04:00:00Z"))


def test_without_the_time_of_the_upload_the_start_of_the_execution_counts(stack: Stack, classify: Function) -> None:
    fill(stack, classify)
    photo = upload(stack, "excess").as_input()
    del photo["uploaded_at"]
    assert not is_excess(classify(photo=photo, started_at=NEXT_MINUTE))
    assert is_excess(classify(photo={**photo, "key": "uploads/driver-17/b.jpg"}, started_at=UPLOADED_AT))


def test_a_rejected_photo_is_accepted_when_it_is_uploaded_again_later(
    stack: Stack, classify: Function, reject_excess: Function
) -> None:
    fill(stack, classify)
    photo = upload(stack, "excess")
    reject(reject_excess, classify(photo=photo.as_input()))
    again = replace(photo, uploaded_at=NEXT_MINUTE)
    decision = classify(ANOTHER_EXECUTION, photo=again.as_input())["recorded"]
    assert decision["vehicle"] == "bicycle"
    assert stack.record(photo).outcome == decision
    assert stack.published("Driver Routed")[-1] == decision


def test_a_second_event_of_a_rejected_upload_changes_nothing(
    stack: Stack, classify: Function, reject_excess: Function
) -> None:
    fill(stack, classify)
    photo = upload(stack, "excess")
    first = reject(reject_excess, classify(photo=photo.as_input()))
    second = reject(reject_excess, classify(ANOTHER_EXECUTION, photo=photo.as_input()), ANOTHER_EXECUTION)
    assert second == first
    assert stack.published("Photo Rejected") == [first]


def test_a_rejected_photo_that_is_uploaded_again_can_be_reviewed_and_rejected(
    stack: Stack, classify: Function, request_review: Function, reject_photo: Function, reject_excess: Function
) -> None:
    fill(stack, classify)
    for name in ("reviewed", "unreadable"):
        reject(reject_excess, classify(photo=upload(stack, name).as_input()))
    reviewed, unreadable = (upload(stack, name, at=NEXT_MINUTE) for name in ("reviewed", "unreadable"))
    request_review(
        ANOTHER_EXECUTION,
        photo=reviewed.as_input(),
        classification=None,
        threshold=None,
        reason="ModelUnavailable",
        timeout_s=900,
        task_token=TASK_TOKEN,
    )
    assert stack.record(reviewed).status == "in_review"
    error = {"Error": "UnreadablePhoto", "Cause": "it is empty"}
    rejected = reject_photo(ANOTHER_EXECUTION, photo=unreadable.as_input(), error=error)
    assert rejected["rejected"]["reason"] == "UnreadablePhoto"


def test_a_flood_costs_no_request_per_photo(stack: Stack, classify: Function, monkeypatch: pytest.MonkeyPatch) -> None:
    """A partition of DynamoDB takes 1,000 writes per second: a flood must not fill that of its driver."""
    fill(stack, classify)
    limit = classify.module.classifier.limit
    assert is_excess(classify(photo=upload(stack, "excess-0").as_input()))
    requests: list[Any] = []
    real = limit._dynamodb.update_item
    monkeypatch.setattr(
        limit._dynamodb, "update_item", lambda **arguments: (requests.append(arguments), real(**arguments))[1]
    )
    for number in range(1, 4):
        assert is_excess(classify(photo=upload(stack, f"excess-{number}").as_input()))
    assert requests == []


def test_without_the_table_of_the_limit_photos_are_classified(
    stack: Stack, classify: Function, fail_call: CallFailer, output: Callable[[], FunctionOutput]
) -> None:
    fill(stack, classify)
    fail_call(classify.module.classifier.limit._dynamodb, "update_item")
    output()
    assert not is_excess(classify(photo=upload(stack, "one-more").as_input()))
    found = output()
    assert len(found.metrics("UploadsNotCounted")) == 1
    assert [line["level"] for line in found.log if line["message"] == "upload not counted"] == ["WARNING"]


def test_a_rejection_is_counted_by_its_reason(
    stack: Stack, classify: Function, reject_excess: Function, output: Callable[[], FunctionOutput]
) -> None:
    fill(stack, classify)
    output()
    reject(reject_excess, classify(photo=upload(stack, "excess").as_input()))
    found = output()
    (line,) = found.metrics("PhotosRejected")
    assert (line["reason"], line["service"]) == ("TooManyPhotos", "reject-excess-photo")
    assert found.metrics("PhotosClassified") == []
