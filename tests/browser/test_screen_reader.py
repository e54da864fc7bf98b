"""What a screen reader finds on the Review page: its accessibility tree, compared with a transcript."""

import os
import re
from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.browser.browser_tab import BrowserTab
from tests.browser.conftest import RunningConsole
from tests.browser.deployed_stage import Stage

TRANSCRIPT = Path(__file__).with_name("review_page.aria.yaml")
# What differs from run to run: numbers, durations, the photo, the reviewer.
_VARYING = ((r"(?<!level=)\b\d+(\.\d+)?", "0"), (r"0 min 0 s|0 ms", "0 s"), (r"AID[A-Z0-9]+", "AIDA0"))


def transcript(snapshot: str) -> str:
    """Return an accessibility tree without what differs from run to run."""
    for pattern, text in _VARYING:
        snapshot = re.sub(pattern, text, snapshot)
    return snapshot.strip() + "\n"


def test_the_accessibility_tree_of_the_review_page_is_that_of_the_transcript(
    stage: Stage, chromium: Browser, console: RunningConsole
) -> None:
    stage.request_reviews(1)
    stage.wait_for_requests(1)
    tab = BrowserTab(chromium, console)
    page = tab.open("/")
    expect(page.locator("body:not(.fresh) #photo-box")).to_be_visible()
    expect(page.locator("#figure-waiting")).not_to_have_text("–")
    found = transcript(page.locator("main").aria_snapshot())
    if os.environ.get("TRANSCRIPT") == "write":
        TRANSCRIPT.write_text(found)
    assert found == TRANSCRIPT.read_text()
