"""What was observed in production: confidence over time, class mix, review rate, agreement, drift."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from review.labels import Label

BINS = 10
FEWEST = 30
"""Photos that either half needs before a drift is worth telling."""

_SMALL = 1e-4


@dataclass(frozen=True)
class Point:
    """One photo that the model judged. `agrees` is what a reviewer found, None when nobody looked."""

    at: datetime
    confidence: float
    vehicle: str
    reviewed: bool
    agrees: bool | None


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
        Point(datetime.fromisoformat(one["decided_at"]), float(one["confidence"]), str(one["vehicle"]), False, None)
        for one in decisions
        if one["decided_by"] == "model" and one.get("confidence") is not None
    ]
    found += [
        Point(datetime.fromisoformat(one.requested_at), one.confidence, one.model_vehicle or "other", True, one.agrees)
        for one in labels
        if one.confidence is not None
    ]
    return sorted(found, key=lambda point: point.at)


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
