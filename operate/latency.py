"""Statistics of durations in milliseconds."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Latency:
    """Count, median, 95th percentile and maximum in milliseconds. Without values, all but the count are None."""

    count: int
    p50: float | None = None
    p95: float | None = None
    max: float | None = None

    @classmethod
    def of(cls, values: Sequence[float]) -> "Latency":
        """Summarize values in milliseconds, rounded to 0.1. The 95th percentile is one of the values.

        >>> Latency.of([1.0, 2.0, 3.0, 40.0])
        Latency(count=4, p50=2.5, p95=40.0, max=40.0)
        >>> Latency.of([])
        Latency(count=0, p50=None, p95=None, max=None)
        """
        if not values:
            return cls(0)
        ordered = sorted(values)
        p95 = _value_at(ordered, 95)
        return cls(len(ordered), round(statistics.median(ordered), 1), round(p95, 1), round(ordered[-1], 1))


def percentiles(values: Sequence[float], percents: Sequence[int] = (50, 90, 95, 99)) -> dict[str, float | None]:
    """Return percentiles and the maximum of values in milliseconds, rounded to 0.1; None without values.

    Each is one of the values.

    >>> percentiles([40.0, 1.0, 2.0, 3.0], (50, 99))
    {'p50': 3.0, 'p99': 40.0, 'max': 40.0}
    """
    ordered = sorted(values)
    found = {f"p{percent}": round(_value_at(ordered, percent), 1) if ordered else None for percent in percents}
    return {**found, "max": round(ordered[-1], 1) if ordered else None}


def _value_at(ordered: Sequence[float], percent: int) -> float:
    return ordered[min(len(ordered) - 1, percent * len(ordered) // 100)]
