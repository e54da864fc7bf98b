"""A photo that a reviewer chose: its request becomes the current one unless somebody else has it."""

import pytest

from console.answers import choices
from console.desk import Desk
from console.leases import Lease
from console.session import NotChosen
from deploy.outputs import Deployed
from tests.support.reviewers import reviewer as named
from tests.support.waiting import eventually
from tests.unit import model_stage
from tests.unit.console.review_requests import FakeAws, depth, labels, send


def open_desk(stage: Deployed, undo_s: float = 60) -> Desk:
    return Desk(stage, FakeAws(), choices(), undo_s=undo_s)


def photo_ids(leases: list[Lease]) -> list[str]:
    return [lease.request.photo.photo_id for lease in leases]


def test_a_chosen_photo_becomes_the_current_one_and_the_others_stay_in_the_queue(stage: Deployed) -> None:
    sent = [send(stage, number) for number in range(25)]
    with open_desk(stage) as desk:
        session = desk.open_session(named("ada"))
        current, following = desk.take(session)
        wanted = next(one for one in sent if one not in photo_ids([current, following]))
        desk.choose(session, wanted)
        assert photo_ids(desk.take(session)) == [wanted, *photo_ids([current, following])]
        assert depth(stage.review_queue_url) == (22, 3)
        desk.choose(session, following.request.photo.photo_id)
        assert photo_ids(session.leased)[0] == following.request.photo.photo_id
        assert depth(stage.review_queue_url) == (22, 3)


def test_a_photo_that_somebody_else_has_open_is_not_chosen(stage: Deployed) -> None:
    photo_id = send(stage, 1)
    with open_desk(stage) as desk, open_desk(stage) as other_process:
        ada, ben = desk.open_session(named("ada")), desk.open_session(named("ben"))
        desk.choose(ada, photo_id)
        with pytest.raises(NotChosen, match="Somebody has this photo open"):
            desk.choose(ben, photo_id)
        cleo = other_process.open_session(named("cleo"))
        with pytest.raises(NotChosen, match="None of up to 300 requests"):
            other_process.choose(cleo, photo_id)
        desk.answer(ada, ada.leased[0].id, "bicycle")
        with pytest.raises(NotChosen, match="just answered"):
            desk.choose(ben, photo_id)


def test_a_photo_that_was_answered_elsewhere_is_not_chosen_again(stage: Deployed) -> None:
    photo_id = send(stage, 1)
    with open_desk(stage, undo_s=0) as desk:
        session = desk.open_session(named("ada"))
        desk.choose(session, photo_id)
        desk.answer(session, session.leased[0].id, "bicycle")
        eventually(lambda: session.notices)
        send(stage, 1, recorded=True)  # SQS delivers the message once more
        with pytest.raises(NotChosen):
            desk.choose(session, photo_id)
    assert depth(stage.review_queue_url) == (0, 0)
    assert len(labels(stage)) == 1


def test_searching_a_photo_does_not_bring_other_requests_to_the_dead_letter_queue(stage: Deployed) -> None:
    for number in range(3):
        send(stage, number)
    with open_desk(stage) as desk:
        session = desk.open_session(named("ada"))
        for _ in range(12):  # more often than the queue allows a message to be received
            with pytest.raises(NotChosen):
                desk.choose(session, model_stage.photo(99).photo_id)
        assert depth(stage.review_queue_url) == (3, 0)
        assert depth(stage.review_dead_letter_queue_url) == (0, 0)
