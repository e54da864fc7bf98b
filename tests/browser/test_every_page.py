"""Every page of the console in Chromium, found by its route: at each size, in light and dark colours."""

import re
from collections.abc import Callable

import pytest
from fastapi.responses import HTMLResponse
from fastapi.routing import APIRoute
from playwright.sync_api import Browser, Page, expect

from console.web.app import PAGES
from tests.browser.browser_tab import COVERED, WIDTHS, BrowserTab, screenshot
from tests.browser.conftest import RunningConsole
from tests.browser.deployed_stage import Stage
from tests.support.waiting import eventually

SIZES = [(1920, 1080), (1366, 768), (768, 1024), (640, 360), (360, 640), (320, 568)]
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
CUT_OFF = """() => [...document.querySelectorAll(
    "main h1, main h2, main button, main .button, main label, main dt, nav a, .where span"
)].filter(one => !one.closest(".visually-hidden") && one.scrollWidth > one.clientWidth + 1
    && getComputedStyle(one).overflow !== "visible").map(one => one.textContent)"""


def page_paths() -> list[str]:
    """Return the paths of the routes that return a page."""
    routes = [route for page in PAGES for route in page.router.routes if isinstance(route, APIRoute)]
    return [one.path for one in routes if "GET" in one.methods and _returns(one) is HTMLResponse]


def _returns(route: APIRoute) -> object:
    return route.endpoint.__annotations__.get("return")


def execution_name(stage: Stage, workflow: str) -> str:
    """Start an execution of a workflow that ends by itself, because there is nothing to train or restore."""
    started = stage.aws.stepfunctions.start_execution(stateMachineArn=workflow, input='{"trigger": "manual"}')
    arn = str(started["executionArn"])
    read = stage.aws.stepfunctions.describe_execution
    eventually(lambda: read(executionArn=arn)["status"], lambda status: status != "RUNNING", timeout_s=60)
    return arn.rpartition(":")[2]


PARAMETERS: dict[str, Callable[[Stage], str]] = {
    "/photos/{photo_id}": lambda stage: next(
        photo_id for photo_id, one in stage.decisions().items() if one["decided_by"] == "reviewer"
    ),
    "/model/runs/{name}": lambda stage: execution_name(stage, stage.deployed.retrain_model_arn),
    "/model/rollbacks/{name}": lambda stage: execution_name(stage, stage.deployed.rollback_model_arn),
}
"""For each route with a parameter, what finds a value of it."""


def address_of(path: str, stage: Stage) -> str:
    """Return the address of a page. A new route with a parameter has to be added to PARAMETERS."""
    return re.sub(r"{\w+}", lambda _: PARAMETERS[path](stage), path)


@pytest.fixture(scope="module")
def full_stage(session_stage: Stage) -> Stage:
    """Photos in review, decisions of every kind, a failed request, and an endpoint with a report and a card."""
    session_stage.purge_queues()
    requested = session_stage.request_reviews(8) + session_stage.request_reviews(2, timeout_s=1)
    requested += session_stage.request_reviews(4, vehicle="motorcycle")
    session_stage.wait_for_requests(14)
    with session_stage.desk(undo_s=0) as desk:
        session = desk.open_session(session_stage.reviewer("ada"))
        for number in range(8):
            lease = eventually(lambda: desk.take(session, ahead=1))[0]
            desk.answer(session, lease.id, ["bicycle", "motorcycle", "other", "bicycle"][number % 4])
    eventually(lambda: sum(one.photo_id in session_stage.decisions() for one in requested), lambda found: found >= 8)
    session_stage.dead_letter("{broken <script>alert(1)</script>")
    session_stage.create_endpoint()
    return session_stage


@pytest.mark.parametrize("path", [*page_paths(), "/no-such-page"])
def test_every_page_fits_every_size_without_errors_and_accessibility_violations(
    full_stage: Stage, chromium: Browser, console: RunningConsole, path: str
) -> None:
    if path == "/":
        full_stage.request_reviews(2)
        full_stage.wait_for_requests(2)
    tab = BrowserTab(chromium, console, SIZES[0])
    page = tab.open(address_of(path, full_stage))
    found: dict[str, object] = {}
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        settle(page, path)
        problems = [*map(page.evaluate, (OVERFLOW, CUT_OFF, COVERED)), tab.violations()]
        if problems != [0, [], [], []]:
            found[f"{width}x{height}"] = problems
        screenshot(page, path.strip("/").replace("/", "-") or "review", f"{width}x{height}")
    page.emulate_media(color_scheme="dark")
    settle(page, path)
    if violations := tab.violations():
        found["dark"] = violations
    assert found == {}
    assert tab.foreign_requests == []
    assert [error for error in tab.errors if "404" not in error or path != "/no-such-page"] == []


def settle(page: Page, path: str) -> None:
    """Wait until a page has what it loads; the Review page asks for photos again and again."""
    if path == "/":
        expect(page.locator("body:not(.fresh) #photo-box")).to_be_visible()
        expect(page.locator("#figure-waiting")).not_to_have_text("–")
    else:
        page.wait_for_load_state("networkidle")


@pytest.mark.parametrize("width", WIDTHS)
def test_the_trade_off_is_drawn_and_its_text_can_be_read(
    full_stage: Stage, chromium: Browser, console: RunningConsole, width: str
) -> None:
    tab = BrowserTab(chromium, console, width)
    section = tab.open("/model").locator("section[aria-labelledby=tradeoff-title]")
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
    assert min(heights) >= 11
    assert inside


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_stage_pages_and_reviewer_fit_beside_each_other_at_every_size(
    full_stage: Stage, chromium: Browser, console: RunningConsole, size: tuple[int, int]
) -> None:
    tab = BrowserTab(chromium, console, size)
    for path in ("/now", "/photos", "/model", "/dead-letters", "/teams"):
        page = tab.open(path)
        expect(page.locator(".account")).to_have_text("000000000000 eu-west-1")
        boxes = page.locator(".bar nav a, #reviewer, .where").evaluate_all(
            "all => all.map(one => { const box = one.getBoundingClientRect();"
            " return [box.left, box.top, box.right, box.bottom]; })"
        )
        assert all(left >= 0 and right <= size[0] for left, _, right, _ in boxes), path
        for number, (left, top, right, bottom) in enumerate(boxes):
            for other in boxes[number + 1 :]:
                apart = right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top
                assert apart, (path, number)
        overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert overflow == 0, path
        screenshot(page, path.strip("/"), f"{size[0]}")
