"""The page of `make report` in a browser: readable on a phone, accessible, and without a request."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from operate.report.run import write
from operate.report.style import DPI
from tests.browser.browser_tab import AXE
from tests.support.month_of_photos import Month

# The smallest text of the charts in points, of which an inch has 72, and in CSS pixels on a phone.
LEAST_PT, LEAST_PX = 8, 8.5
CHARTS = 8


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(Month().observed(), tmp_path_factory.mktemp("reports") / "month")


@pytest.mark.parametrize("width", [360, 1366])
def test_the_report_fits_the_window_and_is_accessible(chromium: Browser, report: Path, width: int) -> None:
    page = chromium.new_page(viewport={"width": width, "height": 800})
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.goto(report.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    sizes = page.eval_on_selector_all("figure img", "all => all.map(one => [one.clientWidth, one.naturalWidth])")
    assert len(sizes) == CHARTS
    for shown, drawn in sizes:
        assert shown / drawn * DPI * LEAST_PT / 72 >= LEAST_PX
    assert [url for url in requested if not url.startswith("data:")] == [report.as_uri()]
    page.evaluate(AXE)
    assert page.evaluate("axe.run()")["violations"] == []
    page.close()
