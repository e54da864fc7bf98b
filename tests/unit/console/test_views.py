"""The values that the pages show."""

from datetime import timedelta

import pytest

from console.monitoring import Point
from console.web import views
from tests.unit.console.review_requests import NOW


def test_the_summary_compares_only_photos_that_a_reviewer_answered() -> None:
    points = [
        Point(
            NOW + timedelta(minutes=i),
            0.8,
            "bicycle",
            reviewed=i % 2 == 0,
            agrees=i % 4 == 0 if i % 2 == 0 else None,
        )
        for i in range(24)
    ]
    summary = views.summary(points)
    assert (summary["photos"], summary["review_rate"], summary["compared"]) == (24, 0.5, 12)
    assert summary["agreement"] == 0.5


@pytest.mark.parametrize(("value", "text"), [("fallback", "timed out"), ("model", "model"), ("reviewer", "reviewer")])
def test_a_fallback_is_displayed_as_timed_out(value: str, text: str) -> None:
    assert views.decided_by(value) == text
