"""The console in Chromium: keyboard, drag and drop, offline, and the widths of a desktop and a phone."""

import io
import json
from collections.abc import Iterator

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.browser.browser_tab import BrowserTab, screenshot
from tests.browser.conftest import RunningConsole, serve_console
from tests.browser.deployed_stage import Stage, draw_photo
from tests.support.waiting import eventually

OFFLINE_ERROR = "ERR_INTERNET_DISCONNECTED"


@pytest.fixture
def tab(chromium: Browser, console: RunningConsole) -> Iterator[BrowserTab]:
    tab = BrowserTab(chromium, console)
    yield tab
    tab.context.close()
    assert tab.foreign_requests == []
    assert [error for error in tab.errors if OFFLINE_ERROR not in error] == []


def photo_on_screen(page: Page) -> str:
    """Return the id of the photo on the screen."""
    expect(page.locator("body:not(.fresh) #photo-box")).to_be_visible()
    source = page.locator("#photo").get_attribute("src") or ""
    return source.rsplit("/", 1)[-1]


def test_twenty_photos_are_reviewed_by_keyboard_and_one_answer_is_undone(stage: Stage, tab: BrowserTab) -> None:
    requested = {one.photo_id: one for one in stage.request_reviews(20)}
    stage.wait_for_requests(20)
    page = tab.open("/")
    given: dict[str, str] = {}
    keys = {"b": "bicycle", "m": "motorcycle", "n": "other", "u": "unusable"}
    for number in range(20):
        photo_id = photo_on_screen(page)
        page.wait_for_function(
            "() => { const i = document.getElementById('photo'); return i.complete && i.naturalWidth; }"
        )
        if number == 5:
            # A wrong answer, undone, and another answer.
            page.keyboard.press("u")
            page.wait_for_function("id => !document.getElementById('photo').src.endsWith(id)", arg=photo_id)
            expect(page.locator("#undo")).to_be_visible()
            page.keyboard.press("z")
            page.wait_for_function("id => document.getElementById('photo').src.endsWith(id)", arg=photo_id)
            assert photo_on_screen(page) == photo_id
        key = "bmn"[number % 3] if number else "u"
        page.keyboard.press(key)
        given[photo_id] = keys[key]
        page.wait_for_function(
            "id => document.getElementById('photo-box').hidden || !document.getElementById('photo').src.endsWith(id)",
            arg=photo_id,
        )
    expect(page.locator("#empty-title")).to_have_text("The queue is empty")
    labels = eventually(
        lambda: {
            label["photo_id"]: label["vehicle"] for label in stage.labels().values() if label["photo_id"] in requested
        },
        lambda found: len(found) == 20,
        timeout_s=15,
    )
    assert labels == given
    routed = {photo_id for photo_id, vehicle in given.items() if vehicle != "unusable"}
    decided = eventually(
        lambda: {p: d for p, d in stage.decisions().items() if p in requested}, lambda d: len(d) == len(routed)
    )
    assert {photo_id: decision["vehicle"] for photo_id, decision in decided.items()} == {p: given[p] for p in routed}
    expect(page.locator("#log .notice").first).to_be_visible()
    assert not any(one.photo_id in json.dumps(tab.errors) for one in requested.values())


def test_a_skipped_photo_goes_back_and_new_photos_appear_automatically(stage: Stage, tab: BrowserTab) -> None:
    page = tab.open("/")
    expect(page.locator("#empty-title")).to_have_text("The queue is empty")
    stage.request_reviews(2)
    stage.wait_for_requests(2)
    first = photo_on_screen(page)
    expect(page.locator("#figure-waiting")).to_have_text("0")
    page.keyboard.press("s")
    page.wait_for_function("id => !document.getElementById('photo').src.endsWith(id)", arg=first)


def test_an_answer_can_be_given_again_after_the_connection_was_lost(stage: Stage, tab: BrowserTab) -> None:
    (requested,) = stage.request_reviews()
    stage.wait_for_requests(1)
    page = tab.open("/")
    photo_id = photo_on_screen(page)
    tab.context.set_offline(True)
    page.keyboard.press("b")
    expect(page.locator("#banner")).to_contain_text("cannot be reached")
    assert stage.label(requested) is None
    tab.context.set_offline(False)
    expect(page.locator("#banner")).to_be_hidden()
    assert photo_on_screen(page) == photo_id
    page.keyboard.press("b")
    assert eventually(lambda: stage.label(requested), timeout_s=10)["vehicle"] == "bicycle"


def test_a_closed_browser_returns_its_photo_to_the_queue(
    stage: Stage, chromium: Browser, console: RunningConsole, tab: BrowserTab
) -> None:
    stage.request_reviews()
    stage.wait_for_requests(1)
    other = BrowserTab(chromium, console)
    taken = photo_on_screen(other.open("/"))
    page = tab.open("/")
    expect(page.locator("#empty-title")).to_have_text("The queue is empty")
    other.context.close()
    assert photo_on_screen(page) == taken


def test_the_photo_of_a_browser_that_sends_no_requests_returns_to_the_queue(stage: Stage, chromium: Browser) -> None:
    stage.request_reviews()
    stage.wait_for_requests(1)
    with serve_console(stage, tab_timeout_s=1.5) as running, BrowserTab(chromium, running) as offline:
        taken = photo_on_screen(offline.open("/"))
        offline.context.set_offline(True)
        online = BrowserTab(chromium, running)
        assert photo_on_screen(online.open("/")) == taken
        offline.context.close()
        online.context.close()


def test_a_dropped_photo_is_uploaded_and_followed_to_its_decision(stage: Stage, tab: BrowserTab) -> None:
    stage.uploads_start_executions(True)
    try:
        page = tab.open("/upload")
        page.locator("#driver").fill("driver-17")
        data = page.evaluate_handle(
            """bytes => {
                const files = new DataTransfer();
                files.items.add(new File([new Uint8Array(bytes)], 'my <b>bike</b>.jpg', { type: 'image/jpeg' }));
                files.items.add(new File(['not a photo'], 'notes.jpg', { type: 'image/jpeg' }));
                return files;
            }""",
            list(draw_photo(1)),
        )
        page.dispatch_event("#drop", "drop", {"dataTransfer": data})
        rows = page.locator(".upload")
        expect(rows).to_have_count(2)
        expect(rows.filter(has_text="notes.jpg").locator(".upload-result")).to_contain_text(
            "Rejected, UnreadablePhoto", timeout=60_000
        )
        bike = rows.filter(has_text="my <b>bike</b>.jpg")
        expect(bike.locator(".states li").first).to_have_text("ClassifyPhoto")
        # Without an endpoint the workflow retries before it requests a review.
        expect(bike).to_have_attribute("data-status", "in_review", timeout=60_000)
        expect(bike.locator(".states li.current")).to_have_text("RequestReview")
        screenshot(page, "upload", "desktop")
        assert tab.violations() == []
        reviewing = tab.context.new_page()
        reviewing.goto(tab.address + "/")
        expect(reviewing.locator("#reason")).to_have_text("The model could not be reached.")
        expect(reviewing.locator("#photo-name")).to_contain_text("driver-17 ·")
        photo_on_screen(reviewing)
        reviewing.keyboard.press("m")
        result = bike.locator(".upload-result")
        expect(result).to_have_text("Bay B: motorcycle, decided by reviewer", timeout=20_000)
        # The preview of a file that is not a photo fails to load.
        tab.errors[:] = [error for error in tab.errors if "blob:" not in error]
    finally:
        stage.uploads_start_executions(False)


def test_file_names_are_escaped_and_exif_does_not_reach_the_browser(stage: Stage, tab: BrowserTab) -> None:
    def crafted(number: int) -> bytes:
        out, exif = io.BytesIO(), Image.Exif()
        exif[0x010E] = "<script>document.title='stolen'</script>"
        Image.open(io.BytesIO(draw_photo(number))).save(out, "JPEG", exif=exif)
        return out.getvalue()

    stage.request_reviews(name="<img src=x onerror=document.title='stolen'>", photo=crafted)
    stage.wait_for_requests(1)
    page = tab.open("/")
    photo_id = photo_on_screen(page)
    expect(page.locator("#photo-name")).to_contain_text("<img src=x onerror=")
    assert "stolen" not in page.title()
    shown = page.request.get(f"{tab.address}/images/{photo_id}").body()
    assert b"stolen" not in shown
    assert dict(Image.open(io.BytesIO(shown)).getexif()) == {}


def test_a_label_has_the_identity_of_the_reviewer_whatever_name_is_displayed(stage: Stage, tab: BrowserTab) -> None:
    (requested,) = stage.request_reviews()
    stage.wait_for_requests(1)
    page = tab.open("/")
    page.locator("#reviewer").click()
    page.locator("#rename-name").fill("Zoë O'Hara")
    page.keyboard.press("Enter")
    expect(page.locator("#reviewer-name")).to_have_text("Zoë O'Hara")
    photo_on_screen(page)
    page.keyboard.press("b")
    assert eventually(lambda: stage.label(requested))["reviewer_name"] == "Zoë O'Hara"
