"""Which photos of a stage are looked at, when there are more than are read."""

from collections.abc import Iterator

import pytest

from console import decisions, monitoring
from console.aws import Aws
from console.decisions import Decisions
from console.labels import Labels
from deploy.outputs import Deployed
from tests.unit import model_stage


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployed]:
    with model_stage.stage(monkeypatch) as resources:
        yield resources


def seen(stage: Deployed) -> list[monitoring.Point]:
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
    found = seen(stage)
    assert sum(point.reviewed for point in found) == 2
    assert [point.confidence for point in found if not point.reviewed] == [0.99]


def test_labels_of_photos_whose_decisions_were_not_read_are_left_out(
    stage: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (decisions, monitoring):
        monkeypatch.setattr(module, "MOST_SCANNED", 2)
    model_stage.decided(1, 0.99)
    model_stage.decided(2, None, "reviewer")
    for minutes in (2, 3):
        model_stage.labelled(minutes, 0.7)
    assert [(point.confidence, point.reviewed) for point in seen(stage)] == [(0.7, True), (0.99, False)]
