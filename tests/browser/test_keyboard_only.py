"""The main task of each role with the keyboard alone; that of a reviewer is in test_browser.py."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.browser_tab import BrowserTab
from tests.browser.conftest import RunningConsole, serve_console
from tests.browser.deployed_stage import Stage
from tests.browser.test_failed_requests import fail
from tests.browser.test_photos import reject_earlier

FOCUS_IS_VISIBLE = """() => {
    const style = getComputedStyle(document.activeElement);
    return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0 || style.boxShadow !== "none";
}"""
MOST_STOPS = 80


@pytest.fixture
def tab(chromium: Browser, console: RunningConsole) -> Iterator[BrowserTab]:
    tab = BrowserTab(chromium, console, (1366, 768))
    yield tab
    assert (tab.foreign_requests, tab.errors) == ([], [])


def move_to(page: Page, selector: str) -> None:
    """Press Tab until an element has the focus, which must be visible there."""
    for _ in range(MOST_STOPS):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            assert page.evaluate(FOCUS_IS_VISIBLE), selector
            return
    raise AssertionError(f"{MOST_STOPS} times Tab do not lead to {selector}")


def test_the_help_desk_finds_out_why_a_driver_got_no_bay(stage: Stage, tab: BrowserTab) -> None:
    photo = reject_earlier(stage, "driver-keys", 1)
    page = tab.open("/now")
    move_to(page, "a[href='/photos']")
    page.keyboard.press("Enter")
    page.wait_for_url("**/photos")
    move_to(page, "#q")
    page.keyboard.type("driver-keys")
    page.keyboard.press("Enter")
    page.wait_for_url("**q=driver-keys**")
    move_to(page, ".card")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/photos/{photo.photo_id}")
    expect(page.locator("#story-title")).to_have_text("No bay: rejected as UnreadablePhoto")


def test_an_operator_replays_a_failed_request(stage: Stage, chromium: Browser) -> None:
    fail(stage, 1)
    with serve_console(stage, stage.aws, operator=True) as console, BrowserTab(chromium, console, (1366, 768)) as tab:
        page = tab.open("/dead-letters")
        move_to(page, ".redrive-one")
        page.keyboard.press("Enter")
        expect(page.locator(".redrive-done")).to_contain_text("Execution redrive-")
    assert tab.errors == []


def test_an_ml_engineer_tries_another_threshold(stage: Stage, tab: BrowserTab) -> None:
    stage.create_endpoint()
    page = tab.open("/model")
    move_to(page, "#threshold")
    page.keyboard.press("Control+a")
    page.keyboard.type("0.97")
    page.keyboard.press("Enter")
    page.wait_for_url("**threshold=0.97**")
    expect(page.locator(".explored")).to_contain_text("Reviews per 1,000 photos, expected")


def test_a_partner_opens_the_sample_of_an_event(stage: Stage, tab: BrowserTab) -> None:
    page = tab.open("/teams")
    move_to(page, "summary")
    opened = page.locator("details:has(summary:focus)")
    before = opened.evaluate("details => details.open")
    page.keyboard.press("Enter")
    assert opened.evaluate("details => details.open") is not before
