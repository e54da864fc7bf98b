"""The trade-off of the threshold: how many reviews and errors each threshold leads to.

There are two sources. The operating points in a model's evaluation.json were measured after its training, on photos
outside of the training set. The points of console.monitoring are the recent photos of the stage.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from console.champion import Model
from console.monitoring import RecentPhotos
from functions.shared.vehicles import OTHER

TABLE_THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.925, 0.95, 0.97, 0.98, 0.99, 0.995)
"""The thresholds that a table of operating points shows."""

CHOSEN = "chosen"
IN_FORCE = "in force"

_TOLERANCE = 0.0025
"""Half the distance between two operating points. A threshold further from all of them was not measured."""


@dataclass(frozen=True)
class OperatingPoint:
    """The measurements at one threshold; all are shares in [0, 1], None where nothing was measured.

    `decided`: of the vehicle photos, those decided automatically. `wrong`: errors among all automatic decisions, at the
    policy's share of non-vehicles. `others_accepted`: of the photos without a vehicle, those decided automatically.
    Each `_upper` is the upper end of a one-sided 90% confidence interval.
    """

    threshold: float
    decided: float
    wrong: float | None = None
    wrong_upper: float | None = None
    others_accepted: float | None = None
    others_accepted_upper: float | None = None

    @classmethod
    def from_report(cls, entry: object) -> "OperatingPoint | None":
        """Parse an entry of a report's `operating_points`; None when it lacks `threshold` or `decided`."""
        if not isinstance(entry, Mapping):
            return None
        threshold, decided = parse_share(entry.get("threshold")), parse_share(entry.get("decided"))
        if threshold is None or decided is None:
            return None
        names = ("wrong", "wrong_upper", "others_accepted", "others_accepted_upper")
        return cls(threshold, decided, **{name: parse_share(entry.get(name)) for name in names})


@dataclass(frozen=True)
class Policy:
    """The limits for which the threshold was chosen; shares in [0, 1].

    `wrong_at_most`: errors among automatic decisions, when `others_share` of all photos show no vehicle.
    `others_accepted_at_most`: automatic decisions among the photos that show no vehicle.
    """

    wrong_at_most: float
    others_share: float
    others_accepted_at_most: float

    @classmethod
    def of(cls, model: Model) -> "Policy | None":
        """Return the policy in a model's model.json, or None when there is none or it is incomplete."""
        stated = model.metadata.get("policy")
        if not isinstance(stated, Mapping):
            return None
        wrong, others, accepted = (parse_share(stated.get(name)) for name in cls.__dataclass_fields__)
        return None if wrong is None or others is None or accepted is None else cls(wrong, others, accepted)

    @property
    def description(self) -> str:
        """The policy as a sentence.

        >>> Policy(0.01, 0.05, 0.03).description
        'At most 1% of the automatic decisions may be wrong, when 5% of all photos show none of our vehicles. \
At most 3% of these non-vehicles may be let through.'
        """
        return (
            f"At most {format_percent(self.wrong_at_most)} of the automatic decisions may be wrong, when "
            f"{format_percent(self.others_share)} of all photos show none of our vehicles. "
            f"At most {format_percent(self.others_accepted_at_most)} of these non-vehicles may be let through."
        )

    def expected_reviews(self, point: OperatingPoint) -> float | None:
        """Return the reviews per 1,000 photos at an operating point and the policy's share of non-vehicles, or None.

        >>> Policy(0.01, 0.05, 0.03).expected_reviews(OperatingPoint(0.9, decided=0.9, others_accepted=0.02))
        144.0
        """
        if point.others_accepted is None:
            return None
        vehicles, others = 1 - self.others_share, self.others_share
        return round(1000 * (vehicles * (1 - point.decided) + others * (1 - point.others_accepted)), 1)

    def problems(self, point: OperatingPoint) -> list[str]:
        """Return one sentence for each upper bound of an operating point that is above the policy's limit."""
        return [
            f"{what} may be up to {format_percent(value)}; the policy allows {format_percent(limit)}."
            for what, value, limit in (
                ("Errors among automatic decisions", point.wrong_upper, self.wrong_at_most),
                ("Non-vehicles let through", point.others_accepted_upper, self.others_accepted_at_most),
            )
            if value is not None and value > limit
        ]


@dataclass(frozen=True)
class Row:
    """A row of the table. `marks` are those of CHOSEN and IN_FORCE that apply to it."""

    point: OperatingPoint
    expected_reviews: float | None
    marks: tuple[str, ...] = ()


@dataclass(frozen=True)
class TradeOff:
    """The operating points of one model, by rising threshold.

    `chosen` is the model's own threshold, `in_force` the one in use, which an operator may have set.
    """

    points: tuple[OperatingPoint, ...]
    policy: Policy | None
    chosen: float | None
    in_force: float | None

    @classmethod
    def of(cls, model: Model | None, in_force: float | None) -> "TradeOff | None":
        """Return the trade-off of a model; None when its report has no operating points."""
        listed = model.report.get("operating_points") if model else None
        if model is None or not isinstance(listed, list):
            return None
        points = sorted(filter(None, map(OperatingPoint.from_report, listed)), key=lambda point: point.threshold)
        return cls(tuple(points), Policy.of(model), model.threshold, in_force) if points else None

    def at(self, threshold: float | None) -> OperatingPoint | None:
        """Return the operating point nearest to a threshold; None when the threshold was not measured."""
        if threshold is None:
            return None
        nearest = min(self.points, key=lambda point: abs(point.threshold - threshold))
        return nearest if abs(nearest.threshold - threshold) <= _TOLERANCE + 1e-9 else None

    def rows(self, more: Iterable[float] = ()) -> list[Row]:
        """Return a row for each measured threshold: TABLE_THRESHOLDS, the chosen one, the one in force, and `more`."""
        chosen, in_force = self.at(self.chosen), self.at(self.in_force)
        found = [*map(self.at, TABLE_THRESHOLDS), chosen, in_force, *map(self.at, more)]
        points = {point.threshold: point for point in found if point}
        return [
            Row(
                point,
                self.policy.expected_reviews(point) if self.policy else None,
                tuple(mark for mark, marked in ((CHOSEN, chosen), (IN_FORCE, in_force)) if marked is point),
            )
            for _, point in sorted(points.items())
        ]


@dataclass(frozen=True)
class Effect:
    """The effect that a threshold would have had on photos of the stage.

    Of `photos` classified photos, `reviews` would have gone to a reviewer. Of the others, reviewers labelled
    `labelled`, and `wrong` of these labels differ from the model's answer.
    """

    threshold: float
    photos: int
    reviews: int
    labelled: int
    wrong: int

    @property
    def reviews_per_1000(self) -> float | None:
        """The reviews per 1,000 photos; None without photos."""
        return 1000 * self.reviews / self.photos if self.photos else None


def effect(observed: RecentPhotos, threshold: float) -> Effect:
    """Return the effect that a threshold in [0, 1] would have had.

    A photo that the model classifies as `other` goes to a reviewer at every threshold.
    """
    automatic = [point for point in observed.points if point.vehicle != OTHER and point.confidence >= threshold]
    labelled = [point.agrees for point in automatic if point.agrees is not None]
    photos = len(observed.points)
    return Effect(threshold, photos, photos - len(automatic), len(labelled), labelled.count(False))


def parse_share(value: Any) -> float | None:
    """Return a number in [0, 1] of a JSON document, or None for any other value.

    >>> [parse_share(value) for value in (0.25, None, "0.25", True, float("nan"), 7)]
    [0.25, None, None, None, None, None]
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value) or not 0 <= value <= 1:
        return None
    return float(value)


def format_percent(value: float) -> str:
    """Format a share as a percentage with at most two decimal places.

    >>> format_percent(0.01), format_percent(0.005), format_percent(0.0123), format_percent(1.0)
    ('1%', '0.5%', '1.23%', '100%')
    """
    return f"{100 * value:.2f}".rstrip("0").rstrip(".") + "%"


def format_with_bound(value: float | None, upper: float | None) -> str:
    """Format a share and its upper bound as percentages.

    >>> format_with_bound(0.012, 0.018), format_with_bound(0.012, None), format_with_bound(None, None)
    ('1.2% (≤1.8%)', '1.2%', '–')
    """
    if value is None:
        return "–"
    return f"{value:.1%}" if upper is None else f"{value:.1%} (≤{upper:.1%})"
