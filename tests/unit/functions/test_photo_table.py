"""The photo table: which transitions a record allows, and what its indexes find."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError

from functions.shared.aws import client
from functions.shared.errors import RecordUnavailable
from functions.shared.label_requests import LabelRequests, new_request
from functions.shared.photo import Photo
from functions.shared.photo_record import (
    BATCHED,
    CLASSIFIED,
    IN_REVIEW,
    OUTCOMES,
    REJECTED,
    ROUTED,
    STATUSES,
    UNROUTED,
    PhotoRecord,
)
from functions.shared.photo_table import PhotoTable, Refused
from functions.shared.times import now, purge_at, timestamp
from tests.unit.functions.stack import ANOTHER_EXECUTION, EXECUTION, PHOTOS, UPLOADS

PHOTO = Photo(UPLOADS, "uploads/driver-17/bike.jpg", "0" * 32, 2048)
NOW = now()
LATER = NOW + timedelta(seconds=10)
REVIEW = {"reason": "LowConfidence", "expires_at": timestamp(NOW + timedelta(minutes=15)), "token_hash": "abc"}
CLASSIFICATION = {"vehicle": "bicycle", "confidence": 0.97, "probabilities": {"bicycle": 0.97, "other": 0.03}}


def rejection(reason: str) -> dict[str, Any]:
    return {"rejected": {"reason": reason, "message": "because"}, "execution": EXECUTION}


MOVES: dict[str, Callable[[PhotoTable, str, Any], object]] = {
    CLASSIFIED: lambda table, execution, at: table.classify(
        PHOTO, execution, at, classification=CLASSIFICATION, threshold=0.9
    ),
    IN_REVIEW: lambda table, execution, at: table.claim_review(PHOTO, execution, at, review=REVIEW),
    ROUTED: lambda table, execution, at: table.record_outcome(
        PHOTO, ROUTED, execution, at, outcome={"loading_bay": "Bay A", "execution": execution}
    ),
    REJECTED: lambda table, execution, at: table.record_outcome(
        PHOTO, REJECTED, execution, at, outcome=rejection("UnreadablePhoto")
    ),
    "missing": lambda table, execution, at: table.record_outcome(
        PHOTO, REJECTED, execution, at, outcome=rejection("PhotoMissing")
    ),
    UNROUTED: lambda table, execution, at: table.mark_unrouted(PHOTO, execution, at, error={"Error": "PhotoUnrouted"}),
}


def batched(table: PhotoTable, execution: str, at: Any) -> None:
    """Record a photo of which a batch was unsure; the only transition to that status, and it needs no record."""
    request = new_request(PHOTO, "UnsureInBatch", at)
    requests = LabelRequests(table.name, table._dynamodb)
    assert requests.create(PHOTO, request, execution, at, classification=CLASSIFICATION, threshold=0.9)
    assert not requests.create(PHOTO, request, execution, at, classification=CLASSIFICATION, threshold=0.9)


# Which transitions the execution of the last one may make, and which ones any other execution.
OWN = {
    None: {*MOVES},
    BATCHED: {*MOVES},
    CLASSIFIED: {*MOVES},
    IN_REVIEW: {*MOVES},
    UNROUTED: {*MOVES},
    ROUTED: set(),
    REJECTED: set(),
    "missing": {CLASSIFIED, IN_REVIEW, ROUTED, REJECTED},
}
OF_ANOTHER = OWN | {
    CLASSIFIED: {*MOVES} - {UNROUTED},
    IN_REVIEW: {ROUTED, REJECTED, "missing"},
    UNROUTED: {*MOVES} - {UNROUTED},
}


@pytest.fixture
def table() -> PhotoTable:
    return PhotoTable(PHOTOS, client("dynamodb"))


def read(table: PhotoTable) -> PhotoRecord:
    record = table.get(PHOTO.photo_id)
    assert record is not None
    return record


@pytest.mark.parametrize("execution", [EXECUTION, ANOTHER_EXECUTION])
@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("before", OWN)
def test_only_the_transitions_of_the_table_are_made(
    table: PhotoTable, before: str | None, move: str, execution: str
) -> None:
    if before:
        (MOVES | {BATCHED: batched})[before](table, EXECUTION, NOW)
    recorded = table.get(PHOTO.photo_id)
    allowed = (OWN if execution == EXECUTION else OF_ANOTHER)[before]
    if move in allowed:
        assert MOVES[move](table, execution, LATER) == (None if move in OUTCOMES or move == "missing" else recorded)
        record = read(table)
        assert record.status == (REJECTED if move == "missing" else move)
        assert (record.execution, record.status_at) == (execution, timestamp(LATER))
        assert record.first_seen_at == timestamp(NOW if before else LATER)
    else:
        with pytest.raises(Refused) as refused:
            MOVES[move](table, execution, LATER)
        assert refused.value.record == recorded == read(table)


def test_a_record_is_kept_for_its_whole_time_after_each_transition(table: PhotoTable) -> None:
    """Labels and copies of a photo that is reviewed long after its first sight expire before its record does."""
    table.mark_unrouted(PHOTO, EXECUTION, NOW, error={"Error": "x"})
    for days, move in ((360, CLASSIFIED), (370, IN_REVIEW), (380, ROUTED)):
        at = NOW + timedelta(days=days)
        MOVES[move](table, EXECUTION, at)
        item = client("dynamodb").get_item(TableName=PHOTOS, Key={"photo_id": {"S": PHOTO.photo_id}})["Item"]
        assert int(item["purge_at"]["N"]) == purge_at(at)


@pytest.mark.parametrize("move", [CLASSIFIED, IN_REVIEW])
def test_a_request_that_has_expired_has_no_owner(table: PhotoTable, move: str) -> None:
    MOVES[IN_REVIEW](table, EXECUTION, NOW)
    MOVES[move](table, ANOTHER_EXECUTION, NOW + timedelta(minutes=15))
    assert (read(table).status, read(table).execution) == (move, ANOTHER_EXECUTION)


def test_a_waiting_photo_keeps_its_classification(table: PhotoTable) -> None:
    MOVES[CLASSIFIED](table, EXECUTION, NOW)
    MOVES[IN_REVIEW](table, EXECUTION, LATER)
    record = read(table)
    assert (record.classification, record.threshold) == (CLASSIFICATION, 0.9)
    assert record.review == REVIEW | {"execution": EXECUTION}
    assert record.photo == PHOTO


@pytest.mark.parametrize("seen", [CLASSIFIED, IN_REVIEW])
@pytest.mark.parametrize("move", [CLASSIFIED, IN_REVIEW, ROUTED, REJECTED])
def test_an_execution_that_saw_the_photo_before_it_was_missing_keeps_the_rejection(
    table: PhotoTable, seen: str, move: str
) -> None:
    MOVES[seen](table, EXECUTION, NOW)
    MOVES["missing"](table, ANOTHER_EXECUTION, NOW)
    rejected = read(table)
    with pytest.raises(Refused) as refused:
        MOVES[move](table, EXECUTION, LATER)
    assert refused.value.record == rejected == read(table)
    # The execution of the upload that came after it is a third one.
    MOVES[move](table, EXECUTION.replace("first", "third"), LATER)
    assert read(table).status == move


def test_an_outcome_is_unannounced_until_its_event_was_published(table: PhotoTable) -> None:
    MOVES[ROUTED](table, EXECUTION, NOW)
    (record,) = table.list_unannounced()
    assert not record.announced
    table.mark_announced(record, LATER)
    assert list(table.list_unannounced()) == []
    assert read(table).announced


def test_an_announcement_of_an_earlier_outcome_changes_nothing(table: PhotoTable) -> None:
    MOVES["missing"](table, EXECUTION, NOW)
    earlier = read(table)
    MOVES[ROUTED](table, EXECUTION, LATER)
    table.mark_announced(earlier, LATER)
    assert [record.status for record in table.list_unannounced()] == [ROUTED]


def test_a_photo_that_was_uploaded_again_has_no_outcome(table: PhotoTable) -> None:
    MOVES["missing"](table, EXECUTION, NOW)
    table.mark_announced(read(table), NOW)
    MOVES[CLASSIFIED](table, EXECUTION, LATER)
    assert (read(table).outcome, read(table).announced) == (None, False)
    assert list(table.list_unannounced()) == []


def test_records_are_found_by_status_day_and_driver(table: PhotoTable) -> None:
    photos = [Photo(UPLOADS, f"uploads/driver-{number % 2}/{number}.jpg", "e", 1) for number in range(4)]
    for number, photo in enumerate(photos):
        table.classify(photo, EXECUTION, NOW + timedelta(seconds=number), classification=CLASSIFICATION, threshold=0.9)
    table.claim_review(photos[0], EXECUTION, LATER, review=REVIEW)
    assert [record.photo for record in table.list_by_status(CLASSIFIED)] == photos[1:]
    since = timestamp(NOW + timedelta(seconds=2))
    assert [record.photo for record in table.list_by_status(CLASSIFIED, since=since)] == photos[2:]
    assert [record.photo for record in table.list_by_status(IN_REVIEW)] == photos[:1]
    assert [record.photo for record in table.list_by_day(timestamp(NOW)[:10])] == photos
    assert [record.photo for record in table.list_by_driver("driver-1", newest_first=True)] == [photos[3], photos[1]]


def test_the_statuses_of_more_photos_than_one_request_takes(table: PhotoTable) -> None:
    MOVES[ROUTED](table, EXECUTION, NOW)
    unknown = [f"{number:032x}" for number in range(150)]
    assert table.find_statuses([*unknown, PHOTO.photo_id]) == {PHOTO.photo_id: ROUTED}


@pytest.mark.parametrize(
    "failure",
    [
        ClientError({"Error": {"Code": "ProvisionedThroughputExceededException", "Message": "slow down"}}, "any"),
        ConnectTimeoutError(endpoint_url="http://127.0.0.1"),
    ],
)
@pytest.mark.parametrize("operation", ["update_item", "get_item", "batch_get_item"])
def test_a_table_that_does_not_answer_is_an_error_of_its_own(
    table: PhotoTable, monkeypatch: pytest.MonkeyPatch, operation: str, failure: Exception
) -> None:
    def fail(**_: Any) -> None:
        raise failure

    monkeypatch.setattr(client("dynamodb"), operation, fail)
    calls: dict[str, Callable[[], object]] = {
        "update_item": lambda: MOVES[CLASSIFIED](table, EXECUTION, NOW),
        "get_item": lambda: table.get(PHOTO.photo_id),
        "batch_get_item": lambda: table.find_statuses([PHOTO.photo_id]),
    }
    with pytest.raises(RecordUnavailable, match=r"DynamoDB did not .*(slow down|timeout)"):
        calls[operation]()


def test_every_status_has_a_transition() -> None:
    assert {*STATUSES} == {*MOVES, BATCHED} - {"missing"}


@pytest.mark.parametrize("before", [None, CLASSIFIED, IN_REVIEW, UNROUTED])
def test_one_of_several_callers_claims_a_restart(table: PhotoTable, before: str | None) -> None:
    if before:
        MOVES[before](table, EXECUTION, NOW)
    found = table.get(PHOTO.photo_id)
    table.claim_restart(PHOTO, found, ANOTHER_EXECUTION, LATER, error={"Error": "ABORTED"}, restarts=1)
    record = read(table)
    assert (record.status, record.execution, record.restarts) == (UNROUTED, ANOTHER_EXECUTION, 1)
    with pytest.raises(Refused):
        table.claim_restart(PHOTO, found, "a third one", LATER, error={"Error": "ABORTED"}, restarts=1)
    assert read(table) == record


@pytest.mark.parametrize("outcome", [ROUTED, REJECTED])
def test_a_photo_with_an_outcome_is_not_restarted(table: PhotoTable, outcome: str) -> None:
    MOVES[CLASSIFIED](table, EXECUTION, NOW)
    stale = read(table)
    MOVES[outcome](table, EXECUTION, LATER)
    with pytest.raises(Refused):
        table.claim_restart(PHOTO, stale, ANOTHER_EXECUTION, LATER, error={"Error": "ABORTED"}, restarts=1)


def test_a_photo_that_was_rejected_as_missing_can_be_restarted(table: PhotoTable) -> None:
    MOVES["missing"](table, EXECUTION, NOW)
    table.claim_restart(PHOTO, read(table), ANOTHER_EXECUTION, LATER, error={"Error": "NotRunning"}, restarts=1)
    record = read(table)
    assert (record.status, record.outcome) == (UNROUTED, None)
    assert list(table.list_unannounced()) == []


def test_the_record_has_the_last_upload_that_a_transition_knew(table: PhotoTable) -> None:
    def uploaded_at(at: str, sequencer: str) -> Photo:
        return replace(PHOTO, uploaded_at=at, sequencer=sequencer)

    outcome = {"rejected": {"reason": "TooManyPhotos", "retry_at": "2026-11-27T10:01:00.000Z"}, "execution": EXECUTION}
    table.record_outcome(uploaded_at("2026-11-27T10:00:30Z", "1"), REJECTED, EXECUTION, NOW, outcome=outcome)
    again = uploaded_at("2026-11-27T12:01:30+02:00", "2")
    # The second upload is rejected too, and accepted in a restart.
    outcome = {"rejected": {"reason": "TooManyPhotos", "retry_at": "2026-11-27T10:02:00.000Z"}, "execution": EXECUTION}
    table.record_outcome(again, REJECTED, ANOTHER_EXECUTION, LATER, outcome=outcome)
    table.claim_restart(again, read(table), EXECUTION, LATER, error={"Error": "ABORTED"}, restarts=1)
    MOVES[CLASSIFIED](table, EXECUTION, LATER)
    photo = read(table).photo
    assert (photo.uploaded_at, photo.sequencer) == ("2026-11-27T10:01:30.000Z", "2")


def test_the_number_of_restarts_survives_other_transitions(table: PhotoTable) -> None:
    table.claim_restart(PHOTO, None, EXECUTION, NOW, error={"Error": "NotStarted"}, restarts=2)
    for status in (CLASSIFIED, IN_REVIEW, UNROUTED):
        MOVES[status](table, EXECUTION, LATER)
        assert read(table).restarts == 2


def test_one_of_several_callers_announces_an_overdue_outcome(table: PhotoTable) -> None:
    MOVES[ROUTED](table, EXECUTION, NOW)
    found = read(table)
    assert table.claim_announcement(found, LATER)
    assert not table.claim_announcement(found, LATER)
    # The caller that had it did not publish the event in time.
    assert table.claim_announcement(read(table), LATER + timedelta(minutes=1))
    table.mark_announced(read(table), LATER)
    assert not table.claim_announcement(read(table), LATER)


def test_the_photos_of_a_part_of_a_day_are_those_first_seen_in_it(table: PhotoTable) -> None:
    noon = NOW.replace(hour=12)
    for minute in range(4):
        photo = Photo("uploads", f"uploads/driver-1/{minute}.jpg", f"{minute:032x}", 1)
        at = noon + timedelta(minutes=minute)
        table.classify(photo, EXECUTION, at, classification=CLASSIFICATION, threshold=0.9)
    since, before = (timestamp(noon + timedelta(minutes=minute)) for minute in (1, 3))
    found = table.list_by_day(since[:10], since=since, before=before)
    assert [record.photo.key for record in found] == ["uploads/driver-1/1.jpg", "uploads/driver-1/2.jpg"]
