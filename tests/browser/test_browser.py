"""The console in a real browser: by keyboard, by drop, offline and back, at the width of a desktop and of a phone."""

import io
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import serving
from tests.browser.console_world import Stage, drawn, eventually

AXE = (Path(__file__).parent / "axe" / "axe.min.js").read_text()
SHOTS = os.environ.get("SCREENSHOTS")
WIDTHS = {"desktop": (1280, 860), "phone": (390, 844)}
EXPECTED_OFFLINE = "ERR_INTERNET_DISCONNECTED"


class Visit:
    """A page of the console, and everything that went wrong on it."""

    def __init__(self, browser: Browser, address: str, width: str = "desktop", scheme: Any = "light") -> None:
        w, h = WIDTHS[width]
        self.context = browser.new_context(viewport={"width": w, "height": h}, color_scheme=scheme)
        self.page: Page = self.context.new_page()
        self.address = address
        self.errors: list[str] = []
        self.strangers: list[str] = []
        self.page.set_default_timeout(15_000)
        self.page.on("console", lambda said: said.type in ("error", "warning") and self.errors.append(said.text))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self._asked(request.url))

    def _asked(self, url: str) -> None:
        if not url.startswith((self.address, f"blob:{self.address}")):
            self.strangers.append(url)

    def open(self, path: str) -> Page:
        self.page.goto(self.address + path)
        return self.page

    def violations(self) -> list[str]:
        """What axe-core finds wrong."""
        self.page.evaluate(AXE)
        found = self.page.evaluate("axe.run()")["violations"]
        return [f"{one['id']}: {[node['html'][:150] for node in one['nodes']]}" for one in found]


@pytest.fixture
def visit(chromium: Browser, served: str, request: pytest.FixtureRequest) -> Iterator[Visit]:
    came = Visit(chromium, served)
    yield came
    came.context.close()
    assert came.strangers == []
    assert [error for error in came.errors if EXPECTED_OFFLINE not in error] == []


def on_screen(page: Page) -> str:
    """The id of the photo on the screen."""
    expect(page.locator("body:not(.fresh) #photo-box")).to_be_visible()
    source = page.locator("#photo").get_attribute("src") or ""
    return source.rsplit("/", 1)[-1]


def test_twenty_photos_are_reviewed_by_keyboard_and_one_answer_is_taken_back(stage: Stage, visit: Visit) -> None:
    asked = {one.photo_id: one for one in stage.ask(20)}
    stage.wait_for_requests(20)
    page = visit.open("/")
    given: dict[str, str] = {}
    keys = {"b": "bicycle", "m": "motorcycle", "n": "other", "u": "unusable"}
    for number in range(20):
        photo_id = on_screen(page)
        page.wait_for_function(
            "() => { const i = document.getElementById('photo'); return i.complete && i.naturalWidth; }"
        )
        if number == 5:
            # Answered wrongly, taken back, answered again.
            page.keyboard.press("u")
            page.wait_for_function("id => !document.getElementById('photo').src.endsWith(id)", arg=photo_id)
            expect(page.locator("#undo")).to_be_visible()
            page.keyboard.press("z")
            page.wait_for_function("id => document.getElementById('photo').src.endsWith(id)", arg=photo_id)
            assert on_screen(page) == photo_id
        key = "bmn"[number % 3] if number else "u"
        page.keyboard.press(key)
        given[photo_id] = keys[key]
        page.wait_for_function(
            "id => document.getElementById('photo-box').hidden || !document.getElementById('photo').src.endsWith(id)",
            arg=photo_id,
        )
    expect(page.locator("#empty-title")).to_have_text("All done")
    labels = eventually(
        lambda: {
            label["photo_id"]: label["vehicle"] for label in stage.labels().values() if label["photo_id"] in asked
        },
        lambda found: len(found) == 20,
        15,
    )
    assert labels == given
    routed = {photo_id for photo_id, vehicle in given.items() if vehicle != "unusable"}
    decided = eventually(
        lambda: {p: d for p, d in stage.decisions().items() if p in asked}, lambda d: len(d) == len(routed)
    )
    assert {photo_id: decision["vehicle"] for photo_id, decision in decided.items()} == {p: given[p] for p in routed}
    expect(page.locator("#log .notice").first).to_be_visible()
    assert not any(one.photo_id in json.dumps(visit.errors) for one in asked.values())


def test_a_skipped_photo_is_left_for_others_and_an_empty_queue_fills_by_itself(stage: Stage, visit: Visit) -> None:
    page = visit.open("/")
    expect(page.locator("#empty-title")).to_have_text("All done")
    stage.ask(2)
    stage.wait_for_requests(2)
    first = on_screen(page)
    expect(page.locator("#figure-waiting")).to_have_text("0")
    page.keyboard.press("s")
    page.wait_for_function("id => !document.getElementById('photo').src.endsWith(id)", arg=first)


def test_the_connection_is_lost_and_comes_back(stage: Stage, visit: Visit) -> None:
    (asked,) = stage.ask()
    stage.wait_for_requests(1)
    page = visit.open("/")
    photo_id = on_screen(page)
    visit.context.set_offline(True)
    page.keyboard.press("b")
    expect(page.locator("#banner")).to_contain_text("out of reach")
    assert stage.label(asked) is None
    visit.context.set_offline(False)
    expect(page.locator("#banner")).to_be_hidden()
    assert on_screen(page) == photo_id
    page.keyboard.press("b")
    assert eventually(lambda: stage.label(asked), timeout_s=10)["vehicle"] == "bicycle"


def test_a_closed_browser_returns_its_photo_to_the_queue(stage: Stage, chromium: Browser, visit: Visit) -> None:
    stage.ask()
    stage.wait_for_requests(1)
    other = Visit(chromium, visit.address)
    taken = on_screen(other.open("/"))
    page = visit.open("/")
    expect(page.locator("#empty-title")).to_have_text("All done")
    other.context.close()
    assert on_screen(page) == taken


def test_a_browser_that_vanishes_without_a_word_is_noticed(stage: Stage, chromium: Browser) -> None:
    stage.ask()
    stage.wait_for_requests(1)
    with serving(stage, away_s=1.5) as address:
        gone = Visit(chromium, address)
        taken = on_screen(gone.open("/"))
        gone.context.set_offline(True)
        came = Visit(chromium, address)
        assert on_screen(came.open("/")) == taken
        gone.context.close()
        came.context.close()


def test_a_photo_is_uploaded_by_drop_and_followed_to_its_reviewer(stage: Stage, visit: Visit) -> None:
    stage.uploads_start_executions(True)
    try:
        page = visit.open("/upload")
        page.locator("#driver").fill("driver-17")
        data = page.evaluate_handle(
            """bytes => {
                const files = new DataTransfer();
                files.items.add(new File([new Uint8Array(bytes)], 'my <b>bike</b>.jpg', { type: 'image/jpeg' }));
                files.items.add(new File(['not a photo'], 'notes.jpg', { type: 'image/jpeg' }));
                return files;
            }""",
            list(drawn(1)),
        )
        page.dispatch_event("#drop", "drop", {"dataTransfer": data})
        rows = page.locator(".upload")
        expect(rows).to_have_count(2)
        expect(rows.filter(has_text="notes.jpg").locator(".upload-result")).to_contain_text(
            "Rejected as UnreadablePhoto"
        )
        bike = rows.filter(has_text="my <b>bike</b>.jpg")
        expect(bike.locator(".states li").first).to_have_text("ClassifyPhoto")
        # Without an endpoint the workflow asks it five times before it asks a person.
        expect(bike).to_have_attribute("data-status", "in_review", timeout=60_000)
        expect(bike.locator(".states li.here")).to_have_text("RequestReview")
        shot(page, "upload", "desktop")
        assert visit.violations() == []
        reviewing = visit.context.new_page()
        reviewing.goto(visit.address + "/")
        expect(reviewing.locator("#reason")).to_have_text("The model could not be reached.")
        expect(reviewing.locator("#photo-name")).to_contain_text("driver-17 ·")
        on_screen(reviewing)
        reviewing.keyboard.press("m")
        result = bike.locator(".upload-result")
        expect(result).to_have_text("Bay B: motorcycle, decided by reviewer", timeout=20_000)
        # A rejected file makes its preview fail to load; that is not the page's error.
        visit.errors[:] = [error for error in visit.errors if "blob:" not in error]
    finally:
        stage.uploads_start_executions(False)


@pytest.fixture(scope="module")
def furnished(whole_stage: Stage) -> Stage:
    """Decisions of every kind, a dead letter, and an endpoint with a model that has a report and a card."""
    whole_stage.empty()
    asked = whole_stage.ask(8) + whole_stage.ask(2, timeout_s=1) + whole_stage.ask(4, vehicle="motorcycle")
    whole_stage.wait_for_requests(14)
    with whole_stage.desk(undo_s=0) as desk:
        seat = desk.sit("ada")
        for number in range(8):
            held = eventually(lambda: desk.look(seat, ahead=1))[0]
            desk.answer(seat, held.id, ["bicycle", "motorcycle", "other", "bicycle"][number % 4])
    eventually(lambda: sum(one.photo_id in whole_stage.decisions() for one in asked), lambda found: found >= 8)
    whole_stage.dead_letter("{broken <script>alert(1)</script>")
    whole_stage.serve_a_model()
    return whole_stage


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("path", ["/", "/upload", "/drivers", "/drivers/*", "/model", "/dead-letters", "/no-such-page"])
def test_every_page_opens_at_every_width_without_error_or_barrier(
    furnished: Stage, chromium: Browser, served: str, path: str, width: str
) -> None:
    if path == "/":
        furnished.empty()
        furnished.dead_letter("{broken")
        furnished.ask(3)
        furnished.wait_for_requests(3)
    came = Visit(chromium, served, width)
    page = came.open("/drivers" if path.endswith("*") else path)
    if path.endswith("*"):
        page.locator("a.card").first.click()
        page.wait_for_url(re.compile("/drivers/[0-9a-f]{32}$"))
        expect(page.locator(".timeline li").last).to_contain_text(re.compile("AssignBay|RejectPhoto"))
    if path == "/":
        on_screen(page)
        page.keyboard.press("b")
        expect(page.locator("#undo")).to_be_visible()
        expect(page.locator("#figure-dead")).to_have_text("1")
    page.wait_for_load_state("networkidle") if path != "/" else page.wait_for_timeout(300)
    sideways = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    name = {"/": "review", "/drivers/*": "driver"}.get(path, path.strip("/"))
    shot(page, name, width)
    barriers = came.violations()
    came.context.close()
    assert barriers == []
    assert sideways == 0
    assert came.strangers == []
    assert [error for error in came.errors if "404" not in error or path != "/no-such-page"] == []


def test_every_page_is_readable_in_the_dark(furnished: Stage, chromium: Browser, served: str) -> None:
    came = Visit(chromium, served, scheme="dark")
    for path in ("/", "/upload", "/drivers", "/model", "/dead-letters"):
        came.open(path)
        came.page.wait_for_timeout(200)
        assert came.violations() == [], path
    came.context.close()


@pytest.mark.parametrize("width", WIDTHS)
def test_the_trade_off_is_drawn_and_its_text_can_be_read(
    furnished: Stage, chromium: Browser, served: str, width: str
) -> None:
    came = Visit(chromium, served, width)
    section = came.open("/model").locator("section[aria-labelledby=tradeoff-title]")
    expect(section.locator("svg")).to_have_count(2)
    expect(section.locator("tr.marked")).to_contain_text("chosen")
    heights = section.locator("svg text").evaluate_all(
        "texts => texts.map(text => text.getBoundingClientRect().height)"
    )
    inside = section.locator("svg").evaluate_all(
        """charts => charts.every(chart => [...chart.querySelectorAll("text")].every(text => {
            const [outer, inner] = [chart.getBoundingClientRect(), text.getBoundingClientRect()];
            return inner.left >= outer.left && inner.right <= outer.right;
        }))"""
    )
    came.context.close()
    assert min(heights) >= 11
    assert inside


def test_drivers_are_filtered_by_bay_and_by_who_decided(furnished: Stage, visit: Visit) -> None:
    page = visit.open("/drivers")
    page.locator("#decided_by").select_option("fallback")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator(".tag").first).to_have_text("fallback")
    assert set(page.locator(".card .tag").all_text_contents()) == {"fallback"}
    page.goto(visit.address + "/drivers?bay=Bay+A")
    assert set(page.locator(".card-bay").all_text_contents()) == {"Bay A"}


def test_names_of_files_are_text_and_exif_never_arrives(stage: Stage, visit: Visit) -> None:
    def crafted(number: int) -> bytes:
        out, exif = io.BytesIO(), Image.Exif()
        exif[0x010E] = "<script>document.title='stolen'</script>"
        Image.open(io.BytesIO(drawn(number))).save(out, "JPEG", exif=exif)
        return out.getvalue()

    stage.ask(name="<img src=x onerror=document.title='stolen'>", photo=crafted)
    stage.wait_for_requests(1)
    page = visit.open("/")
    photo_id = on_screen(page)
    expect(page.locator("#photo-name")).to_contain_text("<img src=x onerror=")
    assert "stolen" not in page.title()
    served = page.request.get(f"{visit.address}/photos/{photo_id}").body()
    assert b"stolen" not in served
    assert dict(Image.open(io.BytesIO(served)).getexif()) == {}


def test_the_reviewer_says_who_they_are(stage: Stage, visit: Visit) -> None:
    (asked,) = stage.ask()
    stage.wait_for_requests(1)
    page = visit.open("/")
    page.locator("#who").click()
    page.locator("#rename-name").fill("Zoë O'Hara")
    page.keyboard.press("Enter")
    expect(page.locator("#who-name")).to_have_text("Zoë O'Hara")
    on_screen(page)
    page.keyboard.press("b")
    assert eventually(lambda: stage.label(asked))["reviewer"] == "Zoë O'Hara"


def shot(page: Page, name: str, width: str) -> None:
    """A picture for docs/, when SCREENSHOTS names the folder."""
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"console-{name}-{width}.png", full_page=name != "review")
