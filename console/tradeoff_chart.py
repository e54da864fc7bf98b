"""The trade-off as line charts: each error rate over the share decided automatically."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from console.drawing import Tick
from console.tradeoff import CHOSEN, IN_FORCE, OperatingPoint, TradeOff, format_percent, format_with_bound

WIDTH, HEIGHT = 480.0, 340.0
LEFT, RIGHT, TOP, BOTTOM = 72.0, 20.0, 44.0, 68.0
FRAME = (LEFT, TOP, WIDTH - RIGHT, HEIGHT - BOTTOM)
"""Left, top, right and bottom of the plotted area, in the SVG's units."""

_LIMITS_SHOWN = 5
"""The vertical axis ends at this multiple of the policy's limit."""


@dataclass(frozen=True)
class Mark:
    """An operating point on the curve; `y_upper` is the upper end of its interval, None when unknown."""

    x: float
    y: float
    y_upper: float | None
    kind: str
    text: str


@dataclass(frozen=True)
class Chart:
    """One chart: `line` and `upper` are SVG polyline points, the latter for the upper bounds.

    `limit_y` is the position of the policy's limit, None without a policy. `cut`: there are values above the axis.
    """

    title: str
    y_title: str
    line: str
    upper: str
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    limit_y: float | None
    limit: str
    marks: list[Mark]
    cut: bool


def charts(trade_off: TradeOff) -> list[Chart]:
    """Return the charts of both errors of the policy; a chart without values is left out."""
    policy = trade_off.policy
    found = (
        _chart(
            trade_off,
            "wrong",
            "Errors among automatic decisions",
            "Errors (% of automatic decisions)",
            policy.wrong_at_most if policy else None,
        ),
        _chart(
            trade_off,
            "others_accepted",
            "Non-vehicles let through",
            "Let through (% of non-vehicles)",
            policy.others_accepted_at_most if policy else None,
        ),
    )
    return [chart for chart in found if chart]


def _chart(trade_off: TradeOff, name: str, title: str, y_title: str, limit: float | None) -> Chart | None:
    values = [(point, value, upper) for point in trade_off.points for value, upper in [_values(point, name)]]
    known = [(point, value, upper) for point, value, upper in values if value is not None]
    if not known:
        return None
    marked = {CHOSEN: trade_off.at(trade_off.chosen), IN_FORCE: trade_off.at(trade_off.in_force)}
    if marked[IN_FORCE] is marked[CHOSEN]:
        del marked[IN_FORCE]
    largest = max(value if upper is None else upper for _, value, upper in known)
    most = largest
    if limit:
        ends = [end for point in marked.values() if point for end in _values(point, name) if end is not None]
        most = min(largest, max([_LIMITS_SHOWN * limit, *(1.1 * end for end in ends)]))
        most = max(most, 1.2 * limit)
    y_step = _step(most or 0.01)
    top = math.ceil(round((most or 0.01) / y_step, 6)) * y_step
    least = min(point.decided for point, _, _ in known)
    x_step = _step(max(0.01, 1 - least), 4)
    left = max(0.0, math.floor(round(least / x_step, 6)) * x_step)
    if left >= 1:
        left = 1 - x_step

    def x(decided: float) -> float:
        return round(LEFT + (decided - left) / (1 - left) * (FRAME[2] - LEFT), 1)

    def y(value: float) -> float:
        return round(FRAME[3] - value / top * (FRAME[3] - TOP), 1)

    def path(places: Sequence[tuple[float, float]]) -> str:
        return " ".join(f"{x(decided)},{y(value)}" for decided, value in places if value <= top)

    marks = []
    for kind, point in marked.items():
        value, upper = _values(point, name) if point else (None, None)
        if point and value is not None:
            shares = f"{format_with_bound(value, upper)}, {point.decided:.1%} decided"
            text = f"{kind}: threshold {point.threshold:.3f}, {shares}"
            marks.append(Mark(x(point.decided), y(value), None if upper is None else y(upper), _css_class(kind), text))
    return Chart(
        title,
        y_title,
        path([(point.decided, value) for point, value, _ in known]),
        path([(point.decided, upper) for point, _, upper in known if upper is not None]),
        [Tick(x(left + i * x_step), format_percent(left + i * x_step)) for i in range(round((1 - left) / x_step) + 1)],
        [Tick(y(i * y_step), format_percent(i * y_step)) for i in range(round(top / y_step) + 1)],
        y(limit) if limit is not None else None,
        format_percent(limit) if limit is not None else "",
        marks,
        largest > top,
    )


def _values(point: OperatingPoint, name: str) -> tuple[float | None, float | None]:
    return getattr(point, name), getattr(point, f"{name}_upper")


def _css_class(kind: str) -> str:
    return kind.replace(" ", "-")


def _step(span: float, ticks: int = 5) -> float:
    """Return a tick distance of 1, 2 or 5 times a power of ten that divides a span into about `ticks` parts.

    >>> _step(0.05), _step(0.4), _step(0.13)
    (0.01, 0.1, 0.05)
    """
    power = 10.0 ** math.floor(math.log10(span / ticks))
    return round(next(power * factor for factor in (1, 2, 5, 10) if power * factor >= span / ticks - 1e-9), 9)
