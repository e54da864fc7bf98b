"""What was observed in production: confidence over time, class mix, review rate, agreement, drift."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from console.decisions import MOST_SCANNED, Decisions
from console.labels import Label, Labels

LABELS_READ = 400
DAYS = 30
"""How far back photos are looked at."""

BINS = 10
JUDGED = ("LowConfidence", "NotAVehicle")
"""The reasons of a review request that follow from an answer of the model."""

FEWEST = 30
"""Photos that either half needs before a drift is worth telling."""

_SMALL = 1e-4


@dataclass(frozen=True)
class Point:
    """One photo that the model judged, `confidence` in [0, 1].

    `agrees` is what a reviewer found, None when nobody looked. `model_version` is the model that judged, None when
    that was not recorded.
    """

    at: datetime
    confidence: float
    vehicle: str
    reviewed: bool
    agrees: bool | None
    model_version: str | None = None


@dataclass(frozen=True)
class Observed:
    """The recent photos that one model judged, oldest first.

    `unanswered` counts the photos that went to a person who has not answered, or did not in time: the model's
    confidence in them is not recorded. `others` counts the photos of the same time that other models judged.
    """

    points: list[Point]
    unanswered: int
    others: int


@dataclass
class Bucket:
    """What happened in one stretch of time, from `start` on."""

    start: datetime
    by_vehicle: Counter[str] = field(default_factory=Counter)
    reviewed: int = 0
    agreed: int = 0
    compared: int = 0

    @property
    def photos(self) -> int:
        return sum(self.by_vehicle.values())

    @property
    def review_rate(self) -> float | None:
        return self.reviewed / self.photos if self.photos else None

    @property
    def agreement(self) -> float | None:
        return self.agreed / self.compared if self.compared else None


def points(decisions: Iterable[Mapping[str, Any]], labels: Iterable[Label]) -> list[Point]:
    """Every judgement of the model, oldest first: its own decisions, and what reviewers were asked about."""
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
            one.model_vehicle or "other",
            reviewed=True,
            agrees=one.agrees,
            model_version=one.model_version,
        )
        for one in labels
        if one.confidence is not None
    ]
    return sorted(found, key=lambda point: point.at)


def recent(decisions: Decisions, labels: Labels) -> list[Point]:
    """The judgements of the last DAYS days, oldest first.

    Of the labels at most LABELS_READ are read. What is older than the oldest of them is left out, and so are labels
    of photos whose decisions were not read: otherwise the share of reviewed photos would be wrong.
    """
    return _recent(decisions.all(), list(labels.recent(LABELS_READ, days=DAYS)))


def of_model(decisions: Decisions, labels: Labels, version: str, since: datetime | None = None) -> Observed:
    """The recent judgements of the model that answers as `version`, champion from `since` on."""
    decided, answered = decisions.all(), list(labels.recent(LABELS_READ, days=DAYS))
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
    # A waiting photo's entry does not name the model.
    without_answer |= {
        str(one["photo_id"])
        for one in decisions.in_review()
        if one.get("reason") in JUDGED and datetime.fromisoformat(one["requested_at"]) >= waiting_since
    }
    own = [point for point in seen if point.model_version == version]
    return Observed(own, len(without_answer - {label.photo_id for label in answered}), len(seen) - len(own))


def _recent(decided: Sequence[Mapping[str, Any]], answered: Sequence[Label]) -> list[Point]:
    start = _start(answered)
    if len(decided) >= MOST_SCANNED:
        read = {one["photo_id"] for one in decided}
        answered = [label for label in answered if label.photo_id in read]
    return [point for point in points(decided, answered) if point.at >= start]


def _start(answered: Sequence[Label]) -> datetime:
    start = datetime.now(UTC) - timedelta(days=DAYS)
    if len(answered) < LABELS_READ:
        return start
    return max(start, min(datetime.fromisoformat(label.requested_at) for label in answered))


def buckets(observed: Sequence[Point], number: int = 12) -> list[Bucket]:
    """The points' time in `number` equal stretches."""
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
    """The population stability index of confidence, the newer half of the photos against the older one.

    sum over bins of (p - q) ln(p / q); under 0.1 is calm, over 0.2 deserves a look (Siddiqi, Credit Risk Scorecards,
    2006). None while either half has fewer than FEWEST photos.
    """
    half = len(observed) // 2
    if half < FEWEST:
        return None
    before, after = (_shares(part) for part in (observed[:half], observed[half:]))
    return sum((q - p) * math.log(q / p) for p, q in zip(before, after, strict=True))


def _shares(observed: Sequence[Point]) -> list[float]:
    counts = Counter(min(BINS - 1, int(point.confidence * BINS)) for point in observed)
    return [max(_SMALL, counts[i] / len(observed)) for i in range(BINS)]
