"""The photos that are monitored."""

import pytest

from console import monitoring
from console.aws import Aws
from console.monitoring import Point
from console.photo_records import PhotoRecords
from console.reviews import Reviews
from deploy.outputs import Deployed
from tests.unit import model_stage


def recent(stage: Deployed) -> list[Point]:
    aws = Aws()
    return monitoring.recent(PhotoRecords(stage, aws), Reviews(stage.ml_bucket, aws.s3))


def test_photos_without_an_answer_count_as_reviewed_with_their_confidence(stage: Deployed) -> None:
    model_stage.decided(4, None, "fallback")
    model_stage.labelled(3, 0.7)
    model_stage.waiting(2)
    model_stage.decided(1, 0.99)
    assert [(one.confidence, one.reviewed, one.unanswered, one.agrees) for one in recent(stage)] == [
        (0.4, True, True, None),
        (0.7, True, False, True),
        (0.4, True, True, None),
        (0.99, False, False, None),
    ]


def test_photos_whose_labels_were_not_read_count_as_reviewed(stage: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitoring, "LABELS_READ", 2)
    for minutes in (3, 2, 1):
        model_stage.labelled(minutes, 0.7)
    for minutes in (0, 5000):
        model_stage.decided(minutes, 0.99)
    found = recent(stage)
    assert [point.confidence for point in found if not point.reviewed] == [0.99, 0.99]
    assert sum(point.reviewed for point in found) == 3
    assert sum(point.agrees is not None for point in found) == 2
    assert sum(point.unanswered for point in found) == 0


def test_labels_of_photos_without_a_classification_are_left_out(stage: Deployed) -> None:
    model_stage.labelled(1, 0.7)
    model_stage.waiting(2, "ModelUnavailable")
    model_stage.rejected(3)
    assert [point.confidence for point in recent(stage)] == [0.7]
