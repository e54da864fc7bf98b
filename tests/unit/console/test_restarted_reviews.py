"""Reviews that are requested again, because their execution ended: an answer to the old request still counts."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from console.answers import choices
from console.desk import Desk
from console.labels import Label
from console.leases import Lease
from console.session import LABEL_ONLY, ROUTED, Outcome, Session
from deploy.outputs import Deployed
from functions.shared.photo_record import IN_REVIEW
from functions.shared.times import timestamp
from tests.support.reviewers import reviewer as named
from tests.support.waiting import eventually
from tests.unit import model_stage
from tests.unit.console.review_requests import FakeAws, depth, done, send

PHOTO_ID = model_stage.photo(1).photo_id
OLD, NEW = "old-token", "new-token"


@pytest.fixture
def aws() -> FakeAws:
    """Step Functions refuses the old token."""
    aws = FakeAws()
    aws.stepfunctions.expired.add(OLD)
    return aws


def open_desk(stage: Deployed, aws: FakeAws, undo_s: float = 0) -> Desk:
    return Desk(stage, aws, choices(), undo_s=undo_s)


def request_review(stage: Deployed, token: str) -> None:
    """Record a review request of photo 1 with a task token, and send its message."""
    if token == NEW and is_in_review():
        end_execution()
    model_stage.claim(1, at=model_stage.NOW, execution=f"arn:of-{token}", token=token)
    send(stage, 1, token=token, recorded=True)
    record = model_stage.photo_table().get(PHOTO_ID)
    assert record
    assert record.review
    model_stage.photo_table().mark_review_sent(PHOTO_ID, record.review["token_hash"])


def is_in_review() -> bool:
    record = model_stage.photo_table().get(PHOTO_ID)
    return record is not None and record.status == IN_REVIEW


def end_execution() -> None:
    """Record that the execution of the old request ended without an outcome."""
    error = {"Error": "ExecutionLost", "Cause": "It ended without an outcome."}
    model_stage.photo_table().mark_unrouted(model_stage.photo(1), f"arn:of-{OLD}", model_stage.NOW, error=error)


def take_one(desk: Desk, session: Session) -> Lease:
    (lease,) = desk.take(session, ahead=1)
    return lease


def outcomes(session: Session) -> list[Outcome]:
    found: list[Outcome] = eventually(lambda: list(session.notices))
    return found


def test_an_old_message_is_deleted_without_being_shown(stage: Deployed, aws: FakeAws) -> None:
    request_review(stage, OLD)
    request_review(stage, NEW)
    with open_desk(stage, aws) as desk:
        (lease,) = desk.take(desk.open_session(named("ada")), ahead=2)
        assert lease.request.task_token == NEW
        assert sum(depth(stage.review_queue_url)) == 1


def test_an_old_message_is_shown_while_the_new_one_was_not_sent(stage: Deployed, aws: FakeAws) -> None:
    request_review(stage, OLD)
    end_execution()
    model_stage.claim(1, at=model_stage.NOW, execution="arn:new", token=NEW)
    with open_desk(stage, aws) as desk:
        assert take_one(desk, desk.open_session(named("ada"))).request.task_token == OLD


def test_a_new_message_replaces_the_old_one_that_a_reviewer_sees(stage: Deployed, aws: FakeAws) -> None:
    request_review(stage, OLD)
    with open_desk(stage, aws) as desk:
        ada, ben = desk.open_session(named("ada")), desk.open_session(named("ben"))
        shown = take_one(desk, ada)
        request_review(stage, NEW)
        assert desk.take(ben) == []
        (current,) = desk.take(ada)
        assert (current.id, current.request.task_token) == (shown.id, NEW)
        assert sum(depth(stage.review_queue_url)) == 1
        desk.answer(ada, shown.id, "bicycle")
        assert [outcome.kind for outcome in outcomes(ada)] == [ROUTED]
    assert aws.stepfunctions.outputs[NEW]["vehicle"] == "bicycle"
    assert sum(depth(stage.review_queue_url)) == 0


def test_a_new_message_gets_an_answer_whose_undo_window_is_open(stage: Deployed, aws: FakeAws) -> None:
    request_review(stage, OLD)
    with open_desk(stage, aws, undo_s=60) as desk:
        session = desk.open_session(named("ada"))
        desk.answer(session, take_one(desk, session).id, "bicycle")
        request_review(stage, NEW)
        assert desk.take(session) == []
    assert [outcome.kind for outcome in outcomes(session)] == [ROUTED]
    assert aws.stepfunctions.outputs[NEW]["vehicle"] == "bicycle"


def test_the_session_that_holds_the_old_message_gets_the_new_one_when_it_is_not_busy(
    stage: Deployed, aws: FakeAws
) -> None:
    request_review(stage, OLD)
    with open_desk(stage, aws) as desk:
        ada, ben = desk.open_session(named("ada")), desk.open_session(named("ben"))
        take_one(desk, ada)
        request_review(stage, NEW)
        with ada.lock, ThreadPoolExecutor(1) as pool:
            assert pool.submit(desk.take, ben).result() == []
        eventually(lambda: desk.take(ada)[0].request.task_token == NEW)


def test_an_answer_to_the_old_request_counts_for_the_new_one(stage: Deployed, aws: FakeAws) -> None:
    request_review(stage, OLD)
    with open_desk(stage, aws) as desk:
        session = desk.open_session(named("ada"))
        desk.answer(session, take_one(desk, session).id, "motorcycle")
        assert [outcome.kind for outcome in outcomes(session)] == [LABEL_ONLY]
        request_review(stage, NEW)
        assert desk.take(session) == []
    assert aws.stepfunctions.outputs[NEW]["vehicle"] == "motorcycle"
    assert sorted(one["accepted"] for one in done(stage)) == [False, True]
    assert [event["reviewer"] for event in aws.events.details] == ["ada"]
    assert sum(depth(stage.review_queue_url)) == 0


def test_the_new_message_is_found_while_the_session_has_other_requests(stage: Deployed, aws: FakeAws) -> None:
    request_review(stage, OLD)
    with open_desk(stage, aws) as desk:
        session = desk.open_session(named("ada"))
        old = take_one(desk, session)
        others = {send(stage, number) for number in (2, 3, 4)}
        desk.take(session, ahead=3)
        desk.answer(session, old.id, "motorcycle")
        assert [outcome.kind for outcome in outcomes(session)] == [LABEL_ONLY]
        request_review(stage, NEW)
        assert len(desk.take(session, ahead=2)) == 2
        assert aws.stepfunctions.outputs[NEW]["vehicle"] == "motorcycle"
        # The other messages that were received are visible again.
        assert {lease.request.photo.photo_id for lease in desk.take(session, ahead=3)} == others


def test_an_answer_of_the_day_before_counts(stage: Deployed, aws: FakeAws) -> None:
    yesterday = model_stage.NOW - timedelta(days=1)
    model_stage.claim(1, at=yesterday, execution=f"arn:of-{OLD}", token=OLD)
    request_review(stage, NEW)
    with open_desk(stage, aws) as desk:
        session = desk.open_session(named("ada"))
        lease = take_one(desk, session)
        old = Label.of(lease.request, "bicycle", named("ada"), datetime.now(UTC), "an-answer")
        earlier = {"requested_at": timestamp(yesterday), "token_hash": hashlib.sha256(OLD.encode()).hexdigest()}
        desk.reviews.labels.save(Label(**{**old.__dict__, **earlier}))
        desk.close_session(session)
        assert desk.take(desk.open_session(named("ben"))) == []
    assert aws.stepfunctions.outputs[NEW]["reviewer"] == "ada"
