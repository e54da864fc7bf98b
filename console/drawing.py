"""The Model page's pictures, drawn on the server as SVG elements: shapes for a template, styled by the style sheet."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from console.monitoring import Bucket, Point

WIDTH, HEIGHT = 900.0, 300.0
LEFT, RIGHT, TOP, BOTTOM = 60.0, 14.0, 16.0, 36.0
_TICKS = 6


@dataclass(frozen=True)
class Dot:
    """A photo at (x, y), of a `kind` that the style sheet knows, with a text for whoever points at it."""

    x: float
    y: float
    kind: str
    text: str


@dataclass(frozen=True)
class Tick:
    """A mark on an axis."""

    at: float
    text: str


@dataclass(frozen=True)
class Scatter:
    """Confidence over time. `threshold_y` is where the threshold line lies, None when there is none."""

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
    """Stacked bars over time, with `names` of the series in their order."""

    bars: list[Bar]
    times: list[Tick]
    values: list[Tick]
    names: list[str]


@dataclass(frozen=True)
class Lines:
    """Shares over time: `paths` are SVG polyline points by name, with a dot for each value."""

    paths: list[tuple[str, str]]
    dots: list[Dot]
    times: list[Tick]
    values: list[Tick]


def scatter(observed: Sequence[Point], threshold: float | None, lowest: float = 0.3) -> Scatter:
    """Every photo's confidence over time; what is below `lowest` sits on the floor."""
    start, end = _span([point.at for point in observed])

    def y(value: float) -> float:
        return _y((max(lowest, value) - lowest) / (1 - lowest))

    dots = [
        Dot(
            _x((point.at - start) / (end - start)),
            y(point.confidence),
            "alone" if not point.reviewed else "unjudged" if point.agrees is None else _verdict(point.agrees),
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
    """How many photos of each class the model saw."""
    names = sorted({name for bucket in found for name in bucket.by_vehicle}, key=lambda name: (name == "other", name))
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
    """The share of photos that went to a person, and the share of those where the person agreed."""
    start, end = _span([bucket.start for bucket in found])
    paths, dots = [], []
    for kind, name in (("review_rate", "review"), ("agreement", "agreement")):
        row = [(bucket.start, getattr(bucket, kind)) for bucket in found]
        places = [(_x((at - start) / (end - start)), _y(value), value, at) for at, value in row if value is not None]
        paths.append((name, " ".join(f"{x:.1f},{y:.1f}" for x, y, _, _ in places)))
        dots += [Dot(x, y, name, f"{name} {value:.0%}, from {at:%d %b %H:%M}") for x, y, value, at in places]
    values = [Tick(_y(share / 4), f"{share / 4:.0%}") for share in range(5)]
    return Lines(paths, dots, _times(start, end), values)


def _verdict(agrees: bool) -> str:
    return "agreed" if agrees else "disagreed"


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
