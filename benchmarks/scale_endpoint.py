"""The instances of an endpoint with target tracking, and what limits count."""

from dataclasses import dataclass
from heapq import heappop, heappush
from math import ceil, inf

_MINUTE = 60.0


@dataclass(frozen=True)
class Scaling:
    """Target tracking of requests per instance and minute, between two numbers of instances.

    Sources: the policy of workflows/scaling_steps.py for the target and the cooldowns; AWS re:Post, "SageMaker
    Autoscaling delay", for the alarms of target tracking: three minutes above the target, or fifteen below 90% of it.
    An instance takes requests `start_s` seconds after its request, which is `metric_s` after the minute it is due to.
    """

    min_instances: int
    max_instances: int
    target_per_minute: float = inf
    out_cooldown_s: float = 300.0
    in_cooldown_s: float = 600.0
    metric_s: float = 60.0
    start_s: float = 300.0

    OUT_MINUTES = 3
    IN_MINUTES = 15
    IN_SHARE = 0.9


@dataclass
class Limit:
    """How often a limit refused a request, and when first, in seconds from the start; `peak` is its largest use."""

    refusals: int = 0
    first_at: float | None = None
    peak: float = 0.0

    def refuse(self, at: float) -> None:
        """Count a refusal."""
        self.refusals += 1
        if self.first_at is None:
            self.first_at = at


class Endpoint:
    """The instances of the endpoint, each with the times at which its cores are free and its requests end."""

    def __init__(self, scaling: Scaling, instances: int, workers: int = 1, in_flight: float = inf) -> None:
        """Begin with `instances`; each answers `workers` requests at a time and accepts `in_flight`."""
        self.scaling = scaling
        self.workers = workers
        self.in_flight = in_flight
        self.free = [[0.0] * workers for _ in range(instances)]
        self.ends: list[list[float]] = [[] for _ in range(instances)]
        self.history = [(0.0, instances)]
        self.desired = instances
        self.minute_ends = _MINUTE
        self.invocations = 0
        self.metric: list[float] = []
        self.ready: list[tuple[float, int]] = []
        self.changed_at = -inf

    def request(self, at: float, service_s: float, holding_s: float, chance: float, accepted: Limit) -> float | None:
        """Return when a request of `service_s` seconds is answered; None when its instance refuses it.

        `chance` in [0, 1) chooses the instance: SageMaker routes at random unless it is configured otherwise
        (ProductionVariantRoutingConfig in the SageMaker API Reference).
        """
        self.invocations += 1
        number = int(chance * len(self.free))
        ends, free = self.ends[number], self.free[number]
        while ends and ends[0] <= at:
            heappop(ends)
        if len(ends) >= self.in_flight:
            return None
        accepted.peak = max(accepted.peak, len(ends) + 1)
        answered = max(heappop(free), at) + service_s
        heappush(free, answered + holding_s)
        heappush(ends, answered)
        return answered

    def advance(self, at: float) -> None:
        """Apply the scaling policy at the end of each minute until `at`."""
        while at >= self.minute_ends:
            self._scale(self.minute_ends)
            self.minute_ends += _MINUTE

    def _scale(self, at: float) -> None:
        scaling = self.scaling
        while self.ready and self.ready[0][0] <= at:
            self._resize(*self.ready.pop(0))
        current = len(self.free)
        self.metric = [*self.metric[1 - scaling.IN_MINUTES :], self.invocations / current]
        self.invocations = 0
        target, recent = scaling.target_per_minute, self.metric[-scaling.OUT_MINUTES :]
        if len(recent) == scaling.OUT_MINUTES and min(recent) > target:
            wanted = min(scaling.max_instances, ceil(current * recent[-1] / target))
            if wanted > self.desired and at - self.changed_at >= scaling.out_cooldown_s:
                self._change(at, wanted, scaling.metric_s + scaling.start_s)
        elif len(self.metric) == scaling.IN_MINUTES and max(self.metric) < scaling.IN_SHARE * target:
            wanted = max(scaling.min_instances, ceil(current * max(self.metric) / target))
            if wanted < self.desired and at - self.changed_at >= scaling.in_cooldown_s:
                self._change(at, wanted, scaling.metric_s)

    def _change(self, at: float, wanted: int, delay_s: float) -> None:
        self.desired, self.changed_at = wanted, at
        self.ready.append((at + delay_s, wanted))

    def _resize(self, at: float, wanted: int) -> None:
        # Requests of an instance that is removed are answered; it gets no more.
        del self.free[wanted:], self.ends[wanted:]
        while len(self.free) < wanted:
            self.free.append([at] * self.workers)
            self.ends.append([])
        self.history.append((at, wanted))
