"""The recent photos about which a reviewer and the model disagree, for the gallery of the Model page."""

from collections.abc import Sequence
from dataclasses import dataclass

from console.monitoring import Point
from functions.shared.label import NOT_LEARNT

SHOWN = 24


@dataclass(frozen=True)
class Mistakes:
    """The photos that the gallery shows, at most SHOWN, and how many there are.

    First come the decisions that the model made alone, which an audit found, then those that a reviewer made.
    """

    shown: list[Point]
    total: int


def mistakes(seen: Sequence[Point]) -> Mistakes:
    """Return the photos that the model classified differently, the most confident first."""
    found = [point for point in seen if point.agrees is False and point.answer not in NOT_LEARNT]
    found.sort(key=lambda point: (point.reviewed, -point.confidence))
    return Mistakes(found[:SHOWN], len(found))
