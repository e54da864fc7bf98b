"""The Photos page in Chromium: find a photo and what became of it."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from playwright.sync_api import Browser, expect

from console import photo_finder
from console.leases import Lease
from functions.shared.photo import Photo
from functions.shared.photo_record import REJECTED
from functions.shared.photo_table import PhotoTable
from functions.shared.times import now, timestamp
from tests.browser.browser_tab import BrowserTab
from tests.browser.conftest import RunningConsole
from tests.browser.deployed_stage import Stage
from tests.support.waiting import eventually


@pytest.fixture
def tab(chromium: Browser, console: RunningConsole) -> Iterator[BrowserTab]:
    tab = BrowserTab(chromium, console)
    yield tab
    assert tab.foreign_requests == []
    assert [error for error in tab.errors if "404" not in error] == []


def reject_earlier(stage: Stage, driver: str, number: int, days_ago: int = 1) -> Photo:
    """Record a photo that was rejected some days ago."""
    photo = Photo(stage.deployed.uploads_bucket, f"uploads/{driver}/bike-{number}.jpg", f"{number:032x}", 100)
    at = now() - timedelta(days=days_ago)
    outcome = {
        "photo": photo.as_state(),
        "driver_id": driver,
        "rejected": {"reason": "UnreadablePhoto", "message": "cannot identify image file"},
        "execution": "arn:aws:states:eu-west-1:000000000000:execution:requests-reviews:none",
        "rejected_at": timestamp(at),
    }
    table = PhotoTable(stage.deployed.photo_table, stage.aws.dynamodb)
    table.record_outcome(photo, REJECTED, outcome["execution"], at, outcome=outcome)
    return photo


def test_why_driver_17_got_no_bay_yesterday_takes_four_actions(stage: Stage, tab: BrowserTab) -> None:
    photo = reject_earlier(stage, "driver-17", 1)
    reject_earlier(stage, "driver-170", 2)
    page = tab.open("/now")
    page.get_by_role("link", name="Photos").click()
    page.get_by_label("Driver, file or photo id").fill("driver-17")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Yesterday").click()
    page.locator(".card").click()
    page.wait_for_url(f"**/photos/{photo.photo_id}")
    expect(page.locator("#story-title")).to_have_text("No bay: rejected as UnreadablePhoto")
    expect(page.locator(".story")).to_contain_text("The driver has to take another one.")


def test_photos_are_filtered_by_status_bay_and_decider(stage: Stage, tab: BrowserTab) -> None:
    (late,) = stage.request_reviews(1, timeout_s=1)
    eventually(lambda: late.photo_id in stage.decisions(), what="the time limit of the review")
    waiting = {photo.photo_id for photo in stage.request_reviews(2)}
    stage.wait_for_requests(3)
    with stage.desk(undo_s=0) as desk:
        session = desk.open_session(stage.reviewer("ada"))

        def of_waiting() -> list[Lease]:
            return [lease for lease in desk.take(session, ahead=3) if lease.request.photo.photo_id in waiting]

        answered = eventually(of_waiting, what="a request")[0]
        desk.answer(session, answered.id, "bicycle")
        eventually(lambda: answered.request.photo.photo_id in stage.decisions(), what="the decision")
    page = tab.open("/photos")
    page.get_by_text("More filters").click()
    page.get_by_label("Decided by").select_option("fallback")
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.locator(".tag").first).to_have_text("timed out")
    assert set(page.locator(".card .tag").all_text_contents()) == {"timed out"}
    page.goto(tab.address + "/photos?bay=Bay+A")
    assert set(page.locator(".card-bay").all_text_contents()) == {"Bay A"}
    page.goto(tab.address + "/photos?status=in_review")
    expect(page.locator(".card-bay")).to_have_count(0)
    assert set(page.locator(".card-status").all_text_contents()) == {"In review"}


def test_a_search_that_takes_long_goes_on_by_itself_until_no_older_photos_are_left(
    stage: Stage, tab: BrowserTab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(photo_finder, "SEARCH_S", 0)  # one query for each request
    monkeypatch.setattr(photo_finder, "RETENTION", timedelta(days=5))
    photo = reject_earlier(stage, "driver-searched", 1)
    page = tab.open("/photos?q=iver-searched&reason=UnreadablePhoto")
    expect(page.locator("#rest")).to_have_text("; there are no older ones")
    expect(page.locator("#count")).to_have_text("1 photo")
    expect(page.locator(".card")).to_have_attribute("href", f"/photos/{photo.photo_id}")
    expect(page.locator("#none")).to_be_hidden()
    expect(page.locator("#stop")).to_be_hidden()
    page.goto(f"{tab.address}/photos?q=iver-unknown")
    expect(page.locator("#none-text")).to_have_text("No older photo passes this search.")


def test_the_list_of_all_photos_goes_back_over_days_without_photos_by_itself(
    stage: Stage, tab: BrowserTab, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = reject_earlier(stage, "driver-listed", 1, days_ago=28)
    monkeypatch.setattr(photo_finder, "SEARCH_S", 0)
    # Before the photos of other tests.
    page = tab.open(f"/photos?until={now().date() - timedelta(days=20)}")
    expect(page.locator(f".card[href='/photos/{photo.photo_id}']")).to_be_visible()


def test_a_search_that_loses_the_connection_says_so_and_goes_on_when_it_is_back(
    stage: Stage, chromium: Browser, console: RunningConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(photo_finder, "SEARCH_S", 0)
    monkeypatch.setattr(photo_finder, "RETENTION", timedelta(days=100_000))
    tab = BrowserTab(chromium, console)
    page = tab.open("/photos?q=iver-unknown")
    expect(page.locator("#stop")).to_be_visible()
    tab.context.set_offline(True)
    expect(page.locator("#rest")).to_have_text("; the console cannot be reached, so the search has stopped")
    tab.context.set_offline(False)
    monkeypatch.setattr(photo_finder, "RETENTION", timedelta(days=5))
    page.get_by_role("link", name="Search on among older photos").click()
    expect(page.locator("#rest")).to_have_text("; there are no older ones")


def test_a_search_is_stopped_with_a_button(stage: Stage, tab: BrowserTab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photo_finder, "SEARCH_S", 0)
    monkeypatch.setattr(photo_finder, "RETENTION", timedelta(days=100_000))
    page = tab.open("/photos?q=iver-unknown")
    page.get_by_role("button", name="Stop the search").click()
    expect(page.get_by_role("link", name="Search on among older photos")).to_be_visible()
    expect(page.locator("#stop")).to_be_hidden()


def test_every_photo_is_on_a_page_and_the_keyboard_moves_between_them(stage: Stage, tab: BrowserTab) -> None:
    added = {reject_earlier(stage, "driver-88", number).photo_id for number in range(10, 63)}
    page = tab.open("/photos?q=driver-88")
    shown: list[str] = []
    while True:
        shown += page.locator(".card").evaluate_all("all => all.map(one => one.href.split('/').pop())")
        if not page.locator("#older").count():
            break
        page.locator("#older").click()
        page.wait_for_load_state()
    assert len(shown) == 53
    assert set(shown) == added
    page.get_by_role("link", name="Newest").click()
    page.locator(".card").first.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".card").nth(1)).to_be_focused()
    page.keyboard.press("Home")
    expect(page.locator(".card").first).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/photos/{shown[0]}")


def test_a_photo_that_waits_is_answered_from_its_card_and_not_in_a_second_tab(
    stage: Stage, chromium: Browser, console: RunningConsole, tab: BrowserTab
) -> None:
    photos = stage.request_reviews(12)
    stage.wait_for_requests(12)
    chosen = photos[7]
    page = tab.open("/photos?status=in_review")
    page.locator(f"li:has([href='/photos/{chosen.photo_id}'])").get_by_role("link", name="Answer now").click()
    expect(page.locator("#photo")).to_have_attribute("src", f"/images/{chosen.photo_id}")
    expect(page).to_have_url(tab.address + "/")
    second = BrowserTab(chromium, console)
    other = second.open(f"/photos/{chosen.photo_id}")
    other.get_by_role("link", name="Answer now").click()
    expect(other.locator("#said")).to_contain_text("Somebody has this photo open")
    expect(other.locator("#photo")).not_to_have_attribute("src", f"/images/{chosen.photo_id}")
    second.context.close()
    expect(page.locator("body:not(.fresh) #photo-box")).to_be_visible()
    page.keyboard.press("m")
    answered = eventually(lambda: stage.label(chosen), what="the label")
    assert (answered["vehicle"], len(stage.labels_of(chosen))) == ("motorcycle", 1)
    assert eventually(lambda: stage.decisions().get(chosen.photo_id))["vehicle"] == "motorcycle"
