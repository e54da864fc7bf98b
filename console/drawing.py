"""The plots of the Model page as coordinates of SVG elements, which the template draws."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from console.monitoring import Bucket, Point
from functions.shared.vehicles import OTHER

WIDTH, HEIGHT = 900.0, 300.0
LEFT, RIGHT, TOP, BOTTOM = 60.0, 14.0, 16.0, 36.0
_TICKS = 6


@dataclass(frozen=True)
class Dot:
    """A point at (x, y). `kind` is its CSS class, `text` its tooltip."""

    x: float
    y: float
    kind: str
    text: str


@dataclass(frozen=True)
class Tick:
    """A tick of an axis at a coordinate."""

    at: float
    text: str


@dataclass(frozen=True)
class Scatter:
    """Confidence over time. `threshold_y` is the position of the threshold line, None without a threshold."""

    dots: list[Dot]
    times: list[Tick]
    values: list[Tick]
    threshold_y: float | None


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
    times: list[Tick]
    values: list[Tick]
    names: list[str]


@dataclass(frozen=True)
class Lines:
    """Shares over time: `paths` are pairs of a name and SVG polyline points; `dots` mark the values."""

    paths: list[tuple[str, str]]
    dots: list[Dot]
    times: list[Tick]
    values: list[Tick]


def scatter(observed: Sequence[Point], threshold: float | None, lowest: float = 0.3) -> Scatter:
    """Plot the confidence of every photo over time; a confidence below `lowest` is drawn at `lowest`."""
    start, end = _span([point.at for point in observed])

    def y(value: float) -> float:
        return _y((max(lowest, value) - lowest) / (1 - lowest))

    dots = [
        Dot(
            _x((point.at - start) / (end - start)),
            y(point.confidence),
            _kind(point),
            f"{point.vehicle} {point.confidence:.2f}, {point.at:%d %b %H:%M}",
        )
        for point in observed
    ]
    levels = [lowest + (1 - lowest) * i / 7 for i in range(8)]
    return Scatter(
        dots,
        _times(start, end),
        [Tick(y(level), f"{level:.1f}") for level in levels],
        None if threshold is None else y(threshold),
    )


def class_mix(found: Sequence[Bucket]) -> Bars:
    """Plot how many photos the model assigned to each class."""
    names = sorted({name for bucket in found for name in bucket.by_vehicle}, key=lambda name: (name == OTHER, name))
    most = max((bucket.photos for bucket in found), default=1) or 1
    width = (WIDTH - LEFT - RIGHT) / max(1, len(found))
    bars = []
    for i, bucket in enumerate(found):
        below = 0
        for series, name in enumerate(names):
            count = bucket.by_vehicle[name]
            if count:
                top, bottom = _y((below + count) / most), _y(below / most)
                text = f"{count} {name}, from {bucket.start:%d %b %H:%M}"
                bars.append(Bar(LEFT + i * width + 2, top, max(1.0, width - 4), bottom - top, series, text))
            below += count
    start, end = _span([bucket.start for bucket in found])
    step = max(1, -(-most // 4))
    values = [Tick(_y(value / most), str(value)) for value in range(0, most + 1, step)]
    return Bars(bars, _times(start, end), values, names)


def rates(found: Sequence[Bucket]) -> Lines:
    """Plot the share of photos that were reviewed, and the share of those where the reviewer agreed with the model."""
    start, end = _span([bucket.start for bucket in found])
    paths, dots = [], []
    for kind, name in (("review_rate", "reviewed"), ("agreement", "agreement")):
        row = [(bucket.start, getattr(bucket, kind)) for bucket in found]
        places = [(_x((at - start) / (end - start)), _y(value), value, at) for at, value in row if value is not None]
        paths.append((name, " ".join(f"{x:.1f},{y:.1f}" for x, y, _, _ in places)))
        dots += [Dot(x, y, name, f"{name} {value:.0%}, from {at:%d %b %H:%M}") for x, y, value, at in places]
    values = [Tick(_y(share / 4), f"{share / 4:.0%}") for share in range(5)]
    return Lines(paths, dots, _times(start, end), values)


def _kind(point: Point) -> str:
    if not point.reviewed:
        return "automatic"
    return {True: "agreed", False: "disagreed", None: "not-compared"}[point.agrees]


def _span(times: Sequence[datetime]) -> tuple[datetime, datetime]:
    start, end = min(times), max(times)
    return (start, end) if end > start else (start - timedelta(minutes=1), end + timedelta(minutes=1))


def _x(share: float) -> float:
    return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)


def _y(share: float) -> float:
    return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)


def _times(start: datetime, end: datetime) -> list[Tick]:
    days = (end - start) / timedelta(days=1)
    pattern = "%d %b" if days > 3 else "%d %b %H:%M" if days > 1 else "%H:%M" if days > 0.02 else "%H:%M:%S"
    return [
        Tick(_x(i / (_TICKS - 1)), f"{(start + (end - start) * i / (_TICKS - 1)).astimezone():{pattern}}")
        for i in range(_TICKS)
    ]
