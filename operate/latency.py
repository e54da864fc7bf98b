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
        p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
        return cls(len(ordered), round(statistics.median(ordered), 1), round(p95, 1), round(ordered[-1], 1))
