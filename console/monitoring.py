"""Monitoring of the model in production: confidence over time, class mix, share reviewed, agreement, drift."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from console.decisions import MAX_SCANNED, Decisions
from console.labels import Label, Labels
from functions.shared.vehicles import OTHER

LABELS_READ = 400
DAYS = 30
"""How many days of photos are read."""

BINS = 10
CLASSIFIED_REASONS = ("LowConfidence", "NotAVehicle")
"""The reasons of review requests for photos that the model has classified."""

MIN_PHOTOS = 30
"""How many photos each half needs, so that drift is computed."""

STABLE_BELOW, DRIFTING_FROM = 0.1, 0.2
"""The customary limits of the population stability index (Siddiqi, Credit Risk Scorecards, 2006)."""

_MIN_SHARE = 1e-4  # in place of 0, whose logarithm is infinite


@dataclass(frozen=True)
class Point:
    """One photo that the model classified, with its `confidence` in [0, 1].

    `agrees`: the reviewer gave the same answer, None without a reviewer. `model_version` is None when it was not
    recorded.
    """

    at: datetime
    confidence: float
    vehicle: str
    reviewed: bool
    agrees: bool | None
    model_version: str | None = None


@dataclass(frozen=True)
class RecentPhotos:
    """The recent photos that one model classified, oldest first.

    `unanswered` counts the photos in review and those whose review timed out; their confidence is not recorded.
    `others` counts the photos of the same period that other models classified.
    """

    points: list[Point]
    unanswered: int
    others: int


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


def points(decisions: Iterable[Mapping[str, Any]], labels: Iterable[Label]) -> list[Point]:
    """Return the photos that the model classified, oldest first: its own decisions and the reviewed photos."""
    found = [
        Point(
            datetime.fromisoformat(one["decided_at"]),
            float(one["confidence"]),
            str(one["vehicle"]),
            reviewed=False,
            agrees=None,
            model_version=one.get("model_version"),
        )
        for one in decisions
        if one["decided_by"] == "model" and one.get("confidence") is not None
    ]
    found += [
        Point(
            datetime.fromisoformat(one.requested_at),
            one.confidence,
            one.model_vehicle or OTHER,
            reviewed=True,
            agrees=one.agrees,
            model_version=one.model_version,
        )
        for one in labels
        if one.confidence is not None
    ]
    return sorted(found, key=lambda point: point.at)


def recent(decisions: Decisions, labels: Labels) -> list[Point]:
    """Return the photos of the last DAYS days that a model classified, oldest first.

    At most LABELS_READ labels are read. Photos older than the oldest of them are left out, and so are labels of photos
    whose decisions were not read: otherwise the share of reviewed photos would be wrong.
    """
    return _recent(decisions.list_newest(), list(labels.recent(LABELS_READ, days=DAYS)))


def recent_of_model(decisions: Decisions, labels: Labels, version: str, since: datetime | None = None) -> RecentPhotos:
    """Return the recent photos that the model `version` classified; it has been champion since `since`."""
    decided, answered = decisions.list_newest(), list(labels.recent(LABELS_READ, days=DAYS))
    seen = _recent(decided, answered)
    start = _start(answered)
    waiting_since = max(start, since) if since else start
    without_answer = {
        str(one["photo_id"])
        for one in decided
        if one["decided_by"] == "fallback"
        and one.get("model_version") == version
        and datetime.fromisoformat(one["decided_at"]) >= start
    }
    # The item of a photo in review does not contain the model version.
    without_answer |= {
        str(one["photo_id"])
        for one in decisions.list_in_review()
        if one.get("reason") in CLASSIFIED_REASONS and datetime.fromisoformat(one["requested_at"]) >= waiting_since
    }
    own = [point for point in seen if point.model_version == version]
    return RecentPhotos(own, len(without_answer - {label.photo_id for label in answered}), len(seen) - len(own))


def _recent(decided: Sequence[Mapping[str, Any]], answered: Sequence[Label]) -> list[Point]:
    start = _start(answered)
    if len(decided) >= MAX_SCANNED:
        read = {one["photo_id"] for one in decided}
        answered = [label for label in answered if label.photo_id in read]
    return [point for point in points(decided, answered) if point.at >= start]


def _start(answered: Sequence[Label]) -> datetime:
    start = datetime.now(UTC) - timedelta(days=DAYS)
    if len(answered) < LABELS_READ:
        return start
    return max(start, min(datetime.fromisoformat(label.requested_at) for label in answered))


def buckets(observed: Sequence[Point], number: int = 12) -> list[Bucket]:
    """Count the points in `number` intervals of equal length."""
    if not observed:
        return []
    start, end = observed[0].at, observed[-1].at
    width = (end - start) / number
    found = [Bucket(start + width * i) for i in range(number)]
    for point in observed:
        index = min(number - 1, int((point.at - start) / width)) if width else 0
        bucket = found[index]
        bucket.by_vehicle[point.vehicle] += 1
        bucket.reviewed += point.reviewed
        if point.agrees is not None:
            bucket.compared += 1
            bucket.agreed += point.agrees
    return found


def drift(observed: Sequence[Point]) -> float | None:
    """Return the population stability index of the confidence, the newer half of the photos against the older half.

    It is the sum over bins of (p - q) ln(p / q) (Siddiqi, Credit Risk Scorecards, 2006); `drift_level` interprets it.
    None while either half has fewer than MIN_PHOTOS photos.
    """
    half = len(observed) // 2
    if half < MIN_PHOTOS:
        return None
    before, after = (_shares(part) for part in (observed[:half], observed[half:]))
    return sum((q - p) * math.log(q / p) for p, q in zip(before, after, strict=True))


def drift_level(index: float | None) -> str:
    """Describe a population stability index.

    >>> drift_level(None), drift_level(0.05), drift_level(0.1), drift_level(0.25)
    ('Too few photos', 'Stable', 'Slight drift', 'Drifting')
    """
    if index is None:
        return "Too few photos"
    if index < STABLE_BELOW:
        return "Stable"
    return "Slight drift" if index < DRIFTING_FROM else "Drifting"


def _shares(observed: Sequence[Point]) -> list[float]:
    counts = Counter(min(BINS - 1, int(point.confidence * BINS)) for point in observed)
    return [max(_MIN_SHARE, counts[i] / len(observed)) for i in range(BINS)]
