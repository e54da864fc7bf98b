"""An answer that cannot be undone any more is corrected in the browser."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.browser_tab import BrowserTab
from tests.browser.conftest import RunningConsole
from tests.browser.deployed_stage import Stage
from tests.support.waiting import eventually

MOST_ACTIONS = 4


@pytest.fixture
def tab(chromium: Browser, console: RunningConsole) -> Iterator[BrowserTab]:
    tab = BrowserTab(chromium, console)
    yield tab
    assert (tab.foreign_requests, tab.errors) == ([], [])


def test_an_answer_that_cannot_be_undone_any_more_is_corrected_with_at_most_four_actions(
    stage: Stage, tab: BrowserTab
) -> None:
    (requested,) = stage.request_reviews()
    stage.wait_for_requests(1)
    with stage.desk(undo_s=0) as desk:
        session = desk.open_session(stage.reviewer("ada"))
        (lease,) = eventually(lambda: desk.take(session, ahead=1))
        desk.answer(session, lease.id, "bicycle")
    assert eventually(lambda: stage.label(requested))["vehicle"] == "bicycle"
    page = tab.open("/")
    actions = 0

    def click(name: str) -> None:
        nonlocal actions
        actions += 1
        page.get_by_role("button", name=name).first.click()

    click("Correct an earlier answer")
    expect(page.locator("#history-list li").first).to_contain_text("Bicycle", timeout=15_000)
    assert tab.violations() == []
    click("Correct Bicycle for")
    assert tab.violations() == []
    page.locator("#correction").get_by_role("button", name="Motorcycle").click()
    actions += 1
    expect(page.locator("#history-result")).to_have_text("Corrected: Motorcycle.")
    expect(page.locator("#history-list li").first).to_contain_text("Motorcycle, before: Bicycle")
    assert actions <= MOST_ACTIONS
    found = sorted(stage.labels_of(requested), key=lambda label: str(label["answered_at"]))
    assert [label["vehicle"] for label in found] == ["bicycle", "motorcycle"]
