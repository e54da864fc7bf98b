"""The Review page at the sizes of phones, tablets and desktops: the answers are always in reach."""

from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.browser_tab import BrowserTab
from tests.browser.conftest import RunningConsole
from tests.browser.deployed_stage import Stage
from tests.support.waiting import eventually

SIZES = [(320, 568), (360, 640), (640, 360), (768, 1024), (1366, 768), (1366, 650), (1920, 1080)]
SMALLEST_TARGET_PX = 44  # WCAG 2.2, 2.5.5 "Target Size (Enhanced)"

OUT_OF_REACH = """() => [...document.querySelectorAll(".answer")].filter(button => {
    const box = button.getBoundingClientRect();
    const inside = box.left >= 0 && box.top >= 0 && box.right <= innerWidth && box.bottom <= innerHeight;
    return !inside || !button.contains(document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2));
}).map(button => button.textContent)"""
CUT_OFF = """() => [...document.querySelectorAll(".answer span, .figures *, .times *")]
    .filter(element => element.clientWidth && element.scrollWidth > element.clientWidth)
    .map(element => element.textContent)"""
PLACES = """() => [...document.querySelectorAll(".answer, .stage, .side")].map(element => {
    const box = element.getBoundingClientRect();
    return [box.x, box.y, box.width, box.height].map(Math.round);
})"""
OVERFLOW = """() => {
    const { scrollWidth, scrollHeight } = document.documentElement;
    return [scrollWidth - innerWidth, scrollHeight - innerHeight];
}"""
LARGEST_FIGURES = """() => {
    for (const name of ["waiting", "drivers", "audits", "today", "dead"]) {
        document.getElementById(`figure-${name}`).textContent = "12345";
    }
    document.getElementById("figure-oldest").textContent = "23 h 59 min";
    document.getElementById("figure-dead-box").hidden = false;
}"""
FIGURES_OUTSIDE = """() => [...document.querySelectorAll(".figures > div")].filter(element => {
    const box = element.getBoundingClientRect();
    return box.width && (box.left < 0 || box.right > document.documentElement.clientWidth);
}).map(element => element.textContent)"""
SCROLLED = "() => [scrollY, ...[...document.querySelectorAll('main, .side')].map(element => element.scrollTop)]"


def wait_for_photo(page: Page) -> str:
    """Wait until a photo can be answered; return its address."""
    expect(page.locator("body:not(.fresh) #photo-box")).to_be_visible()
    return page.locator("#photo").get_attribute("src") or ""


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_every_answer_is_in_reach_and_nothing_that_appears_moves_it(
    stage: Stage, chromium: Browser, console: RunningConsole, size: tuple[int, int]
) -> None:
    stage.request_reviews(2)
    stage.wait_for_requests(2)
    tab = BrowserTab(chromium, console, size, phone=size[0] < 768)
    page = tab.open("/")
    shown = wait_for_photo(page)
    assert page.evaluate(OUT_OF_REACH) == []
    assert page.evaluate(CUT_OFF) == []
    assert page.evaluate(OVERFLOW) == [0, 0]
    photo = page.locator("#photo").bounding_box()
    assert photo
    assert photo["height"] >= 0.3 * size[1]
    for button in page.locator(".answer").all():
        box = button.bounding_box()
        assert box
        assert box["height"] >= SMALLEST_TARGET_PX
        assert box["width"] >= SMALLEST_TARGET_PX
    before = page.evaluate(PLACES)
    page.locator("[data-vehicle=other]").click()
    expect(page.locator("#undo")).to_be_visible()
    page.wait_for_function("shown => document.getElementById('photo').getAttribute('src') !== shown", arg=shown)
    assert page.evaluate(PLACES) == before
    expect(page.locator("#log .notice")).to_have_count(1, timeout=20_000)
    assert page.evaluate(PLACES) == before
    tab.context.set_offline(True)
    expect(page.locator("#banner")).to_be_visible()
    assert page.evaluate(PLACES) == before
    tab.context.set_offline(False)
    wait_for_photo(page)
    expect(page.locator("#banner")).to_be_hidden()
    assert tab.violations() == []
    page.locator("[data-vehicle=other]").click()
    expect(page.locator("#empty-title")).to_have_text("The queue is empty")
    assert page.evaluate(PLACES) == before


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_figures_that_grow_and_failed_requests_move_nothing(
    stage: Stage, chromium: Browser, console: RunningConsole, size: tuple[int, int]
) -> None:
    stage.request_reviews(1)
    stage.wait_for_requests(1)
    page = BrowserTab(chromium, console, size, phone=size[0] < 768).open("/")
    wait_for_photo(page)
    steps = ", ".join((PLACES, LARGEST_FIGURES, PLACES, FIGURES_OUTSIDE))
    before, _, after, outside = page.evaluate(f"[{steps}].map(step => step())")  # no response comes in between
    assert after == before
    assert outside == []


@pytest.mark.parametrize("size", [(360, 640), (640, 360)], ids=["portrait", "landscape"])
def test_thirty_photos_are_reviewed_on_a_phone_without_scrolling(
    stage: Stage, chromium: Browser, console: RunningConsole, size: tuple[int, int]
) -> None:
    requested = {one.photo_id for one in stage.request_reviews(30)}
    stage.wait_for_requests(30)
    tab = BrowserTab(chromium, console, size, phone=True)
    page = tab.open("/")
    vehicles = ["bicycle", "motorcycle", "other"]
    given = {}
    for number in range(30):
        shown = wait_for_photo(page)
        given[shown.rsplit("/", 1)[-1]] = vehicles[number % 3]
        page.evaluate("window.scrolled = false; addEventListener('scroll', () => { window.scrolled = true; }, true)")
        page.touchscreen.tap(*_middle(page, f"[data-vehicle={vehicles[number % 3]}]"))
        page.wait_for_function(
            "shown => document.getElementById('photo-box').hidden"
            " || document.getElementById('photo').getAttribute('src') !== shown",
            arg=shown,
        )
        assert not page.evaluate("window.scrolled")
        assert set(page.evaluate(SCROLLED)) == {0}
    expect(page.locator("#empty-title")).to_have_text("The queue is empty")

    def labelled() -> dict[str, Any]:
        labels = stage.labels().values()
        return {label["photo_id"]: label["vehicle"] for label in labels if label["photo_id"] in requested}

    assert eventually(labelled, lambda found: len(found) == 30, timeout_s=20) == given


def test_a_tapped_answer_does_not_keep_the_colours_of_a_pointer_over_it(
    stage: Stage, chromium: Browser, console: RunningConsole
) -> None:
    stage.request_reviews(2)
    stage.wait_for_requests(2)
    tab = BrowserTab(chromium, console, (360, 640), phone=True)
    page = tab.open("/")
    shown = wait_for_photo(page)
    colours = (
        "button => { const style = getComputedStyle(button); return [style.backgroundColor, style.borderTopColor]; }"
    )
    other = page.locator("[data-vehicle=other]")
    before = other.evaluate(colours)
    page.touchscreen.tap(*_middle(page, "[data-vehicle=other]"))
    page.wait_for_function("shown => document.getElementById('photo').getAttribute('src') !== shown", arg=shown)
    wait_for_photo(page)
    assert other.evaluate(colours) == before


def _middle(page: Page, selector: str) -> tuple[float, float]:
    """Return the middle of an element, which must be in the window: a finger scrolls to nothing by itself."""
    box = page.locator(selector).bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    size = page.viewport_size
    assert size
    assert 0 <= x <= size["width"]
    assert 0 <= y <= size["height"]
    return x, y
