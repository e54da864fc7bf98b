"""Reviewers as a queue: first come, first served, and nobody answers a request that has timed out."""

from collections.abc import Sequence
from heapq import heappop, heappush
from math import inf

import numpy as np

from benchmarks.scale_engine import Floats

_IN_TIME = 0.95


def review(requests: Sequence[float], durations: Sequence[float], people: int, timeout_s: float = inf) -> Floats:
    """Return the seconds from each request to its answer, with `people` reviewers; infinity without one in time.

    `durations` are those of the answers. Requests are answered in the order of arrival; those that timed out before
    are skipped.
    """
    free = [0.0] * people
    waits = np.full(len(requests), inf)
    for number, (at, duration) in enumerate(zip(requests, durations, strict=True)):
        begins = max(free[0], at)
        if begins - at > timeout_s:
            continue
        heappop(free)
        heappush(free, begins + duration)
        if begins + duration - at <= timeout_s:
            waits[number] = begins + duration - at
    return waits


def reviewers_needed(requests: Sequence[float], durations: Sequence[float], timeout_s: float, p95_s: float) -> int:
    """Return the least number of reviewers, to 1%, who answer 95% of the requests within `p95_s` seconds each."""

    def suffices(people: int) -> bool:
        return bool(np.mean(review(requests, durations, people, timeout_s) <= p95_s) >= _IN_TIME)

    if not len(requests):
        return 0
    # The work that must be done in this time; the search begins at half of the people that it occupies.
    work = sum(durations) / (requests[-1] - requests[0] + p95_s)
    low, high = 0, max(1, int(work / 2))
    while not suffices(high):
        low, high = high, high * 2
    while high - low > max(1, high // 100):
        middle = (low + high) // 2
        low, high = (low, middle) if suffices(middle) else (middle, high)
    return high
