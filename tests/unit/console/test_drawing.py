"""The plots of the Model page."""

from datetime import timedelta

from console import drawing, monitoring
from console.monitoring import Point
from tests.unit.console.review_requests import NOW


def point(minute: int, confidence: float, *, reviewed: bool = False, agrees: bool | None = None) -> Point:
    """Return a photo classified `minute` minutes after NOW."""
    return Point(NOW + timedelta(minutes=minute), confidence, "bicycle", reviewed, agrees)


def test_the_plots_show_every_photo() -> None:
    points = [point(i, 0.8, reviewed=i % 2 == 0, agrees=i % 4 == 0 if i % 2 == 0 else None) for i in range(24)]
    buckets = monitoring.buckets(points)
    assert sum(part.photos for part in buckets) == 24
    assert buckets[0].review_rate == 0.5
    plot = drawing.scatter(points, 0.93)
    assert len(plot.dots) == 24
    assert plot.threshold_y is not None
    assert plot.threshold_y < plot.dots[0].y
    assert sum(bar.height > 0 for bar in drawing.class_mix(buckets).bars) == 12
    assert {name for name, _ in drawing.rates(buckets).paths} == {"reviewed", "agreement"}


def test_a_single_photo_can_be_plotted() -> None:
    points = [point(0, 0.5)]
    assert len(drawing.scatter(points, None).dots) == 1
    assert drawing.class_mix(monitoring.buckets(points)).bars
