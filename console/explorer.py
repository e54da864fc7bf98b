"""What another threshold would change: reviews, errors, and the drivers whose photos would be decided differently."""

from collections.abc import Sequence
from dataclasses import dataclass

from console.monitoring import Point
from console.tradeoff import TradeOff
from functions.shared.vehicles import OTHER


@dataclass(frozen=True)
class Outcome:
    """What one threshold leads to; None where it was not measured.

    Per 1,000 photos: `reviews`, and `errors` among the automatic decisions with `errors_upper`, the upper end of a
    one-sided 90% interval. `recent_reviews`: of the recent photos, those that would go to a reviewer.
    """

    threshold: float
    reviews: float | None
    errors: float | None
    errors_upper: float | None
    recent_reviews: int


@dataclass(frozen=True)
class Moved:
    """The recent photos that would be decided differently: their number, and that of their drivers."""

    photos: int
    drivers: int


@dataclass(frozen=True)
class Exploration:
    """The threshold in force and another one. `recent` is the number of recent photos of the champion.

    `to_review`: photos that the model decided alone and that would go to a reviewer. `to_model`: the other way round,
    of which reviewers gave another answer than the model for `to_model_wrong` of `to_model_answered`.
    """

    current: Outcome
    proposed: Outcome
    recent: int
    to_review: Moved
    to_model: Moved
    to_model_answered: int
    to_model_wrong: int
    problems: list[str]


def explore(
    trade_off: TradeOff | None, seen: Sequence[Point], in_force: float | None, proposed: float
) -> Exploration | None:
    """Compare a threshold in [0, 1] with the one in force, on the recent photos of a model; None without one in force.

    A photo that the model classifies as `other` goes to a reviewer at every threshold.
    """
    if in_force is None:
        return None
    vehicles = [point for point in seen if point.vehicle != OTHER]
    low, high = sorted((in_force, proposed))
    between = [point for point in vehicles if low <= point.confidence < high]
    raised, lowered = (between, []) if proposed > in_force else ([], between)
    answered = [point.agrees for point in lowered if point.agrees is not None]
    point = trade_off.at(proposed) if trade_off else None
    policy = trade_off.policy if trade_off else None
    return Exploration(
        current=_outcome(trade_off, seen, in_force),
        proposed=_outcome(trade_off, seen, proposed),
        recent=len(seen),
        to_review=_moved(raised),
        to_model=_moved(lowered),
        to_model_answered=len(answered),
        to_model_wrong=answered.count(False),
        problems=policy.problems(point) if policy and point else [],
    )


def _outcome(trade_off: TradeOff | None, seen: Sequence[Point], threshold: float) -> Outcome:
    reviews = sum(point.vehicle == OTHER or point.confidence < threshold for point in seen)
    point = trade_off.at(threshold) if trade_off else None
    expected = trade_off.policy.expected_reviews(point) if trade_off and trade_off.policy and point else None
    if point is None or expected is None:
        return Outcome(threshold, None, None, None, reviews)
    decided = 1000 - expected
    errors, upper = (None if share is None else share * decided for share in (point.wrong, point.wrong_upper))
    return Outcome(threshold, expected, errors, upper, reviews)


def _moved(points: Sequence[Point]) -> Moved:
    return Moved(len(points), len({point.driver_id for point in points}))
