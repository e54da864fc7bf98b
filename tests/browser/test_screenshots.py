"""The pictures of the console in docs/: `make screenshots` renews them, other runs write to build/screenshots/."""

import io
import os
from datetime import timedelta
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

from functions.shared.photo import Photo
from functions.shared.photo_record import ROUTED
from functions.shared.photo_table import PhotoTable
from functions.shared.times import now, timestamp
from tests.browser.browser_tab import WIDTHS, BrowserTab
from tests.browser.conftest import RunningConsole
from tests.browser.deployed_stage import Stage, draw_photo
from tests.browser.test_failed_requests import fail
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("SCREENSHOTS") or ROOT / "build" / "screenshots")
MOST_BYTES = 150_000
COLOURS = 128
MODEL = "vehicles-test-20261123-010203"
PICTURES = [
    ("now", "/now", "desktop"),
    ("review", "/", "desktop"),
    ("review", "/", "phone"),
    ("photos", "/photos", "desktop"),
    ("photo", "/photos/{reviewed}", "desktop"),
    ("model", "/model?period=week#production", "desktop"),
    ("failed", "/dead-letters?wait=yes", "desktop"),
]
"""The name, the address and the size of each picture."""


@pytest.fixture(scope="module")
def shown_stage(session_stage: Stage) -> dict[str, str]:
    """A stage on an ordinary day: photos that the model decided, some in review, one that a reviewer answered."""
    stage = session_stage
    stage.purge_queues()
    stage.create_endpoint()
    for number in range(40):
        decide(stage, number)
    (answered,) = stage.request_reviews(1)
    stage.wait_for_requests(1)
    with stage.desk(undo_s=0) as desk:
        session = desk.open_session(stage.reviewer("ada"))
        lease = eventually(lambda: desk.take(session, ahead=1))[0]
        desk.answer(session, lease.id, "bicycle")
    eventually(lambda: answered.photo_id in stage.decisions())
    stage.request_reviews(3)
    stage.wait_for_requests(3)
    return {"reviewed": answered.photo_id}


def decide(stage: Stage, number: int) -> None:
    """Upload a photo and record that the model decided about it, some hours ago."""
    key, vehicle = f"uploads/driver-{number % 9}/bike-{number}.jpg", "bicycle" if number % 3 else "motorcycle"
    body = draw_photo(1000 + number)
    put = stage.aws.s3.put_object(Bucket=stage.deployed.uploads_bucket, Key=key, Body=body, ContentType="image/jpeg")
    photo = Photo(stage.deployed.uploads_bucket, key, put["ETag"].strip('"'), len(body))
    at = now() - timedelta(hours=3 * number + 1)
    prediction = {"vehicle": vehicle, "confidence": 0.999 - 0.0016 * number, "model_version": MODEL}
    outcome = {
        **prediction,
        "photo": photo.as_state(),
        "driver_id": photo.driver_id,
        "decided_by": "model",
        "loading_bay": "Bay A" if vehicle == "bicycle" else "Bay B",
        "order_range": "nearby" if vehicle == "bicycle" else "distant",
        "execution": "arn:any",
        "decided_at": timestamp(at),
    }
    table = PhotoTable(stage.deployed.photo_table, stage.aws.dynamodb)
    table.classify(photo, "arn:any", at, classification=prediction, threshold=0.93)
    table.record_outcome(photo, ROUTED, "arn:any", at, outcome=outcome)


@pytest.mark.parametrize(("name", "path", "width"), PICTURES)
def test_the_pictures_of_the_documentation_are_small(
    shown_stage: dict[str, str],
    session_stage: Stage,
    chromium: Browser,
    console: RunningConsole,
    name: str,
    path: str,
    width: str,
) -> None:
    if name == "failed":
        for number in range(3):
            fail(session_stage, number)
    tab = BrowserTab(chromium, console, width, phone=width == "phone")
    page = tab.open(path.format(**shown_stage))
    if path == "/":
        expect(page.locator("body:not(.fresh) #photo-box")).to_be_visible()
        expect(page.locator("#figure-waiting")).not_to_have_text("–")
    else:
        page.wait_for_load_state("networkidle")
    page.wait_for_function("() => [...document.images].every(one => one.complete || one.loading === 'lazy')")
    if "#" in path:
        heading = page.locator(f"#{path.partition('#')[2]} h2").first
        assert heading.evaluate(
            "one => one.contains(document.elementFromPoint(60, one.getBoundingClientRect().top + 8))"
        )
    picture = Image.open(io.BytesIO(page.screenshot(scale="css")))
    FOLDER.mkdir(parents=True, exist_ok=True)
    file = FOLDER / f"console-{name}-{width}.png"
    picture.convert("RGB").quantize(COLOURS).save(file, optimize=True)
    assert picture.size == WIDTHS[width]
    assert file.stat().st_size <= MOST_BYTES
