"""The page of failed requests in Chromium: the list is that of the last reading, and is read again."""

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.browser_tab import BrowserTab
from tests.browser.conftest import RunningConsole
from tests.browser.deployed_stage import Stage


@pytest.fixture
def tab(chromium: Browser, console: RunningConsole) -> Iterator[BrowserTab]:
    tab = BrowserTab(chromium, console)
    yield tab
    assert tab.foreign_requests == []
    assert tab.errors == []


def fail(stage: Stage, number: int) -> None:
    """Put a photo in the queue of photos that were not routed."""
    photo = {
        "bucket": stage.deployed.uploads_bucket,
        "key": f"uploads/driver-17/{number}.jpg",
        "etag": f"{number:032x}",
    }
    error = {"Error": "ModelUnavailable", "Cause": '{"errorMessage": "InvokeEndpoint timed out"}'}
    body = {"photo": photo, "error": error, "execution": "arn:any"}
    stage.aws.sqs.send_message(QueueUrl=stage.deployed.unrouted_queue_url, MessageBody=json.dumps(body))


def test_a_list_that_is_not_in_use_becomes_current_by_itself(stage: Stage, tab: BrowserTab) -> None:
    fail(stage, 1)
    page = tab.open("/dead-letters?wait=yes")
    expect(page.locator("[data-message]")).to_have_count(1)
    fail(stage, 2)
    # As if the last reading was long ago.
    page.add_init_script("const now = Date.now; Date.now = () => now() + 60000")
    page.goto(tab.address + "/dead-letters")
    expect(page.locator("[data-message]")).to_have_count(2)
    expect(page.locator("#read-state")).to_be_empty()


def test_no_button_moves_under_the_keyboard_when_the_list_changes(stage: Stage, tab: BrowserTab) -> None:
    fail(stage, 1)
    page = tab.open("/dead-letters?wait=yes")
    fail(stage, 2)
    page.add_init_script(
        "const now = Date.now; Date.now = () => now() + 60000;"
        "addEventListener('DOMContentLoaded', () => document.querySelector('.redrive-one').focus())"
    )
    page.goto(tab.address + "/dead-letters")
    expect(page.locator("#read-state")).to_have_text("The queues have changed since: Refresh shows them.")
    expect(page.locator("[data-message]")).to_have_count(1)
    page.get_by_role("link", name="Refresh").click()
    expect(page.locator("[data-message]")).to_have_count(2)
