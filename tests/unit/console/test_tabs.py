"""The sessions of browser tabs."""

import pytest

from console.answers import choices
from console.desk import Desk
from console.session import NotChosen
from console.web.tabs import Tabs
from deploy.outputs import Deployed
from tests.support.reviewers import reviewer as named
from tests.support.waiting import eventually
from tests.unit.console.review_requests import FakeAws, send

TAB = "0" * 32


def test_a_tab_keeps_its_session_until_it_is_closed(stage: Deployed) -> None:
    with Desk(stage, FakeAws(), choices()) as desk:
        tabs = Tabs(desk)
        session = tabs.session(TAB, named("ada"))
        assert tabs.session(TAB, named("ben")) is session
        assert session.reviewer.id == "ben"
        tabs.close_session(TAB, named("ben"))
        assert session.closed
        tabs.close()


@pytest.mark.parametrize("known", [True, False])
def test_a_request_that_arrives_after_its_tab_was_closed_holds_no_photo(stage: Deployed, known: bool) -> None:
    waiting = send(stage, 1)
    with Desk(stage, FakeAws(), choices(), undo_s=60) as desk:
        tabs = Tabs(desk)
        if known:
            (lease,) = desk.take(tabs.session(TAB, named("ada")), ahead=1)
            desk.answer(tabs.session(TAB, named("ada")), lease.id, "bicycle")
            waiting = send(stage, 2)
            assert desk.take(tabs.session(TAB, named("ada")), ahead=1)
        tabs.close_session(TAB, named("ada"))
        late = tabs.session(TAB, named("ada"))
        assert desk.take(late) == []
        assert desk.undo(late) is None
        with pytest.raises(NotChosen, match="was closed"):
            desk.choose(late, waiting)
        other = tabs.session("1" * 32, named("ben"))
        assert [held.request.photo.photo_id for held in desk.take(other)] == [waiting]
        tabs.close()


def test_a_tab_that_comes_back_after_its_time_has_a_new_session(stage: Deployed) -> None:
    with Desk(stage, FakeAws(), choices()) as desk:
        tabs = Tabs(desk, timeout_s=0.3)
        first = tabs.session(TAB, named("ada"))
        eventually(lambda: first.closed)
        assert not tabs.session(TAB, named("ada")).closed
        tabs.close()


def test_a_tab_that_sends_nothing_loses_its_session(stage: Deployed) -> None:
    send(stage, 1)
    with Desk(stage, FakeAws(), choices()) as desk:
        tabs = Tabs(desk, timeout_s=0.3)
        session = tabs.session(TAB, named("ada"))
        assert desk.take(session)
        eventually(lambda: session.closed)
        other = desk.open_session(named("ben"))
        eventually(lambda: desk.take(other))
        tabs.close()


def test_an_invalid_tab_identifier_is_refused(stage: Deployed) -> None:
    with Desk(stage, FakeAws(), choices()) as desk:
        tabs = Tabs(desk)
        with pytest.raises(ValueError, match="32 hexadecimal digits"):
            tabs.session("<tab>", named("ada"))
        tabs.close()
