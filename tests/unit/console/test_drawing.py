"""The plots of the Model page."""

import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from console import drawing, monitoring
from console.aws import Aws
from console.drawing import FRAME, TimeAxis
from console.monitoring import Point
from console.periods import PERIODS, Period, choose_period
from deploy.outputs import Deployed
from functions.shared.champion import Champion
from tests.unit import model_stage
from tests.unit.console.browser_client import BrowserClient

AT = datetime(2026, 11, 28, 11, 20, tzinfo=UTC)
DAY, WEEK, MONTH = (PERIODS[name] for name in ("day", "week", "month"))


def point(hours_ago: float, confidence: float = 0.8, *, reviewed: bool = False, agrees: bool | None = None) -> Point:
    """Return a photo that was first seen `hours_ago` before AT."""
    return Point(AT - timedelta(hours=hours_ago), confidence, "bicycle", reviewed, agrees, photo_id="a" * 32)


@pytest.mark.parametrize("period", PERIODS.values(), ids=list(PERIODS))
def test_a_period_has_equal_intervals_that_begin_at_full_hours_or_midnight(period: Period) -> None:
    found = monitoring.buckets([point(0), point(1.5), point(24 * 40)], period, AT)
    assert len(found) == period.number
    starts = [bucket.start for bucket in found]
    assert {later - earlier for earlier, later in pairwise(starts)} == {period.width}
    assert (starts[0].minute, starts[0].second) == (0, 0)
    assert starts[-1] <= AT < starts[-1] + period.width
    assert sum(bucket.photos for bucket in found) == 2


def test_the_shortest_period_with_all_photos_is_chosen() -> None:
    assert choose_period("", [], AT) is DAY
    assert choose_period("", [AT - timedelta(hours=20)], AT) is DAY
    assert choose_period("", [AT - timedelta(hours=30), AT], AT) is WEEK
    assert choose_period("", [AT - timedelta(days=90)], AT) is MONTH
    assert choose_period("month", [AT], AT) is MONTH
    assert choose_period("year", [AT], AT) is DAY


def test_the_plots_show_every_photo_of_the_period() -> None:
    points = [point(i, reviewed=i % 2 == 0, agrees=i % 4 == 0 if i % 2 == 0 else None) for i in range(30, -1, -1)]
    axis = TimeAxis(DAY, AT)
    buckets = monitoring.buckets(points, DAY, AT)
    assert sum(bucket.photos for bucket in buckets) == 24
    assert len(drawing.scatter(points, 0.93, axis).dots) == 24
    assert len(drawing.class_mix(buckets, axis).bars) == 24
    assert {name for name, _ in drawing.rates(buckets, axis).paths} == {"reviewed", "agreement"}


def test_older_photos_than_can_be_drawn_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "MAX_DOTS", 3)
    found = drawing.scatter([point(i) for i in range(5, 0, -1)], None, TimeAxis(DAY, AT))
    assert (len(found.dots), found.left_out) == (3, 2)
    assert found.dots[-1].x == TimeAxis(DAY, AT).x(AT - timedelta(hours=1))


def test_most_of_the_confidence_axis_is_the_range_where_thresholds_are() -> None:
    height = FRAME[3] - FRAME[1]
    assert (FRAME[3] - drawing.confidence_y(0.9)) / height < 0.4
    assert [drawing.confidence_y(value) for value in (0.0, 0.3, 0.5)] == [FRAME[3]] * 3
    assert [drawing.confidence_y(value) for value in (0.999, 1.0)] == [FRAME[1]] * 2
    levels = [tick.at for tick in drawing.scatter([], None, TimeAxis(DAY, AT)).values]
    gaps = [lower - upper for lower, upper in pairwise(levels)]
    assert min(gaps) >= 19  # of the 220 units; a label of the axis on a phone is 19 high


def test_marks_differ_in_shape_and_not_only_in_colour() -> None:
    kinds = {
        drawing.scatter([point(1, reviewed=reviewed, agrees=agrees)], None, TimeAxis(DAY, AT)).dots[0].kind
        for reviewed, agrees in ((False, None), (True, True), (True, False), (True, None))
    }
    assert len(kinds) == len({drawing.SHAPES[kind] for kind in kinds}) == 4
    assert drawing.SHAPES["reviewed"] != drawing.SHAPES["agreement"]


def test_a_line_has_a_gap_where_nothing_was_measured() -> None:
    points = [point(hours, reviewed=True, agrees=True) for hours in (9, 8, 3, 2)]
    found = dict(drawing.rates(monitoring.buckets(points, DAY, AT), TimeAxis(DAY, AT)).paths)
    assert re.sub(r"[\d. ]", "", found["agreement"]) == "MLML"


def test_a_change_of_the_model_is_marked_when_it_is_in_the_period() -> None:
    models = [
        Champion("new", "new", "s3://m/new", promoted_at="2026-11-28T02:00:00.000Z"),
        Champion("old", "old", "s3://m/old", promoted_at="2026-11-01T02:00:00Z", restored_at="2026-11-28T09:00:00Z"),
    ]
    axis = TimeAxis(DAY, AT, models)
    assert [change.text[:17] for change in axis.changes] == ["new in production", "old in production"]
    assert axis.changes[1].at == axis.x(datetime(2026, 11, 28, 9, tzinfo=UTC))
    assert len(TimeAxis(MONTH, AT, models).changes) == 3


def test_every_plot_has_titles_and_units_and_its_dots_lead_to_photos(stage: Deployed) -> None:
    model_stage.serve()
    for number in range(3):
        model_stage.decided(number, 0.97)
    with BrowserClient(stage, Aws()) as browser:
        text, month = browser.get("/model").text, browser.get("/model?period=month").text
    section = text.partition('id="production-title"')[2].partition("</section>")[0]
    plots = re.findall(r"<svg viewBox=\"0 0 480.*?</svg>", section, re.DOTALL)
    assert len(plots) == 3
    assert all(">Time (UTC)<" in plot for plot in plots)
    for plot, title in zip(plots, ("Confidence (logit scale)", "Photos per hour", "Share (%)"), strict=True):
        assert f">{title}<" in plot
    assert set(re.findall(r'href="/photos/(\w+)"', plots[0])) == {
        model_stage.photo(number).photo_id for number in range(3)
    }
    assert ">Photos per day<" in month
    assert re.findall(r'aria-current="true">([^<]+)', text + month) == ["24 hours", "30 days"]
