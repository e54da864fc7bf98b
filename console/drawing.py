"""The plots of the Model page as coordinates of SVG elements, which the template draws.

All plots of a page have the same time axis, in UTC. A mark has a shape as well as a colour.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from console.monitoring import Bucket, Point
from console.periods import Period
from functions.shared.champion import Champion
from functions.shared.vehicles import OTHER

WIDTH, HEIGHT = 480.0, 340.0
LEFT, RIGHT, TOP, BOTTOM = 78.0, 16.0, 44.0, 76.0
FRAME = (LEFT, TOP, WIDTH - RIGHT, HEIGHT - BOTTOM)
"""Left, top, right and bottom of the plotted area, in the SVG's units."""

MAX_DOTS = 1000
_CONFIDENCES = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)

SHAPES = {
    "automatic": "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0Z",
    "agreed": "M0 -6L6 5H-6Z",
    "disagreed": "M-6 -3.5L-3.5 -6L0 -2.5L3.5 -6L6 -3.5L2.5 0L6 3.5L3.5 6L0 2.5L-3.5 6L-6 3.5L-2.5 0Z",
    "not-compared": "M0 -6.5L5.5 0L0 6.5L-5.5 0Z",
    "reviewed": "M-5 -5H5V5H-5Z",
    "agreement": "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0Z",
}
"""The SVG path of each kind of dot, around (0, 0): circle, triangle, cross, diamond, square, circle."""


@dataclass(frozen=True)
class Dot:
    """A mark at (x, y). `kind` is a key of SHAPES and its CSS class, `text` its tooltip; it leads to `photo_id`."""

    x: float
    y: float
    kind: str
    text: str
    photo_id: str = ""


@dataclass(frozen=True)
class Tick:
    """A tick of an axis at a coordinate."""

    at: float
    text: str


class TimeAxis:
    """The time axis of the plots: `ticks`, and `changes`, which are where another model came into production."""

    def __init__(self, period: Period, now: datetime, models: Iterable[Champion] = ()) -> None:
        """`models` are those that were ever promoted."""
        self.period = period
        self.start, self.end = period.starts_at(now), period.ends_at(now)
        step = period.width * period.ticks
        times = [self.start + step * i for i in range(-(-period.number // period.ticks) + 1)]
        self.ticks = [Tick(self.x(at), f"{at:{period.pattern}}") for at in times if at <= self.end]
        changed = [
            (datetime.fromisoformat(at), model.model_version)
            for model in models
            for at in (model.promoted_at, model.restored_at)
            if at
        ]
        self.changes = [
            Tick(self.x(at), f"{version} in production from {at:%d %b %H:%M}")
            for at, version in sorted(changed)
            if self.start <= at <= self.end
        ]

    def x(self, at: datetime) -> float:
        """Return the coordinate of a time."""
        return round(LEFT + (at - self.start) / (self.end - self.start) * (FRAME[2] - LEFT), 1)

    def covers(self, at: datetime) -> bool:
        """Whether a time is in the period."""
        return self.start <= at < self.end


@dataclass(frozen=True)
class Scatter:
    """Confidence over time. `threshold_y` is the position of the threshold line, None without a threshold.

    `left_out` is the number of older photos of the period that are not drawn.
    """

    dots: list[Dot]
    values: list[Tick]
    threshold_y: float | None
    left_out: int


@dataclass(frozen=True)
class Bar:
    """A rectangle of one series."""

    x: float
    y: float
    width: float
    height: float
    series: int
    text: str


@dataclass(frozen=True)
class Bars:
    """Stacked bars over time; `names` are those of the series, in order."""

    bars: list[Bar]
    values: list[Tick]
    names: list[str]


@dataclass(frozen=True)
class Lines:
    """Shares over time: `paths` are pairs of a name and an SVG path, with gaps where nothing was measured."""

    paths: list[tuple[str, str]]
    dots: list[Dot]
    values: list[Tick]


def scatter(observed: Sequence[Point], threshold: float | None, axis: TimeAxis) -> Scatter:
    """Plot the confidence of the newest MAX_DOTS photos of the period, `observed` oldest first.

    The scale is the logit, so that the range from 0.95 to 1, where the threshold is, has room. A confidence outside of
    the axis is drawn at its end.
    """
    shown = [point for point in observed if axis.covers(point.at)]
    dots = [
        Dot(
            axis.x(point.at),
            confidence_y(point.confidence),
            _kind(point),
            f"{point.vehicle} {point.confidence:.3f}, {point.at:%d %b %H:%M}",
            point.photo_id,
        )
        for point in shown[-MAX_DOTS:]
    ]
    return Scatter(
        dots,
        [Tick(confidence_y(level), f"{level:g}") for level in _CONFIDENCES],
        None if threshold is None else confidence_y(threshold),
        len(shown) - len(dots),
    )


def confidence_y(confidence: float) -> float:
    """Return the coordinate of a confidence on the logit axis."""
    least, most = _logit(_CONFIDENCES[0]), _logit(_CONFIDENCES[-1])
    inside = min(_CONFIDENCES[-1], max(_CONFIDENCES[0], confidence))
    return _y((_logit(inside) - least) / (most - least))


def class_mix(found: Sequence[Bucket], axis: TimeAxis) -> Bars:
    """Plot how many photos the model assigned to each class."""
    names = sorted({name for bucket in found for name in bucket.by_vehicle}, key=lambda name: (name == OTHER, name))
    most = max((bucket.photos for bucket in found), default=1) or 1
    step = max(1, -(-most // 4))
    top = -(-most // step) * step
    bars = []
    for bucket in found:
        left, right = axis.x(bucket.start), axis.x(bucket.start + axis.period.width)
        below = 0
        for series, name in enumerate(names):
            count = bucket.by_vehicle[name]
            if count:
                upper, lower = _y((below + count) / top), _y(below / top)
                text = f"{count} {name}, from {bucket.start:%d %b %H:%M} UTC"
                bars.append(Bar(left + 1, upper, max(1.0, right - left - 2), lower - upper, series, text))
            below += count
    return Bars(bars, [Tick(_y(value / top), f"{value:,}") for value in range(0, top + 1, step)], names)


def rates(found: Sequence[Bucket], axis: TimeAxis) -> Lines:
    """Plot the share of photos that were reviewed, and the share of those where the reviewer agreed with the model."""
    paths, dots = [], []
    for kind, name in (("review_rate", "reviewed"), ("agreement", "agreement")):
        parts, previous = [], None
        for bucket in found:
            value = getattr(bucket, kind)
            if value is not None:
                x, y = axis.x(bucket.start + axis.period.width / 2), _y(value)
                parts.append(f"{'M' if previous is None else 'L'}{x} {y}")
                dots.append(Dot(x, y, name, f"{name} {value:.0%}, from {bucket.start:%d %b %H:%M} UTC"))
            previous = value
        paths.append((name, "".join(parts)))
    return Lines(paths, dots, [Tick(_y(share / 4), f"{share / 4:.0%}") for share in range(5)])


def _kind(point: Point) -> str:
    if not point.reviewed:
        return "automatic"
    return {True: "agreed", False: "disagreed", None: "not-compared"}[point.agrees]


def _logit(share: float) -> float:
    return math.log(share / (1 - share))


def _y(share: float) -> float:
    return round(FRAME[3] - share * (FRAME[3] - TOP), 1)
