"""Simulate photos on their way through EventBridge, Step Functions, Lambda and the endpoint.

A discrete-event simulation of ClassifyPhoto with its retriers: photos arrive whether or not earlier ones are answered.
The queues of an instance are first come, first served, so the end of a request is known when it arrives.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from math import inf

import numpy as np
from numpy.typing import NDArray

from benchmarks.scale_endpoint import Endpoint, Limit, Scaling

Floats = NDArray[np.float64]
Sampler = Callable[[np.random.Generator, int], Floats]

# What became of a photo.
MODEL, UNSURE, ERROR = 0, 1, 2
STARTS, CONCURRENCY, REQUESTS, TIMEOUT, WRITES = (
    "StartExecution per second",
    "concurrent Lambda executions",
    "requests at the instances",
    "read timeout of the endpoint",
    "write units of one index key",
)
_START, _INVOKE, _REQUEST = 0, 1, 2
# The retriers of System.
REDELIVERY, THROTTLED, UNAVAILABLE = "redelivery", "throttled", "unavailable"
_BLOCK = 4096


@dataclass(frozen=True)
class Retrier:
    """Retries whose delay doubles from `interval_s` up to `max_delay_s` seconds, with full jitter."""

    interval_s: float
    max_attempts: float
    max_delay_s: float

    def delay(self, retries: int, chance: float) -> float:
        """Return the seconds before the next retry after `retries` of them; `chance` is uniform in [0, 1)."""
        return chance * float(min(self.max_delay_s, self.interval_s * 2.0 ** min(retries, 30)))


@dataclass(frozen=True)
class System:
    """What photos go through. Durations in seconds; `service` draws those of one request on one core of an instance.

    `workers` requests are answered by an instance at a time and `in_flight` are accepted. `unsure` is the share of the
    answers that go to review. `holding` draws for how long a core stays busy after an answer.
    """

    scaling: Scaling
    service: Sampler
    workers: int = 2
    in_flight: float = inf
    read_timeout_s: float = inf
    holding: Sampler | None = None
    event_s: float = 0.0
    before_s: float = 0.0
    after_s: float = 0.0
    cold_start_s: float = 0.0
    idle_s: float = inf
    concurrency: float = inf
    start_rate: float = inf
    start_burst: float = 0.0
    write_units_per_s: float = inf
    units_per_photo: float = 0.0
    unsure: float = 0.0
    unavailable: Retrier = Retrier(2, 4, 30)
    throttled: Retrier = Retrier(2, 6, 30)
    redelivery: Retrier = Retrier(1, inf, 60)


@dataclass
class Result:
    """What became of each photo, in the order of their arrivals.

    `answered_at` is when ClassifyPhoto ended, in seconds; `outcome` is MODEL, UNSURE or ERROR. `instances` has the
    times at which the number of instances changed, and that number.
    """

    arrived_at: Floats
    answered_at: Floats
    started_at: Floats
    outcome: NDArray[np.int8]
    instances: list[tuple[float, int]] = field(default_factory=list)
    limits: dict[str, Limit] = field(default_factory=dict)

    def waits(self, *outcomes: int) -> Floats:
        """Return the seconds from upload to answer of the photos with these outcomes, or of all of them."""
        chosen = np.isin(self.outcome, outcomes) if outcomes else slice(None)
        return (self.answered_at - self.arrived_at)[chosen]

    def count(self, outcome: int) -> int:
        """Return the number of photos with this outcome."""
        return int(np.count_nonzero(self.outcome == outcome))

    def sent_to_review(self) -> Floats:
        """Return when reviews were requested, in order, in seconds."""
        return np.sort(self.answered_at[self.outcome != MODEL])


def simulate(system: System, arrivals: Floats, seed: int, initial_instances: int | None = None) -> Result:
    """Simulate photos that are uploaded at `arrivals`, in ascending order, in seconds; return what became of each.

    The same seed gives the same result. `initial_instances` is by default the least number.
    """
    return _Run(system, arrivals, seed, initial_instances or system.scaling.min_instances).run()


class _Run:
    """One simulation and its state."""

    def __init__(self, system: System, arrivals: Floats, seed: int, instances: int) -> None:
        self.system = system
        self.arrivals = arrivals
        chance, service, sure, holding = (np.random.default_rng([seed, number]) for number in range(4))
        self.chance = _values(lambda rng, count: rng.random(count), chance)
        self.service = _values(system.service, service)
        self.holding = _values(system.holding, holding) if system.holding else None
        self.is_unsure = (sure.random(len(arrivals)) < system.unsure).tolist()
        self.events: list[tuple[float, int, int, int]] = []
        self.sequence = 0
        self.retries: dict[tuple[int, str], int] = {}
        self.retriers = {
            REDELIVERY: system.redelivery,
            THROTTLED: system.throttled,
            UNAVAILABLE: system.unavailable,
        }
        count = len(arrivals)
        self.answered = [0.0] * count
        self.started = [0.0] * count
        self.outcome = np.zeros(count, np.int8)
        self.limits = {name: Limit() for name in (STARTS, CONCURRENCY, REQUESTS, TIMEOUT, WRITES)}
        self.tokens, self.tokens_at = system.start_burst, 0.0
        self.lambda_ends: list[float] = []
        self.starting = 0
        self.idle: list[float] = []
        self.written: dict[int, float] = {}
        self.endpoint = Endpoint(system.scaling, instances, system.workers, system.in_flight)

    def run(self) -> Result:
        """Process events in the order of time until every photo is answered."""
        due = (self.arrivals + self.system.event_s).tolist()
        number, count, events, endpoint = 0, len(due), self.events, self.endpoint
        while number < count or events:
            if events and (number == count or events[0][0] <= due[number]):
                at, _, photo, kind = heappop(events)
            else:
                at, photo, kind = due[number], number, _START
                number += 1
            endpoint.advance(at)
            if kind == _REQUEST:
                self.starting -= 1
                self._request(at, photo)
            elif kind == _INVOKE or self._start(at, photo):
                self._invoke(at, photo)
        return Result(
            self.arrivals, np.array(self.answered), np.array(self.started), self.outcome, endpoint.history, self.limits
        )

    def _push(self, at: float, photo: int, kind: int) -> None:
        self.sequence += 1
        heappush(self.events, (at, self.sequence, photo, kind))

    def _start(self, at: float, photo: int) -> bool:
        """Take a token for an execution; without one, EventBridge delivers the event again later."""
        rate = self.system.start_rate
        if rate != inf:
            self.tokens = min(self.system.start_burst, self.tokens + (at - self.tokens_at) * rate)
            self.tokens_at = at
            if self.tokens < 1:
                self.limits[STARTS].refuse(at)
                self._retry(at, photo, _START, REDELIVERY)
                return False
            self.tokens -= 1
        self.started[photo] = at
        return True

    def _invoke(self, at: float, photo: int) -> None:
        """Find an execution environment of ClassifyPhoto, or start one."""
        while self.lambda_ends and self.lambda_ends[0] <= at:
            self.idle.append(heappop(self.lambda_ends))
        busy = len(self.lambda_ends) + self.starting
        limit = self.limits[CONCURRENCY]
        if busy >= self.system.concurrency:
            limit.refuse(at)
            self._retry(at, photo, _INVOKE, THROTTLED)
            return
        if busy >= limit.peak:
            limit.peak = busy + 1
        if self.idle and at - self.idle[-1] <= self.system.idle_s:
            self.idle.pop()
            self._request(at, photo)
            return
        self.idle.clear()
        self.starting += 1
        self._push(at + self.system.cold_start_s, photo, _REQUEST)

    def _request(self, at: float, photo: int) -> None:
        """Invoke the endpoint, and record the answer."""
        system = self.system
        asked = at + system.before_s
        holding = next(self.holding) if self.holding else 0.0
        answered = self.endpoint.request(asked, next(self.service), holding, next(self.chance), self.limits[REQUESTS])
        refused_by = "" if answered is not None else REQUESTS
        if answered is None:
            done = asked
        elif answered - asked > system.read_timeout_s:
            done, refused_by = asked + system.read_timeout_s, TIMEOUT
        else:
            done = answered + system.after_s
            if system.units_per_photo:
                second = int(done)
                units = self.written.get(second, 0.0) + system.units_per_photo
                if units > system.write_units_per_s:
                    refused_by = WRITES
                else:
                    self.written[second] = units
                    self.limits[WRITES].peak = max(self.limits[WRITES].peak, units)
        heappush(self.lambda_ends, done)
        if refused_by:
            self.limits[refused_by].refuse(done)
            self._retry(done, photo, _INVOKE, UNAVAILABLE)
            return
        self.answered[photo] = done
        self.outcome[photo] = UNSURE if self.is_unsure[photo] else MODEL

    def _retry(self, at: float, photo: int, kind: int, name: str) -> None:
        """Try a photo again after the delay of the retrier; when it has no retries left, send it to review."""
        retrier, key = self.retriers[name], (photo, name)
        retries = self.retries.get(key, 0)
        if retries >= retrier.max_attempts:
            self.answered[photo] = at
            self.outcome[photo] = ERROR
            return
        self.retries[key] = retries + 1
        self._push(at + retrier.delay(retries, next(self.chance)), photo, kind)


def _values(draw: Sampler, rng: np.random.Generator) -> Iterator[float]:
    """Yield random numbers without end, drawn in blocks."""
    while True:
        yield from draw(rng, _BLOCK).tolist()
