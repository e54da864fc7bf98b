"""Audits on the Review page in Chromium: nothing tells the decision of the model before the answer."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

import events
from functions.audit_decisions.requests import AuditQueue
from functions.shared.audit import AUDITED
from functions.shared.champion import Champion, ModelTable
from functions.shared.drift import Comparison
from functions.shared.drift_state import Drift, DriftState, DriftTable
from functions.shared.label_requests import LABEL, LabelRequests, new_request
from functions.shared.photo import Photo
from tests.browser.browser_tab import BrowserTab, screenshot
from tests.browser.conftest import RunningConsole, serve_console
from tests.browser.deployed_stage import Requested, Stage, draw_photo
from tests.support.waiting import eventually


@pytest.fixture
def tab(chromium: Browser, console: RunningConsole) -> Iterator[BrowserTab]:
    tab = BrowserTab(chromium, console)
    yield tab
    assert (tab.foreign_requests, tab.errors) == ([], [])


def request_audit(stage: Stage, number: int) -> Requested:
    """Upload a photo that the model decides about, a bicycle, and request its audit."""
    key, content, at = f"uploads/driver-audit/{number}.jpg", draw_photo(number), datetime.now(UTC)
    put = stage.aws.s3.put_object(Bucket=stage.deployed.uploads_bucket, Key=key, Body=content)
    photo = Photo(stage.deployed.uploads_bucket, key, put["ETag"].strip('"'), len(content))
    decision: dict[str, Any] = {**events.sample("driver_routed")["detail"], "photo": photo.as_state()}
    probabilities = {"bicycle": 0.97, "motorcycle": 0.02, "other": 0.01}
    classification = {"vehicle": "bicycle", "confidence": 0.97, "probabilities": probabilities, "model_version": "v1"}
    photos = LabelRequests(stage.deployed.photo_table, stage.aws.dynamodb)
    photos.classify(
        photo,
        decision["execution"],
        at,
        classification=classification,
        threshold=0.93,
        decision={**decision, "vehicle": "bicycle", "confidence": 0.97, "decided_by": "model"},
        audit={"share": 0.02},
    )
    record = photos.get(photo.photo_id)
    assert record is not None
    request = new_request(record.photo, AUDITED, at)
    photos.add(record, LABEL, request, at)
    AuditQueue(stage.deployed.audit_queue_url, stage.aws.sqs).send(record, request)
    return Requested(photo.photo_id, key, decision["execution"])


def test_an_audit_is_answered_before_the_opinion_of_the_model_appears(stage: Stage, tab: BrowserTab) -> None:
    requested = request_audit(stage, 4711)
    page = tab.open("/")
    expect(page.locator("body:not(.fresh) #audit")).to_be_visible()
    expect(page.locator("#model")).to_be_hidden()
    expect(page.locator("#details")).not_to_contain_text("0.97")
    expect(page.locator("#details")).not_to_contain_text("97")
    expect(page.locator("#expires")).to_have_text("–")
    expect(page.locator("#label-only")).to_contain_text("No driver waits")
    assert tab.violations() == []
    screenshot(page, "review-audit", "desktop")
    page.keyboard.press("m")
    expect(page.locator("#log .notice").first).to_contain_text("The model decided bicycle (97.0%)", timeout=30_000)
    assert eventually(lambda: stage.label(requested), timeout_s=15)["vehicle"] == "motorcycle"


def test_a_driver_who_begins_to_wait_replaces_an_audit_on_the_screen(stage: Stage, tab: BrowserTab) -> None:
    request_audit(stage, 4712)
    page = tab.open("/")
    expect(page.locator("body:not(.fresh) #audit")).to_be_visible()
    (waiting,) = stage.request_reviews()
    stage.wait_for_requests(1)
    page.wait_for_function("id => document.getElementById('photo').src.endsWith(id)", arg=waiting.photo_id)
    expect(page.locator("#audit")).to_be_hidden()
    expect(page.locator("#figure-audits")).to_have_text("1")


def test_a_drift_is_said_beside_the_photo_and_moves_no_answer(stage: Stage, chromium: Browser) -> None:
    at = "2026-11-26T10:00:00.000Z"
    compared = Comparison("brightness", 1.3, 0.3, 412, "production", "under 0.3: 20.0% before, 86.2% now", False)
    drift = Drift(at, at, at, at, 412, (compared,), required=100, labels=31, share="0.2")
    table = DriftTable(stage.deployed.model_table, stage.aws.dynamodb)
    places = "[...document.querySelectorAll('.answer')].map(one => one.getBoundingClientRect().y)"
    with serve_console(stage) as running, BrowserTab(chromium, running, (360, 640), phone=True) as tab:
        page = tab.open("/")
        expect(page.locator("#empty-title")).to_have_text("The queue is empty")
        before = page.evaluate(places)
    ModelTable(stage.deployed.model_table, stage.aws.dynamodb).promote(Champion("v1", "v1", "s3://a/b", promoted_at=at))
    table.write(DriftState("v1", 0.93, at, at, drift=drift))
    try:
        with serve_console(stage) as running, BrowserTab(chromium, running, (360, 640), phone=True) as tab:
            page = tab.open("/")
            expect(page.locator("#attention")).to_contain_text("The photos have changed since 2026-11-26 10:00 UTC")
            expect(page.locator("#attention")).to_be_in_viewport()
            assert page.evaluate(places) == before
            assert tab.violations() == []
    finally:
        items = stage.aws.dynamodb.scan(TableName=stage.deployed.model_table)["Items"]
        for item in items:
            stage.aws.dynamodb.delete_item(TableName=stage.deployed.model_table, Key={"id": item["id"]})
