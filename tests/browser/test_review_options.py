"""The options of the Review page: blind answers, and single keys that can be switched off."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from console.answers import choices, several_vehicles
from tests.browser.browser_tab import BrowserTab
from tests.browser.conftest import RunningConsole
from tests.browser.deployed_stage import Stage
from tests.support.waiting import eventually

CONTROLS = "main button:enabled:visible, main summary:visible, main a:visible, .side"


@pytest.fixture
def tab(chromium: Browser, console: RunningConsole) -> Iterator[BrowserTab]:
    tab = BrowserTab(chromium, console)
    yield tab
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


def test_the_guide_opens_by_its_key_and_several_vehicles_go_to_the_help_desk(stage: Stage, tab: BrowserTab) -> None:
    (requested,) = stage.request_reviews()
    stage.wait_for_requests(1)
    page = tab.open("/")
    expect(page.locator("body:not(.fresh) #photo-box")).to_be_visible()
    page.keyboard.press("g")
    for text in (*several_vehicles(), *(line for choice in choices() for line in choice.guide)):
        expect(page.locator("#guide").get_by_text(text)).to_be_visible()
    assert tab.violations() == []
    page.keyboard.press("g")
    expect(page.locator("#guide dl")).to_be_hidden()
    page.keyboard.press("x")
    expect(page.locator("#undo-text")).to_have_text("Cannot say")
    decision = eventually(lambda: stage.decisions().get(requested.photo_id), timeout_s=20)
    assert (decision["vehicle"], decision["decided_by"], decision["loading_bay"]) == (None, "reviewer", "Help desk")
    assert (stage.label(requested) or {})["vehicle"] == "ambiguous"


def test_a_photo_is_enlarged_moved_and_rotated_on_the_screen_only(stage: Stage, tab: BrowserTab) -> None:
    stage.request_reviews(2)
    stage.wait_for_requests(2)
    page = tab.open("/")
    expect(page.locator("body:not(.fresh) #photo-box")).to_be_visible()
    image = page.locator("#photo")
    source = image.get_attribute("src")
    before = image.bounding_box()
    assert before
    page.keyboard.press("+")
    larger = image.bounding_box()
    assert larger
    assert larger["width"] == pytest.approx(1.5 * before["width"], abs=1)
    page.keyboard.press("ArrowRight")
    moved = image.bounding_box()
    assert moved
    assert moved["x"] < larger["x"]
    page.get_by_role("button", name="Smaller").click()
    assert image.bounding_box() == pytest.approx(before, abs=1)
    expect(page.get_by_role("button", name="Smaller")).to_be_disabled()
    page.keyboard.press("r")
    page.keyboard.press("+")
    assert "rotate(90deg)" in image.evaluate("image => image.style.transform")
    assert image.get_attribute("src") == source
    page.keyboard.press("s")
    page.wait_for_function("source => document.getElementById('photo').getAttribute('src') !== source", arg=source)
    assert "rotate(0deg)" in image.evaluate("image => image.style.transform")


def test_what_a_key_did_or_did_not_do_is_said_on_the_screen(stage: Stage, tab: BrowserTab) -> None:
    stage.request_reviews(2)
    stage.wait_for_requests(2)
    page = tab.open("/")
    said = page.locator("#said")
    expect(page.locator("body:not(.fresh) #photo-box")).to_be_visible()
    page.keyboard.press("z")
    expect(said).to_have_text("Too late to undo: the answer was sent.")
    page.keyboard.press("s")
    expect(said).to_contain_text("Skipped, for another reviewer.")
    expect(page.locator("body:not(.fresh) #photo-box")).to_be_visible()
    tab.context.set_offline(True)
    expect(page.locator("#banner")).to_contain_text("cannot be reached")
    for button in page.locator(".answer").all():
        expect(button).to_be_disabled()
    page.keyboard.press("b")
    expect(said).to_contain_text("Not connected: nothing was sent.")
    tab.context.set_offline(False)
    expect(page.locator("#banner")).to_be_hidden()
    expect(page.locator("[data-vehicle=bicycle]")).to_be_enabled()
    tab.errors[:] = [error for error in tab.errors if "ERR_INTERNET_DISCONNECTED" not in error]


def test_a_screen_reader_hears_the_photo_its_details_and_the_answers_in_this_order(
    stage: Stage, tab: BrowserTab
) -> None:
    stage.request_reviews()
    stage.wait_for_requests(1)
    page = tab.open("/")
    expect(page.locator("body:not(.fresh) #photo-box")).to_be_visible()
    expect(page.locator("main")).to_match_aria_snapshot("""
        - main:
          - heading "Review" [level=1]
          - term: In queue
          - region "Photo":
            - figure:
              - img /Photo of driver driver-\\d, to be classified/
            - button "Smaller" [disabled]
            - button "Larger"
            - button "Rotate"
            - button "Keys and options"
          - complementary "Photo details and recent answers":
            - heading "Reason for review" [level=2]
            - paragraph: The confidence is below the threshold.
            - heading "Model prediction" [level=2]
            - meter "Bicycle"
            - region "Your recent answers":
              - heading "Your recent answers" [level=2]
              - button "Correct an earlier answer"
          - group "Answers":
            - button "Bicycle Bay A"
            - button "Motorcycle Bay B"
            - button "Neither Help desk"
            - button "Unusable Rejected"
            - button "Cannot say Help desk"
            - button "Skip for others"
    """)


def test_every_control_is_reached_by_tab_and_shows_the_focus(stage: Stage, tab: BrowserTab) -> None:
    stage.request_reviews()
    stage.wait_for_requests(1)
    page = tab.open("/")
    expect(page.locator("body:not(.fresh) #photo-box")).to_be_visible()
    page.locator("#main").focus()
    reached = []
    for _ in range(page.locator(CONTROLS).count()):
        page.keyboard.press("Tab")
        found = page.evaluate(
            """() => {
                const { id, dataset, tagName } = document.activeElement;
                return [id || dataset.vehicle || tagName, getComputedStyle(document.activeElement).outlineStyle];
            }"""
        )
        assert found[1] == "solid", found
        reached.append(found[0])
    assert {"zoom-in", "rotate", "help-button", "SUMMARY", "history-button", "skip"} <= set(reached)
    assert {choice.vehicle for choice in choices()} <= set(reached)
