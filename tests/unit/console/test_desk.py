"""The desk: sessions of reviewers, the undo window and the end of a session."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from console import delivery
from console.answers import choices
from console.desk import Desk, InvalidAnswer
from console.labels import Label
from console.leases import Lease
from console.session import DELAYED, LABEL_ONLY, ROUTED, NotLeased, Outcome, Session
from deploy.outputs import Deployed
from functions.shared.errors import RecordUnavailable
from tests.support.reviewers import reviewer as named
from tests.support.waiting import eventually
from tests.unit import model_stage
from tests.unit.console.review_requests import FakeAws, depth, labels, send, unreachable

LONG_S = 60.0


def open_desk(stage: Deployed, aws: FakeAws | None = None, **options: Any) -> Desk:
    return Desk(stage, aws or FakeAws(), choices(), **options)


def take_one(desk: Desk, session: Session) -> Lease:
    (lease,) = desk.take(session, ahead=1)
    return lease


def notices(session: Session, number: int = 1) -> list[Outcome]:
    found: list[Outcome] = eventually(lambda: list(session.notices), lambda seen: len(seen) >= number)
    return found


def test_an_answer_is_delivered_when_its_undo_window_ends(stage: Deployed) -> None:
    photo_id = send(stage, 1)
    aws = FakeAws()
    with open_desk(stage, aws, undo_s=0.4) as desk:
        session = desk.open_session(named("ada"))
        desk.answer(session, take_one(desk, session).id, "bicycle")
        assert aws.stepfunctions.outputs == {}
        assert notices(session)[0].kind == ROUTED
        assert desk.undo(session) is None
    assert labels(stage)[photo_id]["vehicle"] == "bicycle"
    assert aws.stepfunctions.outputs["token-1"]["vehicle"] == "bicycle"


def test_an_answer_can_be_undone_in_its_window_and_given_again(stage: Deployed) -> None:
    photo_id = send(stage, 1)
    with open_desk(stage, undo_s=0.4) as desk:
        session = desk.open_session(named("ada"))
        lease = take_one(desk, session)
        desk.answer(session, lease.id, "motorcycle")
        assert desk.undo(session) is lease
        assert desk.take(session) == [lease]
        time.sleep(0.6)
        assert labels(stage) == {}
        desk.answer(session, lease.id, "bicycle")
        notices(session)
    assert labels(stage)[photo_id]["vehicle"] == "bicycle"


def test_undo_takes_the_newest_answer(stage: Deployed) -> None:
    for number in (1, 2):
        send(stage, number)
    with open_desk(stage, undo_s=LONG_S) as desk:
        session = desk.open_session(named("ada"))
        first, second = desk.take(session)
        desk.answer(session, first.id, "bicycle")
        desk.answer(session, second.id, "bicycle")
        assert desk.undo(session) is second
        assert desk.undo(session) is first
        assert desk.undo(session) is None


def test_without_an_undo_window_nothing_can_be_undone(stage: Deployed) -> None:
    send(stage, 1)
    with open_desk(stage, undo_s=0) as desk:
        session = desk.open_session(named("ada"))
        desk.answer(session, take_one(desk, session).id, "bicycle")
        assert desk.undo(session) is None


def test_two_reviewers_never_get_the_same_photo(stage: Deployed) -> None:
    sent = {send(stage, number) for number in range(4)}
    with open_desk(stage) as one, open_desk(stage) as other:
        leases = [
            lease
            for desk, reviewer in ((one, "ada"), (one, "ben"), (other, "cleo"))
            for lease in desk.take(desk.open_session(named(reviewer)))
        ]
    assert len(leases) == 4
    assert {lease.request.photo.photo_id for lease in leases} == sent


def test_the_desk_extends_the_leases_of_open_requests_and_undelivered_answers(stage: Deployed) -> None:
    for number in (1, 2):
        send(stage, number)
    with open_desk(stage, lease_s=2, undo_s=LONG_S) as one, open_desk(stage) as other:
        session = one.open_session(named("ada"))
        answered, _ = one.take(session)
        one.answer(session, answered.id, "bicycle")
        ben = other.open_session(named("ben"))
        for _ in range(6):
            time.sleep(0.5)
            assert other.take(ben) == []


def test_a_request_goes_back_at_once_when_its_session_closes_or_skips_it(stage: Deployed) -> None:
    send(stage, 1)
    with open_desk(stage) as desk:
        ada = desk.open_session(named("ada"))
        lease = take_one(desk, ada)
        assert desk.take(desk.open_session(named("ben"))) == []
        desk.close_session(ada)
        again = take_one(desk, ben := desk.open_session(named("ben")))
        assert again.request.photo == lease.request.photo
        desk.skip(ben, again.id)
        assert take_one(desk, desk.open_session(named("cleo"))).request.photo == lease.request.photo


def test_a_skipped_request_is_followed_by_another_one(stage: Deployed) -> None:
    for number in (1, 2):
        send(stage, number)
    with open_desk(stage) as desk:
        session = desk.open_session(named("ada"))
        first = take_one(desk, session)
        desk.skip(session, first.id)
        assert desk.take(session)[0].request.photo != first.request.photo


def test_an_outage_of_the_table_gives_the_request_back(stage: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    send(stage, 1)
    with open_desk(stage) as desk:
        session = desk.open_session(named("ada"))
        with monkeypatch.context() as outage:
            outage.setattr(desk._records, "get", unavailable)
            with pytest.raises(RecordUnavailable):
                desk.take(session)
        assert take_one(desk, session).request.photo == model_stage.photo(1)


def unavailable(photo_id: str) -> None:
    raise RecordUnavailable(f"DynamoDB did not read the record of photo {photo_id}")


def test_a_photo_that_many_reviewers_skip_is_not_moved_to_the_dead_letter_queue(stage: Deployed) -> None:
    send(stage, 1)
    with open_desk(stage) as desk:
        session = desk.open_session(named("ada"))
        for _ in range(12):
            desk.skip(session, take_one(desk, session).id)
        assert take_one(desk, session)
        assert sum(depth(stage.review_dead_letter_queue_url)) == 0
        assert sum(depth(stage.review_queue_url)) == 1


def test_a_request_can_be_answered_only_once(stage: Deployed) -> None:
    send(stage, 1)
    with open_desk(stage, undo_s=0) as desk:
        session = desk.open_session(named("ada"))
        lease = take_one(desk, session)
        desk.answer(session, lease.id, "bicycle")
        with pytest.raises(NotLeased, match="no longer yours"):
            desk.answer(session, lease.id, "bicycle")
        with pytest.raises(NotLeased):
            desk.skip(session, lease.id)


def test_an_answer_that_is_not_configured_is_refused_and_the_request_stays(stage: Deployed) -> None:
    send(stage, 1)
    with open_desk(stage) as desk:
        session = desk.open_session(named("ada"))
        lease = take_one(desk, session)
        with pytest.raises(InvalidAnswer, match="'spaceship' is none of bicycle, motorcycle, other, unusable"):
            desk.answer(session, lease.id, "spaceship")
        assert desk.take(session, ahead=1) == [lease]


def test_closing_the_desk_delivers_the_answers_and_gives_back_the_rest(stage: Deployed) -> None:
    for number in (1, 2):
        send(stage, number)
    with open_desk(stage, undo_s=LONG_S) as desk:
        session = desk.open_session(named("ada"))
        first, second = desk.take(session)
        desk.answer(session, first.id, "bicycle")
    assert set(labels(stage)) == {first.request.photo.photo_id}
    with open_desk(stage) as desk:
        assert take_one(desk, desk.open_session(named("ben"))).request.photo == second.request.photo


def test_closing_the_desk_gives_back_requests_whose_answers_cannot_be_delivered(stage: Deployed) -> None:
    send(stage, 1)
    aws = FakeAws()
    aws.stepfunctions.error = unreachable()
    with open_desk(stage, aws, undo_s=LONG_S) as desk:
        session = desk.open_session(named("ada"))
        desk.answer(session, take_one(desk, session).id, "bicycle")
    assert depth(stage.review_queue_url) == (1, 0)


def test_a_closed_session_still_delivers_its_answers(stage: Deployed) -> None:
    photo_id = send(stage, 1)
    with open_desk(stage, undo_s=1) as desk:
        session = desk.open_session(named("ada"))
        desk.answer(session, take_one(desk, session).id, "bicycle")
        desk.close_session(session)
        assert desk.find_request(photo_id)
        assert notices(session)[0].kind == ROUTED
        eventually(lambda: desk.find_request(photo_id) is None)
    assert labels(stage)[photo_id]["vehicle"] == "bicycle"


def test_an_answer_that_aws_does_not_accept_is_reported_and_tried_again(
    stage: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "_MAX_BACKOFF_S", 0.3)
    photo_id = send(stage, 1)
    aws = FakeAws()
    aws.stepfunctions.error = unreachable()
    with open_desk(stage, aws, undo_s=0) as desk:
        session = desk.open_session(named("ada"))
        desk.answer(session, take_one(desk, session).id, "bicycle")
        assert notices(session)[0].kind == DELAYED
        assert desk.undo(session) is None
        aws.stepfunctions.error = None
        assert [notice.kind for notice in notices(session, 2)] == [DELAYED, ROUTED]
    assert labels(stage)[photo_id]["vehicle"] == "bicycle"
    assert aws.stepfunctions.outputs["token-1"]["vehicle"] == "bicycle"


def test_an_answer_is_not_lost_while_s3_cannot_be_reached(stage: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "_MAX_BACKOFF_S", 0.3)
    photo_id = send(stage, 1)
    with open_desk(stage, undo_s=0) as desk:
        session = desk.open_session(named("ada"))
        lease = take_one(desk, session)
        bucket = desk.labels.bucket
        monkeypatch.setattr(desk.labels, "bucket", "no-such-bucket-anywhere")
        desk.answer(session, lease.id, "bicycle")
        assert notices(session)[0].kind == DELAYED
        monkeypatch.setattr(desk.labels, "bucket", bucket)
        assert notices(session, 2)[1].kind == ROUTED
    assert photo_id in labels(stage)


def test_an_invalid_object_at_the_key_of_a_label_is_replaced(stage: Deployed) -> None:
    photo_id = send(stage, 1)
    with open_desk(stage, undo_s=0) as desk:
        session = desk.open_session(named("ada"))
        lease = take_one(desk, session)
        key = Label.of(lease.request, "bicycle", "ada", datetime.now(UTC), "any").key
        model_stage.aws("s3").put_object(Bucket=stage.ml_bucket, Key=key, Body=b"[1, 2")
        desk.answer(session, lease.id, "bicycle")
        assert notices(session)[0].kind == ROUTED
    assert labels(stage)[photo_id]["vehicle"] == "bicycle"


def test_a_driver_who_waits_comes_before_expired_requests(stage: Deployed) -> None:
    for number in range(4):
        send(stage, number, expires_in=timedelta(minutes=-1))
    waiting = send(stage, 5)
    with open_desk(stage) as desk:
        session = desk.open_session(named("ada"))
        assert take_one(desk, session).request.photo.photo_id == waiting
        assert depth(stage.review_queue_url) == (0, 5)


def test_an_expired_request_is_answered_for_its_label_when_no_driver_waits(stage: Deployed) -> None:
    photo_id = send(stage, 1, expires_in=timedelta(minutes=-1))
    aws = FakeAws()
    aws.stepfunctions.expired.add("token-1")
    with open_desk(stage, aws, undo_s=0) as desk:
        session = desk.open_session(named("ada"))
        lease = take_one(desk, session)
        assert lease.is_label_only(datetime.now(UTC))
        desk.answer(session, lease.id, "bicycle")
        assert notices(session)[0].kind == LABEL_ONLY
    assert photo_id in labels(stage)


def test_a_photo_with_a_decision_can_only_become_a_label(stage: Deployed) -> None:
    send(stage, 1)
    model_stage.decided(1, None, "fallback")
    with open_desk(stage) as desk:
        lease = take_one(desk, desk.open_session(named("ada")))
    assert lease.record
    assert lease.record.outcome
    assert lease.record.outcome["decided_by"] == "fallback"
    assert lease.is_label_only(datetime.now(UTC))


def test_a_photo_that_was_rejected_can_only_become_a_label(stage: Deployed) -> None:
    send(stage, 1)
    model_stage.rejected(1)
    with open_desk(stage) as desk:
        lease = take_one(desk, desk.open_session(named("ada")))
    assert lease.is_label_only(datetime.now(UTC))


def test_an_answered_photo_is_finished_and_not_shown_again(stage: Deployed) -> None:
    send(stage, 1)
    aws = FakeAws()
    with open_desk(stage, aws) as desk:
        ada = desk.open_session(named("ada"))
        lease = take_one(desk, ada)
        desk.labels.save(Label.of(lease.request, "bicycle", "ada", datetime.now(UTC), lease.id))
        desk.close_session(ada)
        assert desk.take(desk.open_session(named("ben"))) == []
    assert aws.stepfunctions.outputs["token-1"]["reviewer"] == "ada"
    assert [(event["reviewer"], event["accepted"]) for event in aws.events.details] == [("ada", True)]
    assert depth(stage.review_queue_url) == (0, 0)


def test_a_malformed_request_is_never_shown(stage: Deployed) -> None:
    model_stage.aws("sqs").send_message(QueueUrl=stage.review_queue_url, MessageBody="{broken")
    with open_desk(stage) as desk:
        assert desk.take(desk.open_session(named("ada"))) == []
    assert sum(depth(stage.review_queue_url)) == 1


def test_the_newest_fifty_notices_are_kept_and_numbered(stage: Deployed) -> None:
    session = Session(named("ada"))
    for _ in range(60):
        session.notify(Outcome(ROUTED, "photo", "bicycle", "any"))
    assert [notice.number for notice in session.notices] == list(range(11, 61))
