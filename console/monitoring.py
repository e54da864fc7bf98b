"""Monitoring of the model in production: confidence over time, class mix, share reviewed, agreement."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from console.labels import Label
from console.periods import Period
from console.photo_records import DAYS, PhotoRecords
from console.reviews import Reviews
from functions.shared.decision import FALLBACK
from functions.shared.photo_record import IN_REVIEW

LABELS_READ = 400

_PATHS = (
    "photo_id",
    "driver_id",
    "first_seen_at",
    "status",
    "classification.vehicle",
    "classification.confidence",
    "classification.model_version",
    "review.reason",
    "outcome.decided_by",
)
"""The attributes of a record that a Point is made of."""


@dataclass(frozen=True)
class Point:
    """One photo that the model classified, with its `confidence` in [0, 1].

    `at` is when the photo was first seen. `reviewed`: a review was requested. `unanswered`: it has no answer yet, or
    timed out without one. `agrees`: the reviewer gave the model's answer, None when no label of the photo was read;
    `answer` is the reviewer's, None without a label.
    """

    at: datetime
    confidence: float
    vehicle: str
    reviewed: bool
    agrees: bool | None
    model_version: str | None = None
    unanswered: bool = False
    photo_id: str = ""
    driver_id: str = ""
    answer: str | None = None


@dataclass(frozen=True)
class RecentPhotos:
    """The recent photos that one model classified, oldest first.

    `others` counts the photos of the same period that other models classified.
    """

    points: list[Point]
    others: int

    @property
    def unanswered(self) -> int:
        """How many photos were sent to a reviewer and have no answer: those in review, and those that timed out."""
        return sum(point.unanswered for point in self.points)


@dataclass
class Bucket:
    """The counts of one interval of time, which begins at `start`."""

    start: datetime
    by_vehicle: Counter[str] = field(default_factory=Counter)
    reviewed: int = 0
    agreed: int = 0
    compared: int = 0

    @property
    def photos(self) -> int:
        """How many photos were classified."""
        return sum(self.by_vehicle.values())

    @property
    def review_rate(self) -> float | None:
        """The share of photos that went to a reviewer, None without photos."""
        return self.reviewed / self.photos if self.photos else None

    @property
    def agreement(self) -> float | None:
        """The share of compared photos for which the reviewer gave the model's answer, None without any."""
        return self.agreed / self.compared if self.compared else None


def points(photos: Iterable[Mapping[str, Any]], labels: Iterable[Label]) -> list[Point]:
    """Return the photos that a model classified, oldest first. `labels` are the newest first.

    `photos` are records with the attributes _PATHS.
    """
    answers: dict[str, Label] = {}
    for label in labels:
        answers.setdefault(label.photo_id, label)
    found = [_point(record, answers.get(record["photo_id"])) for record in photos if record.get("classification")]
    return sorted(found, key=lambda point: point.at)


def recent(records: PhotoRecords, reviews: Reviews) -> list[Point]:
    """Return the photos of the last DAYS days that a model classified, oldest first; at most LABELS_READ have `agrees`.

    Raises RecordUnavailable, ClientError, BotoCoreError.
    """
    return points(records.list_newest(_PATHS), reviews.recent(LABELS_READ, days=DAYS))


def recent_of_model(records: PhotoRecords, reviews: Reviews, version: str) -> RecentPhotos:
    """Return the recent photos that the model `version` classified. Raises as `recent`."""
    seen = recent(records, reviews)
    own = [point for point in seen if point.model_version == version]
    return RecentPhotos(own, len(seen) - len(own))


def _point(record: Mapping[str, Any], label: Label | None) -> Point:
    classification = record["classification"]
    timed_out = record.get("outcome", {}).get("decided_by") == FALLBACK
    return Point(
        at=datetime.fromisoformat(record["first_seen_at"]),
        confidence=float(classification["confidence"]),
        vehicle=str(classification["vehicle"]),
        reviewed="review" in record,
        agrees=label.agrees if label else None,
        model_version=classification.get("model_version"),
        unanswered=label is None and (record["status"] == IN_REVIEW or timed_out),
        photo_id=record["photo_id"],
        driver_id=record["driver_id"],
        answer=label.vehicle if label else None,
    )


def buckets(observed: Iterable[Point], period: Period, now: datetime) -> list[Bucket]:
    """Count the points in the equal intervals of a period; those outside of it are left out."""
    start = period.starts_at(now)
    found = [Bucket(start + period.width * i) for i in range(period.number)]
    for point in observed:
        index = (point.at - start) // period.width
        if not 0 <= index < period.number:
            continue
        bucket = found[index]
        bucket.by_vehicle[point.vehicle] += 1
        bucket.reviewed += point.reviewed
        # An audited photo was not reviewed: the audit has figures of its own.
        if point.reviewed and point.agrees is not None:
            bucket.compared += 1
            bucket.agreed += point.agrees
    return found
