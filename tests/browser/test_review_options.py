"""The options of the Review page: blind answers, and single keys that can be switched off."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.browser_tab import BrowserTab
from tests.browser.conftest import RunningConsole
from tests.browser.deployed_stage import Stage
from tests.support.waiting import eventually


@pytest.fixture
def tab(chromium: Browser, console: RunningConsole) -> Iterator[BrowserTab]:
    tab = BrowserTab(chromium, console)
    yield tab
    tab.context.close()
    assert (tab.foreign_requests, tab.errors) == ([], [])


def test_in_blind_mode_the_answer_of_the_model_appears_only_after_the_answer(stage: Stage, tab: BrowserTab) -> None:
    page = tab.open("/")
    expect(page.locator("#empty-title")).to_have_text("The queue is empty")
    page.keyboard.press("?")
    page.get_by_label("Hide the model's answer until I have answered").check()
    assert tab.violations() == []
    page.keyboard.press("Escape")
    page.reload()
    (requested,) = stage.request_reviews()
    stage.wait_for_requests(1)
    expect(page.locator("body:not(.fresh) #photo-box")).to_be_visible()
    expect(page.locator("#model")).to_be_hidden()
    expect(page.locator("#hidden-model")).to_be_visible()
    expect(page.locator("#details")).not_to_contain_text(re.compile("bicycle", re.IGNORECASE))
    page.keyboard.press("m")
    expect(page.locator("#log .notice").first).to_contain_text("The model's answer was bicycle", timeout=20_000)
    assert eventually(lambda: stage.label(requested))["blind"] is True


def test_single_keys_can_be_switched_off_and_stay_off(stage: Stage, tab: BrowserTab) -> None:
    (requested,) = stage.request_reviews()
    stage.wait_for_requests(1)
    page = tab.open("/")
    expect(page.locator("body:not(.fresh) #photo-box")).to_be_visible()
    page.get_by_role("button", name="Keys and options").click()
    page.get_by_label("Single keys answer.").uncheck()
    page.get_by_role("button", name="Close").click()
    page.reload()
    expect(page.locator("body:not(.fresh) #photo-box")).to_be_visible()
    bicycle = page.locator("[data-vehicle=bicycle]")
    expect(bicycle).not_to_have_attribute("aria-keyshortcuts", "b")
    expect(bicycle.locator("kbd")).to_be_hidden()
    for key in ("b", "s", "u", "?"):
        page.keyboard.press(key)
    expect(page.locator("#help")).to_be_hidden()
    expect(page.locator("#undo")).to_be_hidden()
    expect(page.locator("#photo-box")).to_be_visible()
    # The buttons are reached and pressed by Tab and Enter.
    bicycle.focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#undo-text")).to_have_text("Motorcycle")
    assert eventually(lambda: stage.label(requested), timeout_s=15)["vehicle"] == "motorcycle"
