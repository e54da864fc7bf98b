"""The Model page in Chromium: decide about the threshold, start a dry run, read the plots on a phone."""

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from functions.shared.photo import Photo
from functions.shared.photo_record import ROUTED
from functions.shared.photo_table import PhotoTable
from functions.shared.times import timestamp
from tests.browser.browser_tab import BrowserTab, screenshot
from tests.browser.conftest import RunningConsole, serve_console
from tests.browser.deployed_stage import Stage
from tests.unit.model_stage import NOW

CHAMPION = "vehicles-test-20261123-010203"


@pytest.fixture(scope="module")
def with_model(session_stage: Stage) -> Stage:
    """The stage with an endpoint and three photos that its model decided."""
    stage = session_stage
    stage.create_endpoint()
    for number, confidence in enumerate((0.94, 0.96, 0.99)):
        record_decision(stage, number, confidence)
    return stage


@pytest.fixture(scope="module")
def console(with_model: Stage) -> Iterator[RunningConsole]:
    """A console of these tests: that of the others may show photos in production as it read them before."""
    with serve_console(with_model) as running:
        yield running


def record_decision(stage: Stage, number: int, confidence: float) -> None:
    """Record that the model decided about a photo."""
    photo = Photo(stage.deployed.uploads_bucket, f"uploads/driver-{number}/model-{number}.jpg", f"{number:032x}", 1000)
    table = PhotoTable(stage.deployed.photo_table, stage.aws.dynamodb)
    prediction = {"vehicle": "bicycle", "confidence": confidence, "model_version": CHAMPION}
    table.classify(photo, "arn:any", NOW, classification=prediction, threshold=0.93)
    outcome = {
        **prediction,
        "photo": photo.as_state(),
        "driver_id": photo.driver_id,
        "decided_by": "model",
        "loading_bay": "Bay A",
        "order_range": "nearby",
        "execution": "arn:any",
        "decided_at": timestamp(NOW),
    }
    table.record_outcome(photo, ROUTED, "arn:any", NOW, outcome=outcome)


def test_whether_to_raise_the_threshold_is_decided_in_three_actions(
    with_model: Stage, chromium: Browser, console: RunningConsole
) -> None:
    tab = BrowserTab(chromium, console, (1366, 768))
    page = tab.open("/now")
    page.locator(".bar nav").get_by_role("link", name="Model").click()
    page.locator("#threshold").fill("0.97")
    page.locator("#threshold").press("Enter")
    effect = page.locator(".explored")
    expect(effect).to_be_in_viewport()
    expect(effect.locator("tr").nth(1)).to_contain_text("Reviews per 1,000 photos, expected")
    expect(effect.locator("tr").nth(2)).to_contain_text("Errors per 1,000 photos, expected")
    expect(page.locator("#affected")).to_contain_text("drivers would have waited for a reviewer with")
    assert tab.violations() == []
    assert tab.errors == []


def test_an_operator_starts_a_dry_run_and_sees_its_progress(with_model: Stage, chromium: Browser) -> None:
    stage = with_model
    states, machine = stage.aws.stepfunctions, stage.deployed.retrain_model_arn
    with serve_console(stage, stage.aws, operator=True) as console, BrowserTab(chromium, console) as tab:
        page = tab.open("/model")
        page.get_by_role("button", name="Dry run…").click()
        assert tab.violations() == []
        page.locator("#dry-run").get_by_role("button", name="Start the dry run").click()
        page.wait_for_url("**/model/runs/dry-run-*")
        # The stage has no data to train on, so the run ends by itself.
        expect(page.locator("#run-progress")).to_have_text("Ended.", timeout=60_000)
        expect(page.locator(".timeline")).to_contain_text("BuildDataset")
        assert tab.violations() == []
        page.locator(".crumb a").click()
        expect(page.locator(".runs")).to_contain_text("manual")
    assert tab.errors == []
    listed = states.list_executions(stateMachineArn=machine)["executions"]
    (execution,) = [one["executionArn"] for one in listed if one["name"].startswith("dry-run-")]
    request = json.loads(states.describe_execution(executionArn=execution)["input"])
    assert request == {"trigger": "manual", "dry_run": True}


@pytest.mark.parametrize("width", [320, 360, 768, 1366])
def test_the_plots_can_be_read_at_every_width(
    with_model: Stage, chromium: Browser, console: RunningConsole, width: int
) -> None:
    tab = BrowserTab(chromium, console, (width, 740))
    page = tab.open("/model")
    plots = page.locator(".production svg[viewBox^='0 0 480']")
    expect(plots).to_have_count(3)
    heights = plots.locator("text").evaluate_all("all => all.map(text => text.getBoundingClientRect().height)")
    outside = plots.evaluate_all(
        """plots => plots.flatMap(plot => [...plot.querySelectorAll("text")].filter(text => {
            const [outer, inner] = [plot.getBoundingClientRect(), text.getBoundingClientRect()];
            return inner.left < outer.left - 1 || inner.right > outer.right + 1;
        }).map(text => text.textContent))"""
    )
    overlapping = plots.evaluate_all(
        """plots => plots.flatMap(plot => {
            const texts = [...plot.querySelectorAll("text.axis")];
            const boxes = texts.map(text => [text.textContent, text.getBoundingClientRect()]);
            return boxes.flatMap(([name, one], i) => boxes.slice(i + 1).filter(([, other]) =>
                one.left < other.right && other.left < one.right &&
                one.top + 3 < other.bottom && other.top + 3 < one.bottom
            ).map(([other]) => `${name} and ${other}`));
        })"""
    )
    keys = page.locator(".shape svg").evaluate_all("all => all.map(one => one.getBoundingClientRect().width)")
    overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    screenshot(page, "model", f"{width}")
    assert tab.violations() == []
    plots.first.locator("a").first.dispatch_event("click")
    page.wait_for_url("**/photos/*")
    assert (outside, overlapping, overflow) == ([], [], 0)
    assert min(heights) >= 11
    assert set(keys) == {16}
