"""ReconcilePhotos: photos without an outcome are restarted, outcomes without an event are announced, each once."""

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from functions.shared.aws import client
from functions.shared.outcomes import ANNOUNCED_WITHIN
from functions.shared.photo import Photo
from functions.shared.photo_record import CLASSIFIED, IN_REVIEW, REJECTED, ROUTED, UNROUTED
from functions.shared.photo_table import PhotoTable
from functions.shared.times import now, timestamp
from tests.unit.functions.reconciler import Reconciler, classify, counts, decide
from tests.unit.functions.stack import EXECUTION, CallFailer, FunctionOutput, Stack


def test_an_uploaded_photo_without_an_execution_is_restarted_once(
    stack: Stack, reconcile: Reconciler, output: Callable[[], FunctionOutput]
) -> None:
    photo = stack.upload()
    report = reconcile()
    assert counts(report) == {"uploads": 1, "without_outcome": 1, "restarted": 1}
    (named,) = report["restarted"]
    assert (named["photo_id"], named["photo"], named["driver_id"]) == (photo.photo_id, photo.address, "driver-17")
    assert reconcile.started() == [f"reconcile-{photo.photo_id}-1"]
    record = stack.record(photo)
    assert (record.status, record.restarts, record.execution) == (UNROUTED, 1, named["execution"])
    execution = client("stepfunctions").describe_execution(executionArn=record.execution)
    # It counts as an upload of the minute in which S3 received it, not of this restart.
    uploaded_at = client("s3").head_object(Bucket=photo.bucket, Key=photo.key)["LastModified"]
    assert json.loads(execution["input"])["photo"] == {
        "bucket": photo.bucket,
        "key": photo.key,
        "etag": photo.etag,
        "size": photo.size,
        "uploaded_at": timestamp(uploaded_at),
    }
    (line,) = output().metrics("PhotosUnaccounted")
    assert line["PhotosUnaccounted"] == [1.0]

    assert counts(reconcile()) == {"uploads": 1, "without_outcome": 1, "in_progress": 1}
    assert len(reconcile.started()) == 1
    (line,) = output().metrics("PhotosUnaccounted")
    assert line["PhotosUnaccounted"] == [0.0]
    assert {"service", "stage"} == set(line["_aws"]["CloudWatchMetrics"][0]["Dimensions"][0])


def test_photos_with_an_outcome_are_counted(stack: Stack, reconcile: Reconciler, photos: PhotoTable) -> None:
    decide(photos, stack.upload())
    report = reconcile()
    assert counts(report) == {"uploads": 1, "with_outcome": 1}
    assert (report["complete"], report["continuation"]) == (True, None)


def test_a_folder_marker_is_no_photo(stack: Stack, reconcile: Reconciler) -> None:
    stack.upload(b"", "uploads/driver-17/")
    stack.upload(key="labels/not-an-upload.jpg")
    assert counts(reconcile()) == {}


@pytest.mark.parametrize("status", [CLASSIFIED, IN_REVIEW, UNROUTED])
def test_a_photo_whose_execution_was_stopped_is_restarted(
    stack: Stack, reconcile: Reconciler, photos: PhotoTable, status: str
) -> None:
    photo = stack.upload()
    execution = reconcile.start(photo)
    classify(photos, photo, execution)
    review = {"reason": "LowConfidence", "expires_at": timestamp(now() + timedelta(hours=1)), "token_hash": "abc"}
    if status == IN_REVIEW:
        photos.claim_review(photo, execution, now(), review=review)
    if status == UNROUTED:
        photos.mark_unrouted(photo, execution, now(), error={"Error": "RecordUnavailable", "Cause": "slow"})
    running = "waiting_for_review" if status == IN_REVIEW else "in_progress"
    assert counts(reconcile()) == {"uploads": 1, "without_outcome": 1, running: 1}

    reconcile.stop(execution)
    report = reconcile()
    assert counts(report) == {"uploads": 1, "without_outcome": 1, "restarted": 1}
    assert report["restarted"][0]["reason"] == f"it is {status}, and its execution ended as ABORTED"
    record = stack.record(photo)
    assert (record.error or {})["Error"] == ("RecordUnavailable" if status == UNROUTED else "ABORTED")
    # The new execution may request a review, although the old request has not expired.
    photos.claim_review(photo, record.execution, now(), review=review)


@pytest.mark.parametrize("known", [True, False])
def test_photos_whose_executions_ended_in_an_outage_count_in_the_minutes_of_their_uploads(
    stack: Stack, reconcile: Reconciler, photos: PhotoTable, known: bool
) -> None:
    """Their records begin when the outage ends, all in the same minute."""
    uploaded_at = {}
    for number in range(3):
        photo = stack.upload(key=f"uploads/driver-17/{number}.jpg")
        listed = client("s3").head_object(Bucket=photo.bucket, Key=photo.key)["LastModified"]
        uploaded_at[photo.photo_id] = timestamp(listed - timedelta(minutes=60 - number) if known else listed)
        if known:
            photo = replace(photo, uploaded_at=uploaded_at[photo.photo_id], sequencer=f"{number}")
        ended_at = now() - timedelta(minutes=15)
        photos.mark_unrouted(photo, f"{EXECUTION}-{number}", ended_at, error={"Error": "RecordUnavailable"})
    assert counts(reconcile())["restarted"] == 3
    for name in reconcile.started():
        arn = f"{reconcile.machine.replace(':stateMachine:', ':execution:')}:{name}"
        state = json.loads(client("stepfunctions").describe_execution(executionArn=arn)["input"])["photo"]
        assert state["uploaded_at"] == uploaded_at[Photo.from_state(state).photo_id]
        assert ("sequencer" in state) == known


def test_a_photo_whose_object_was_deleted_is_restarted_too(
    stack: Stack, reconcile: Reconciler, photos: PhotoTable
) -> None:
    photo = stack.upload()
    classify(photos, photo, "an execution that does not exist")
    stack.delete(photo)
    report = reconcile()
    assert counts(report) == {"restarted": 1}
    assert report["restarted"][0]["reason"] == "it is classified, and its execution does not exist"


def test_a_photo_whose_execution_has_no_record_yet_is_in_progress(stack: Stack, reconcile: Reconciler) -> None:
    first, second, lost = (stack.upload(key=f"uploads/driver-17/{number}.jpg") for number in range(3))
    reconcile.start(first, "of-the-rule")
    reconcile.start(Photo(second.bucket, second.key), "of-another-team-without-an-etag")
    client("stepfunctions").start_execution(stateMachineArn=reconcile.machine, name="no-photo", input='{"photo": 7}')
    report = reconcile()
    assert counts(report) == {"uploads": 3, "without_outcome": 3, "in_progress": 2, "restarted": 1}
    assert report["restarted"][0]["photo_id"] == lost.photo_id


def test_a_photo_that_was_rejected_as_missing_and_uploaded_again_is_restarted(
    stack: Stack, reconcile: Reconciler, photos: PhotoTable
) -> None:
    photo, unusable = stack.upload(), stack.upload(key="uploads/driver-17/unusable.jpg")
    for one, reason in ((photo, "PhotoMissing"), (unusable, "UnusablePhoto")):
        photos.record_outcome(one, REJECTED, EXECUTION, now(), outcome={"rejected": {"reason": reason}})
    execution = reconcile.start(photo)
    expected = {"uploads": 2, "with_outcome": 1, "without_outcome": 1}
    assert counts(reconcile()) == {**expected, "in_progress": 1}
    reconcile.stop(execution)
    report = reconcile()
    assert counts(report) == {**expected, "restarted": 1}
    assert report["restarted"][0]["reason"].startswith("it was rejected and uploaded again")
    assert stack.record(photo).status == UNROUTED
    assert counts(reconcile()) == {**expected, "in_progress": 1}


def test_one_of_too_many_photos_is_restarted_only_when_it_was_uploaded_again_later(
    stack: Stack, reconcile: Reconciler, photos: PhotoTable
) -> None:
    again, rejected = stack.upload(), stack.upload(key="uploads/driver-17/rejected.jpg")
    for one, wait_s in ((again, -60), (rejected, 60)):
        outcome = {"reason": "TooManyPhotos", "retry_at": timestamp(now() + timedelta(seconds=wait_s))}
        photos.record_outcome(one, REJECTED, EXECUTION, now(), outcome={"rejected": outcome})
    report = reconcile()
    assert counts(report) == {"uploads": 2, "with_outcome": 1, "without_outcome": 1, "restarted": 1}
    assert report["restarted"][0]["photo_id"] == again.photo_id


def test_with_many_new_executions_no_photo_without_a_record_is_restarted(
    stack: Stack, reconcile: Reconciler, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.upload()
    reconcile.start(stack.upload(key="uploads/driver-17/another.jpg"))
    monkeypatch.setattr("functions.reconcile_photos.reconcile.MAX_DESCRIBED", 0)
    assert counts(reconcile()) == {"uploads": 2, "without_outcome": 2, "in_progress": 2}


def test_young_photos_are_not_touched(stack: Stack, reconcile: Reconciler, photos: PhotoTable) -> None:
    stack.upload()
    classify(photos, stack.upload(key="uploads/driver-17/classified.jpg"), "an execution that does not exist")
    assert counts(reconcile(grace_s=60)) == {"too_young": 2, "in_progress": 1}
    assert reconcile.started() == []


def test_only_the_uploads_of_the_last_hours_are_listed(stack: Stack, reconcile: Reconciler) -> None:
    stack.upload()
    assert counts(reconcile(hours=0)) == {}
    assert counts(reconcile(hours=1)) == {"uploads": 1, "without_outcome": 1, "restarted": 1}


def test_a_restart_that_was_claimed_but_not_started_is_started(
    stack: Stack, reconcile: Reconciler, fail_call: CallFailer
) -> None:
    photo = stack.upload()
    restore = fail_call(client("stepfunctions", attempts=8), "start_execution")
    report = reconcile()
    assert counts(report) == {"uploads": 1, "without_outcome": 1, "unexplained": 1}
    assert "could not be restarted" in report["unexplained"][0]["reason"]
    restore()
    assert counts(reconcile())["restarted"] == 1
    assert reconcile.started() == [f"reconcile-{photo.photo_id}-1"]


def test_after_three_restarts_a_photo_is_unexplained_until_somebody_forces_another_one(
    stack: Stack, reconcile: Reconciler, output: Callable[[], FunctionOutput]
) -> None:
    photo = stack.upload()
    for number in (1, 2, 3):
        assert counts(reconcile())["restarted"] == 1
        assert stack.record(photo).restarts == number
        reconcile.stop(stack.record(photo).execution)
    output()
    for _ in range(2):
        report = reconcile()
        assert counts(report) == {"uploads": 1, "without_outcome": 1, "unexplained": 1}
        assert report["unexplained"][0]["reason"].endswith("ended as ABORTED, after 3 restarts")
        assert output().metrics("PhotosUnaccounted")[0]["PhotosUnaccounted"] == [1.0]
    assert counts(reconcile(force=True))["restarted"] == 1
    assert reconcile.started() == [f"reconcile-{photo.photo_id}-{number}" for number in (1, 2, 3, 4)]


@pytest.mark.parametrize("status", [ROUTED, REJECTED])
def test_an_outcome_without_an_event_is_announced_once(
    stack: Stack, reconcile: Reconciler, photos: PhotoTable, status: str
) -> None:
    photo = stack.upload()
    long_ago = now() - ANNOUNCED_WITHIN - timedelta(seconds=10)
    if status == ROUTED:
        decide(photos, photo, long_ago, announced=False)
    else:
        rejection = {
            "photo": photo.as_state(),
            "driver_id": photo.driver_id,
            "rejected": {"reason": "UnreadablePhoto", "message": "it is empty"},
            "execution": EXECUTION,
            "rejected_at": timestamp(long_ago),
        }
        photos.record_outcome(photo, REJECTED, EXECUTION, long_ago, outcome=rejection)
    report = reconcile()
    assert counts(report) == {"uploads": 1, "with_outcome": 1, "announced": 1}
    assert report["announced"][0]["photo_id"] == photo.photo_id
    assert len(stack.published("Driver Routed" if status == ROUTED else "Photo Rejected")) == 1
    assert stack.record(photo).announced
    assert counts(reconcile()) == {"uploads": 1, "with_outcome": 1}
    assert len(stack.published()) == 1


def test_an_outcome_that_its_execution_is_about_to_announce_is_left_to_it(
    stack: Stack, reconcile: Reconciler, photos: PhotoTable
) -> None:
    decide(photos, stack.upload(), announced=False)
    assert counts(reconcile()) == {"uploads": 1, "with_outcome": 1}
    assert stack.published() == []


def test_an_outcome_that_cannot_be_announced_is_unexplained(
    stack: Stack, reconcile: Reconciler, photos: PhotoTable, fail_call: CallFailer
) -> None:
    decide(photos, stack.upload(), now() - timedelta(minutes=5), announced=False)
    fail_call(client("events"), "put_events")
    report = reconcile()
    assert counts(report) == {"uploads": 1, "with_outcome": 1, "unexplained": 1}
    assert "on purpose" in report["unexplained"][0]["reason"]


def test_two_reconciliations_at_once_start_one_execution_and_publish_one_event(
    stack: Stack, reconcile: Reconciler, photos: PhotoTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = [stack.upload(key=f"uploads/driver-17/{number}.jpg") for number in range(4)]
    stuck = stack.upload(key="uploads/driver-17/stuck.jpg")
    classify(photos, stuck, "an execution that does not exist")
    decided = stack.upload(key="uploads/driver-17/decided.jpg")
    decide(photos, decided, now() - timedelta(minutes=5), announced=False)
    # Both have read the records before one of them changes a record.
    both_read = threading.Barrier(2, timeout=10)
    for name in ("claim_announcement", "claim_restart"):
        real = getattr(PhotoTable, name)

        def wait_and_claim(*arguments: Any, real: Any = real, **options: Any) -> Any:
            both_read.wait()
            return real(*arguments, **options)

        monkeypatch.setattr(PhotoTable, name, wait_and_claim)
    # moto changes an item in several steps, which DynamoDB does not.
    one_at_a_time, update_item = threading.Lock(), client("dynamodb").update_item

    def update(**request: Any) -> Any:
        with one_at_a_time:
            return update_item(**request)

    monkeypatch.setattr(client("dynamodb"), "update_item", update)
    reports: list[dict[str, Any]] = []
    module = reconcile.function.module

    reconcile.prepare()

    def run() -> None:
        request = module.Request.from_state({"grace_s": 0}, now())
        parts = (module.settings.uploads_bucket, module.s3, module.photos, module.bus, module.executions)
        reports.append(module.Reconciliation(request, *parts, module.logger).run().as_state())

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(reports) == 2
    assert reconcile.started() == sorted(f"reconcile-{photo.photo_id}-1" for photo in (*lost, stuck))
    assert len(stack.published("Driver Routed")) == 1
    total = {name: sum(one["counts"][name] for one in reports) for name in ("restarted", "announced", "unexplained")}
    assert total == {"restarted": 5, "announced": 1, "unexplained": 0}


def test_a_photo_that_was_decided_after_its_record_was_read_is_not_restarted(
    stack: Stack, reconcile: Reconciler, photos: PhotoTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = stack.upload()
    execution = reconcile.start(photo)
    classify(photos, photo, execution)
    reconcile.stop(execution)
    real = PhotoTable.claim_restart

    def decide_first(*arguments: Any, **options: Any) -> None:
        decide(photos, photo)
        real(*arguments, **options)

    monkeypatch.setattr(PhotoTable, "claim_restart", decide_first)
    assert counts(reconcile()) == {"uploads": 1, "with_outcome": 1}
    assert reconcile.started() == ["first"]
