"""AssignBay: one decision and one event per photo."""

from collections.abc import Callable
from typing import Any

import pytest

from functions.shared.aws import client
from functions.shared.errors import AnnouncementPending, EventNotPublished, InvalidInput
from functions.shared.outcomes import ANNOUNCED_WITHIN
from functions.shared.photo import Photo
from functions.shared.times import now
from tests.unit.functions.stack import (
    ANOTHER_EXECUTION,
    EXECUTION,
    TASK_TOKEN,
    Function,
    FunctionOutput,
    Stack,
)

BY_MODEL = {"vehicle": "bicycle", "confidence": 0.97, "model_version": "model-1", "decided_by": "model"}


def test_a_cyclist_is_sent_to_the_nearby_orders(stack: Stack, assign_bay: Function) -> None:
    photo = stack.upload()
    decision = assign_bay(photo=photo.as_state(), **BY_MODEL)
    assert decision.pop("decided_at").endswith("Z")
    assert decision == {
        "photo": photo.as_state(),
        "driver_id": "driver-17",
        "vehicle": "bicycle",
        "confidence": 0.97,
        "decided_by": "model",
        "loading_bay": "Bay A",
        "order_range": "nearby",
        "model_version": "model-1",
        "execution": EXECUTION,
    }


def test_the_decision_is_the_event_and_in_the_record(stack: Stack, assign_bay: Function) -> None:
    photo = stack.upload()
    decision = assign_bay(photo=photo.as_state(), **BY_MODEL)
    assert stack.published("Driver Routed") == [decision]
    record = stack.record(photo)
    assert (record.status, record.execution, record.outcome, record.announced) == ("routed", EXECUTION, decision, True)


@pytest.mark.parametrize(
    ("vehicle", "decided_by", "bay", "orders"),
    [
        ("motorcycle", "reviewer", "Bay B", "distant"),
        ("other", "reviewer", "Help desk", "help-desk"),
        (None, "fallback", "Help desk", "help-desk"),
        ("tricycle", "reviewer", "Help desk", "help-desk"),
    ],
)
def test_every_answer_is_assigned_a_bay(
    stack: Stack, assign_bay: Function, vehicle: str | None, decided_by: str, bay: str, orders: str
) -> None:
    decision = assign_bay(
        photo=stack.upload().as_state(), vehicle=vehicle, confidence=None, model_version=None, decided_by=decided_by
    )
    assert (decision["loading_bay"], decision["order_range"], decision["vehicle"]) == (bay, orders, vehicle)
    assert len(stack.published("Driver Routed")) == 1


def test_the_first_decision_is_kept_and_another_execution_publishes_nothing(
    stack: Stack, assign_bay: Function, output: Callable[[], FunctionOutput]
) -> None:
    photo = stack.upload()
    first = assign_bay(photo=photo.as_state(), **BY_MODEL)
    output()
    second = assign_bay(
        execution=ANOTHER_EXECUTION, photo=photo.as_state(), vehicle="motorcycle", decided_by="reviewer"
    )
    assert second == first
    assert stack.published("Driver Routed") == [first]
    assert output().metrics("DriversRouted") == []


def test_a_retry_of_the_same_execution_publishes_no_second_event(stack: Stack, assign_bay: Function) -> None:
    photo = stack.upload()
    first = assign_bay(photo=photo.as_state(), **BY_MODEL)
    assert assign_bay(photo=photo.as_state(), **BY_MODEL) == first
    assert len(stack.published("Driver Routed")) == 1


def test_a_decision_that_was_not_announced_is_announced_by_the_retry(
    stack: Stack, assign_bay: Function, fail_call: Any
) -> None:
    photo = stack.upload()
    restore = fail_call(client("events"), "put_events")
    with pytest.raises(EventNotPublished, match="on purpose"):
        assign_bay(photo=photo.as_state(), **BY_MODEL)
    restore()
    assert stack.published() == []
    decision = assign_bay(photo=photo.as_state(), **BY_MODEL)
    assert stack.published("Driver Routed") == [decision]


def test_another_execution_announces_a_decision_only_when_that_is_overdue(
    stack: Stack, assign_bay: Function, fail_call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = stack.upload()
    restore = fail_call(client("events"), "put_events")
    with pytest.raises(EventNotPublished):
        assign_bay(photo=photo.as_state(), **BY_MODEL)
    restore()
    for proposal in ({"vehicle": "motorcycle", "decided_by": "reviewer"}, {"decided_by": "recorded"}):
        with pytest.raises(AnnouncementPending, match=EXECUTION):
            assign_bay(execution=ANOTHER_EXECUTION, photo=photo.as_state(), **proposal)
    later = now() + ANNOUNCED_WITHIN
    monkeypatch.setattr(assign_bay.module, "now", lambda: later)
    decision = assign_bay(execution=ANOTHER_EXECUTION, photo=photo.as_state(), decided_by="recorded")
    assert (decision["vehicle"], decision["execution"]) == ("bicycle", EXECUTION)
    assert stack.published("Driver Routed") == [decision]
    assert stack.record(photo).announced


def test_a_photo_that_was_rejected_keeps_its_rejection(
    stack: Stack, assign_bay: Function, reject_photo: Function, output: Callable[[], FunctionOutput]
) -> None:
    photo = stack.upload()
    rejection = reject_photo(photo=photo.as_state(), error={"Error": "UnusablePhoto", "Cause": "blurred"})
    output()
    assert assign_bay(execution=ANOTHER_EXECUTION, photo=photo.as_state(), **BY_MODEL) == rejection
    assert stack.published() == [rejection]
    assert output().metrics("DriversRouted") == []


def test_there_is_no_recorded_outcome_of_an_unknown_or_a_waiting_photo(
    stack: Stack, assign_bay: Function, request_review: Function
) -> None:
    photo = stack.upload()
    with pytest.raises(InvalidInput, match="no record"):
        assign_bay(photo=photo.as_state(), decided_by="recorded")
    request_review(photo=photo.as_state(), reason="LowConfidence", task_token=TASK_TOKEN, timeout_s=900)
    with pytest.raises(InvalidInput, match="in_review"):
        assign_bay(photo=photo.as_state(), decided_by="recorded")


def test_an_event_that_the_bus_rejects_is_an_error_and_not_marked_as_announced(
    stack: Stack, assign_bay: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = stack.upload()
    rejected = {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure", "ErrorMessage": "busy"}]}
    monkeypatch.setattr(client("events"), "put_events", lambda **_: rejected)
    with pytest.raises(EventNotPublished, match="InternalFailure: busy"):
        assign_bay(photo=photo.as_state(), **BY_MODEL)
    assert not stack.record(photo).announced


def test_a_decision_ends_the_review(stack: Stack, assign_bay: Function, request_review: Function) -> None:
    photo = stack.upload()
    request_review(photo=photo.as_state(), reason="LowConfidence", task_token=TASK_TOKEN, timeout_s=900)
    assert stack.record(photo).status == "in_review"
    assign_bay(photo=photo.as_state(), vehicle="bicycle", decided_by="reviewer")
    assert stack.record(photo).status == "routed"
    assert (stack.record(photo).review or {})["reason"] == "LowConfidence"


def test_a_driver_whose_photo_was_deleted_still_gets_a_decision(stack: Stack, assign_bay: Function) -> None:
    gone = {"bucket": "scones-test-uploads", "key": "uploads/driver-17/gone.jpg"}
    decision = assign_bay(photo=gone, vehicle=None, decided_by="fallback")
    assert decision["loading_bay"] == "Help desk"
    assert assign_bay(execution=ANOTHER_EXECUTION, photo=gone, vehicle=None, decided_by="fallback") == decision
    assert len(stack.published("Driver Routed")) == 1


def test_a_photo_named_without_its_etag_gets_the_same_decision(stack: Stack, assign_bay: Function) -> None:
    photo = stack.upload()
    first = assign_bay(photo=photo.as_state(), **BY_MODEL)
    by_name = {"bucket": photo.bucket, "key": photo.key}
    assert assign_bay(execution=ANOTHER_EXECUTION, photo=by_name, vehicle=None, decided_by="fallback") == first


def test_only_model_reviewer_and_fallback_decide(stack: Stack, assign_bay: Function) -> None:
    photo = stack.upload()
    with pytest.raises(InvalidInput, match="decided_by"):
        assign_bay(photo=photo.as_state(), vehicle="bicycle", decided_by="operator")
    assert stack.find_record(photo) is None


@pytest.mark.parametrize(
    "wrong", [{"vehicle": 7}, {"confidence": "high"}, {"confidence": 1.1}, {"confidence": True}, {"model_version": []}]
)
def test_the_error_for_a_malformed_decision_names_the_field(
    stack: Stack, assign_bay: Function, wrong: dict[str, Any]
) -> None:
    photo = stack.upload()
    with pytest.raises(InvalidInput, match=next(iter(wrong))):
        assign_bay(photo=photo.as_state(), **(BY_MODEL | wrong))
    assert stack.find_record(photo) is None


def test_drivers_are_counted_by_bay_and_decider(
    stack: Stack, assign_bay: Function, output: Callable[[], FunctionOutput]
) -> None:
    assign_bay(photo=stack.upload().as_state(), **BY_MODEL)
    (line,) = output().metrics("DriversRouted")
    assert set(line["_aws"]["CloudWatchMetrics"][0]["Dimensions"][0]) == {
        "service",
        "stage",
        "loading_bay",
        "decided_by",
    }
    assert (line["loading_bay"], line["decided_by"], line["DriversRouted"]) == ("Bay A", "model", [1.0])
    assert line["model_version"] == "model-1"


def test_a_confidence_of_one_is_read_as_it_was_written(stack: Stack, assign_bay: Function) -> None:
    photo: Photo = stack.upload()
    first = assign_bay(photo=photo.as_state(), **(BY_MODEL | {"confidence": 1.0}))
    again = assign_bay(execution=ANOTHER_EXECUTION, photo=photo.as_state(), **BY_MODEL)
    assert again["confidence"] == first["confidence"] == 1
    assert again["photo"]["size"] == photo.size
