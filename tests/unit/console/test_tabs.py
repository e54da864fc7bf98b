"""The sessions of browser tabs."""

import pytest

from console.answers import choices
from console.desk import Desk
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
        tabs.close_session(TAB)
        assert session.closed
        assert tabs.session(TAB, named("ben")) is not session
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
