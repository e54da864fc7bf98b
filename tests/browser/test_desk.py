"""The desk against a deployed stage: decisions, labels and events of its answers."""

import hashlib
import json
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import jsonschema
import pytest

from console.desk import Desk
from console.labels import Label
from console.leases import Lease
from console.session import ANSWERED_BEFORE, LABEL_ONLY, ROUTED, Outcome, Session
from functions.shared.photo_table import PhotoTable
from tests.browser.deployed_stage import Requested, Stage
from tests.support.reviewers import reviewer as named
from tests.support.waiting import eventually

SCHEMA = json.loads((Path(__file__).parents[2] / "events/schemas/review_completed.json").read_text())


def notices(session: Session, number: int = 1) -> list[Outcome]:
    found: list[Outcome] = eventually(lambda: list(session.notices), lambda seen: len(seen) >= number)
    return found


def take_one(desk: Desk, session: Session) -> Lease:
    lease: Lease = eventually(lambda: desk.take(session, ahead=1))[0]
    return lease


def completed_events(stage: Stage, photo: Requested) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = eventually(lambda: stage.events_about("Review Completed", photo))
    return found


def test_a_hundred_requests_answered_by_two_reviewers_at_once_become_a_hundred_decisions_and_labels(
    stage: Stage,
) -> None:
    requested = stage.request_reviews(100)
    stage.wait_for_requests(100, timeout_s=120)
    window_ends: dict[str, float] = {}

    def review(desk: Desk, name: str) -> int:
        session, count = desk.open_session(named(name)), 0
        while leased := desk.take(session):
            answer = desk.answer(session, leased[0].id, "bicycle" if count % 3 else "motorcycle")
            window_ends[leased[0].request.photo.photo_id] = answer.answered_at.timestamp() + desk.undo_s
            count += 1
            time.sleep(0.15)
        return count

    counts: dict[str, int] = {}
    with stage.desk(undo_s=0.3) as one, stage.desk(undo_s=0.3) as other:
        threads = [
            threading.Thread(target=lambda d=desk, n=name: counts.update({n: review(d, n)}))
            for desk, name in ((one, "ada"), (other, "ben"))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    ids = {one.photo_id for one in requested}
    decided = eventually(
        stage.decisions, lambda found: ids <= {p for p, d in found.items() if d["announced"]}, timeout_s=60
    )
    labels = [label for key, label in stage.labels().items() if label["photo_id"] in ids]
    routed = [event for event in stage.events("Driver Routed") if event["detail"]["photo"]["photo_id"] in ids]
    completed = [event for event in stage.events("Review Completed") if event["detail"]["photo"]["photo_id"] in ids]
    seconds = sorted(event["at"] - window_ends[event["detail"]["photo"]["photo_id"]] for event in routed)
    print(f"undo window's end to Driver Routed: median {median(seconds):.3f} s, p95 {seconds[94]:.3f} s; {counts}")
    assert {decided[photo_id]["decided_by"] for photo_id in ids} == {"reviewer"}
    assert all(decided[label["photo_id"]]["vehicle"] == label["vehicle"] for label in labels)
    assert len(labels) == len({label["photo_id"] for label in labels}) == 100
    assert len(routed) == len({event["detail"]["photo"]["photo_id"] for event in routed}) == 100
    assert len(completed) == len({event["detail"]["photo"]["photo_id"] for event in completed}) == 100
    assert sum(counts.values()) == 100
    assert min(counts.values()) > 20
    assert median(seconds) < 1
    assert stage.queue_length() == 0


def test_an_answer_is_a_label_an_event_and_a_decision(stage: Stage) -> None:
    (requested,) = stage.request_reviews(vehicle="motorcycle")
    with stage.desk(undo_s=0) as desk:
        session = desk.open_session(named("ada"))
        desk.answer(session, take_one(desk, session).id, "bicycle")
        assert notices(session)[0].kind == ROUTED
    (event,) = completed_events(stage, requested)
    jsonschema.validate(event["detail"], SCHEMA, format_checker=jsonschema.FormatChecker())
    assert (event["detail"]["reviewer"], event["detail"]["vehicle"]) == ("ada", "bicycle")
    assert (event["detail"]["agrees"], event["detail"]["accepted"]) == (False, True)
    label = stage.label(requested)
    assert label
    assert (label["vehicle"], label["model_vehicle"], label["photo_id"]) == (
        "bicycle",
        "motorcycle",
        requested.photo_id,
    )
    assert "task_token" not in json.dumps(label)
    decision = eventually(lambda: stage.decisions().get(requested.photo_id))
    assert (decision["vehicle"], decision["loading_bay"], decision["decided_by"]) == ("bicycle", "Bay A", "reviewer")


@pytest.mark.parametrize(("vehicle", "bay"), [("other", "Help desk"), ("unusable", None)])
def test_other_goes_to_the_help_desk_and_unusable_is_rejected(stage: Stage, vehicle: str, bay: str | None) -> None:
    (requested,) = stage.request_reviews()
    with stage.desk(undo_s=0) as desk:
        session = desk.open_session(named("ada"))
        desk.answer(session, take_one(desk, session).id, vehicle)
        notices(session)
    if bay:
        assert eventually(lambda: stage.decisions().get(requested.photo_id))["loading_bay"] == bay
    else:
        (event,) = eventually(lambda: stage.events_about("Photo Rejected", requested))
        assert event["detail"]["rejected"]["reason"] == "UnusablePhoto"


def test_two_reviewers_never_lease_the_same_photo_beyond_the_visibility_timeout(stage: Stage) -> None:
    stage.request_reviews(2)
    stage.wait_for_requests(2)
    with stage.desk(lease_s=1) as one, stage.desk(lease_s=1) as other:
        first = take_one(one, ada := one.open_session(named("ada")))
        second = take_one(other, ben := other.open_session(named("ben")))
        for _ in range(6):
            time.sleep(0.5)
            assert one.take(ada) == [first]
            assert other.take(ben) == [second]
        assert first.request.photo != second.request.photo


def test_the_second_of_two_answers_becomes_an_opinion_and_the_driver_is_routed_once(stage: Stage) -> None:
    (requested,) = stage.request_reviews()
    with stage.desk(undo_s=0) as one, stage.desk(undo_s=0) as other:
        ada, ben = one.open_session(named("ada")), other.open_session(named("ben"))
        first = take_one(one, ada)
        # SQS can deliver a message twice. Here the test ends its visibility timeout.
        stage.aws.sqs.change_message_visibility(
            QueueUrl=stage.deployed.review_queue_url, ReceiptHandle=first.receipt_handle, VisibilityTimeout=0
        )
        second = take_one(other, ben)
        one.answer(ada, first.id, "bicycle")
        notices(ada)
        other.answer(ben, second.id, "motorcycle")
        (outcome,) = notices(ben)
    assert outcome.kind == ANSWERED_BEFORE
    assert "ada answered this photo first (bicycle)" in outcome.message
    label = stage.label(requested)
    assert label
    assert label["vehicle"] == "bicycle"
    assert [(o["vehicle"], o["reviewer"]) for o in label["opinions"]] == [("motorcycle", "ben")]
    assert eventually(lambda: stage.decisions().get(requested.photo_id))["vehicle"] == "bicycle"
    events = eventually(lambda: stage.events_about("Review Completed", requested), lambda found: len(found) >= 2)
    assert [(e["detail"]["reviewer"], e["detail"]["accepted"]) for e in events] == [("ada", True), ("ben", False)]
    assert len(stage.events_about("Driver Routed", requested)) == 1


def test_a_photo_whose_review_timed_out_can_still_get_a_label(stage: Stage) -> None:
    (requested,) = stage.request_reviews(timeout_s=1)
    decision = eventually(lambda: stage.decisions().get(requested.photo_id))
    assert (decision["decided_by"], decision["loading_bay"]) == ("fallback", "Help desk")
    with stage.desk(undo_s=0) as desk:
        session = desk.open_session(named("ada"))
        lease = take_one(desk, session)
        assert lease.record
        assert lease.record.outcome
        assert lease.record.outcome["decided_by"] == "fallback"
        desk.answer(session, lease.id, "bicycle")
        (outcome,) = notices(session)
    assert outcome.kind == LABEL_ONLY
    assert "The review timed out, so the driver was sent to the help desk." in outcome.message
    assert completed_events(stage, requested)[0]["detail"]["accepted"] is False
    assert stage.label(requested)
    assert stage.decisions()[requested.photo_id]["decided_by"] == "fallback"
    assert stage.queue_length() == 0


def test_a_driver_who_waits_comes_before_reviews_that_timed_out(stage: Stage) -> None:
    late = stage.request_reviews(4, timeout_s=1)
    eventually(lambda: all(one.photo_id in stage.decisions() for one in late))
    (waiting,) = stage.request_reviews()
    stage.wait_for_requests(5)
    with stage.desk() as desk:
        assert take_one(desk, desk.open_session(named("ada"))).request.photo.photo_id == waiting.photo_id


def test_an_answer_with_an_unknown_task_token_becomes_a_label(stage: Stage) -> None:
    (requested,) = stage.request_reviews()
    stage.wait_for_requests(1)
    replace_token(stage, requested, "no-such-token")
    with stage.desk(undo_s=0) as desk:
        session = desk.open_session(named("ada"))
        desk.answer(session, take_one(desk, session).id, "motorcycle")
        (outcome,) = notices(session)
    assert (outcome.kind, outcome.message[:30]) == (LABEL_ONLY, "The workflow no longer waits f")
    label = stage.label(requested)
    assert label
    assert label["vehicle"] == "motorcycle"


def test_a_delivery_that_stopped_after_the_label_is_finished_by_the_next_desk(stage: Stage) -> None:
    (requested,) = stage.request_reviews()
    stage.wait_for_requests(1)
    desk = stage.desk(undo_s=0, lease_s=1)
    session = desk.open_session(named("ada"))
    lease = take_one(desk, session)
    desk.labels.save(Label.of(lease.request, "bicycle", "ada", datetime.now(UTC), lease.id))
    desk.close_session(session)
    desk.close()
    with stage.desk() as next_desk:
        assert next_desk.take(next_desk.open_session(named("ben"))) == []
    decision = eventually(lambda: stage.decisions().get(requested.photo_id))
    assert (decision["vehicle"], decision["decided_by"]) == ("bicycle", "reviewer")
    (event,) = completed_events(stage, requested)
    assert (event["detail"]["reviewer"], event["detail"]["accepted"]) == ("ada", True)
    assert stage.queue_length() == 0


def test_a_malformed_message_reaches_the_dead_letter_queue_after_five_receives(stage: Stage) -> None:
    url = stage.deployed.review_queue_url
    stage.aws.sqs.send_message(QueueUrl=url, MessageBody="{broken")
    with stage.desk() as desk:
        session = desk.open_session(named("ada"))
        dead = stage.deployed.review_dead_letter_queue_url
        eventually(lambda: (desk.take(session), depth(stage, dead))[1], lambda found: found == 1, timeout_s=30)
        assert session.leased == []


def depth(stage: Stage, url: str) -> int:
    found = stage.aws.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
    return int(found["Attributes"]["ApproximateNumberOfMessages"])


def replace_token(stage: Stage, photo: Requested, token: str) -> None:
    """Replace the task token of a review request, in its message and in the record of the photo."""
    sqs, url = stage.aws.sqs, stage.deployed.review_queue_url
    message = sqs.receive_message(QueueUrl=url)["Messages"][0]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    sqs.send_message(QueueUrl=url, MessageBody=json.dumps({**json.loads(message["Body"]), "task_token": token}))
    table = PhotoTable(stage.deployed.photo_table, stage.aws.dynamodb)
    record = table.get(photo.photo_id)
    assert record
    review = {**(record.review or {}), "token_hash": hashlib.sha256(token.encode()).hexdigest()}
    table.claim_review(record.photo, record.execution, datetime.now(UTC), review=review)
