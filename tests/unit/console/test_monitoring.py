"""The photos that are monitored, and the drift of their confidence."""

from datetime import timedelta

import pytest

from console import decisions, monitoring
from console.aws import Aws
from console.decisions import Decisions
from console.labels import Labels
from console.monitoring import Point
from deploy.outputs import Deployed
from tests.unit import model_stage
from tests.unit.console.review_requests import NOW


def recent(stage: Deployed) -> list[Point]:
    aws = Aws()
    return monitoring.recent(Decisions(stage, aws), Labels(stage.ml_bucket, aws.s3))


def test_photos_older_than_the_labels_that_were_read_are_left_out(
    stage: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitoring, "LABELS_READ", 2)
    for minutes in (3, 2, 1):
        model_stage.labelled(minutes, 0.7)
    for minutes in (0, 5000):
        model_stage.decided(minutes, 0.99)
    found = recent(stage)
    assert sum(point.reviewed for point in found) == 2
    assert [point.confidence for point in found if not point.reviewed] == [0.99]


def test_labels_of_photos_whose_decisions_were_not_read_are_left_out(
    stage: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (decisions, monitoring):
        monkeypatch.setattr(module, "MAX_SCANNED", 2)
    model_stage.decided(1, 0.99)
    model_stage.decided(2, None, "reviewer")
    for minutes in (2, 3):
        model_stage.labelled(minutes, 0.7)
    assert [(point.confidence, point.reviewed) for point in recent(stage)] == [(0.7, True), (0.99, False)]


def point(minute: int, confidence: float, *, reviewed: bool = False, agrees: bool | None = None) -> Point:
    """Return a photo classified `minute` minutes after NOW."""
    return Point(NOW + timedelta(minutes=minute), confidence, "bicycle", reviewed, agrees)


def test_drift_is_small_while_confidence_is_stable_and_large_when_it_falls() -> None:
    stable = [point(i, 0.9 + (i % 10) / 100) for i in range(100)]
    fallen = [point(i, 0.95 if i < 50 else 0.45) for i in range(100)]
    assert monitoring.drift(stable[:40]) is None
    assert (monitoring.drift(stable) or 0) < 0.1
    assert (monitoring.drift(fallen) or 0) > 0.2
