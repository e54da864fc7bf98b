"""What the scale simulation assumes: the stage of this checkout on AWS, days and bursts of photos, and reviewers.

Measured are the durations of docs/performance.md and the settings of the checkout. Quotas are those of
operate/prices.json, with their sources. Assumed, because nothing has run on a real account, is what ASSUMED has.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from math import inf
from typing import Any

import numpy as np

import workflows
from benchmarks.scale_endpoint import Scaling
from benchmarks.scale_engine import Floats, Retrier, Sampler, System
from container.app import MAX_IN_FLIGHT
from deploy.templates import load_template
from operate.cost_model import Cost, read_usage
from operate.cost_stage import of_checkout

DAY_S = 86400.0
HOUR_S = 3600.0
ASSUMED: Mapping[str, tuple[float, str]] = {
    "event_s": (0.5, "from upload to ClassifyPhoto: EventBridge alone is said to take about half a second"),
    "metric_s": (60, "a metric of SageMaker reaches its alarm a minute after its own minute"),
    "instance_start_s": (300, "until an instance takes requests; users report three to five minutes and more"),
    "idle_s": (600, "Lambda keeps an idle execution environment; AWS does not say how long"),
    "service_cv": (0.25, "standard deviation of the CPU time of a photo, as a share of its mean"),
    "review_cv": (0.5, "standard deviation of the time of an answer of a reviewer, as a share of its mean"),
    "redelivery_max_s": (
        900,
        "delays of EventBridge double up to this, at random: 185 of them take about a day",
    ),
}
# docs/performance.md: CPU time of a photo of 12 megapixels; ClassifyPhoto with a JPEG (34.6 ms), of it the endpoint
# (18.4 ms), of the rest a third before the request; cold start of a handler and of the empty one.
SERVICE_S, BEFORE_S, AFTER_S, COLD_START_S = 0.059, 0.006, 0.010, 0.278
# ml.m5.large has two vCPUs, and the server a process for each.
CORES = 2
READ_TIMEOUT_S = 15.0
"""Of the client in functions/classify_photo/handler.py."""

# Photos of each hour of the day over the mean; an assumption with the peak of usage.json (busiest_hour).
PROFILE = (
    *(0.1, 0.05, 0.05, 0.05, 0.05, 0.1, 0.3, 0.6, 0.8, 0.7, 0.8, 1.3),
    *(2.0, 1.7, 1.0, 0.8, 1.0, 1.7, 3.0, 2.9, 2.3, 1.5, 0.8, 0.4),
)
REVIEW_P95_S = 60.0
"""Reviewers suffice when they answer 95% of the requests within this time."""


@dataclass(frozen=True)
class Load:
    """Photos per day with the daily profile from hour `begins` to hour `ends`, and a burst within a minute."""

    name: str
    photos_per_day: float
    begins: float = 0.0
    ends: float = 24.0
    burst: int = 0
    burst_hour: float = 12.0

    def arrivals(self, rng: np.random.Generator) -> Floats:
        """Return the times of upload in ascending order, in seconds from `begins`."""
        minutes = np.arange(self.begins * 60, self.ends * 60 + 1)
        per_minute = self.photos_per_day / (24 * 60) * profile(minutes / 60)
        expected = np.concatenate([[0.0], np.cumsum((per_minute[1:] + per_minute[:-1]) / 2)])
        count = rng.poisson(expected[-1])
        times = np.interp(rng.random(count) * expected[-1], expected, (minutes - minutes[0]) * 60)
        at = (self.burst_hour - self.begins) * HOUR_S
        return np.sort(np.concatenate([times, at + rng.random(self.burst) * 60]))

    def first_rate(self) -> float:
        """Return the photos per second at the beginning."""
        return self.photos_per_day / DAY_S * float(profile(np.array([self.begins]))[0])


# The busiest hour begins at 18:00. Of the largest day only an hour and a half is simulated, which takes minutes.
LOADS = (
    Load("1,000 a day", 1e3),
    Load("100,000 a day", 1e5),
    Load("10,000,000 a day", 1e7, begins=17.5, ends=19.0),
    Load("10,000 in a minute", 1e3, begins=11.0, ends=14.0, burst=10_000),
)


def profile(hours: Floats) -> Floats:
    """Return the rate at these hours of the day over its mean, interpolated between the middles of the hours."""
    middles = np.arange(-1, 25) + 0.5
    values = np.array([PROFILE[-1], *PROFILE, PROFILE[0]])
    found: Floats = np.interp(hours % 24, middles, values * (24 / sum(PROFILE)))
    return found


def lognormal(mean_s: float, cv: float) -> Sampler:
    """Return the sampler of a lognormal distribution with this mean and coefficient of variation."""
    sigma = float(np.sqrt(np.log1p(cv**2)))

    def draw(rng: np.random.Generator, count: int) -> Floats:
        return rng.lognormal(np.log(mean_s) - sigma**2 / 2, sigma, count)

    return draw


def review_durations() -> Sampler:
    """Return the sampler of the seconds in which a reviewer answers."""
    return lognormal(float(read_usage()["review_s"]["value"]), ASSUMED["review_cv"][0])


def review_timeout_s() -> float:
    """Return after how many seconds a driver is sent to the help desk by default."""
    return float(load_template("app")["Parameters"]["ReviewTimeoutSeconds"]["Default"])


@cache
def default_system() -> System:
    """Return the stage that this checkout deploys with default settings in eu-west-1."""
    usage = read_usage()
    stage = of_checkout(usage["lambda_ms"]["of"])
    cost = Cost(stage, photos_per_day=1)
    quotas = {name: float(quota["limit"]) for name, quota in cost.prices["quotas"].items()}
    retriers = stage.definition["States"]["ClassifyPhoto"]["Retry"]
    return System(
        scaling=_scaling(stage.min_instances, stage.target_per_minute),
        service=lognormal(SERVICE_S, ASSUMED["service_cv"][0]),
        workers=CORES,
        in_flight=CORES * MAX_IN_FLIGHT,
        read_timeout_s=READ_TIMEOUT_S,
        event_s=ASSUMED["event_s"][0],
        before_s=BEFORE_S,
        after_s=AFTER_S,
        cold_start_s=COLD_START_S,
        idle_s=ASSUMED["idle_s"][0],
        concurrency=quotas["lambda_concurrency"],
        start_rate=quotas["executions_per_s"],
        # The bucket of the same quota, in its `source`.
        start_burst=1300,
        write_units_per_s=quotas["dynamodb_index_key_units_per_s"],
        units_per_photo=cost.key_units,
        unsure=float(usage["shares"]["of"]["reviewer"]),
        unavailable=_retrier(retriers, "ModelUnavailable"),
        throttled=_retrier(retriers, "Lambda.TooManyRequestsException"),
        redelivery=Retrier(1, inf, ASSUMED["redelivery_max_s"][0]),
    )


def transitions_per_photo() -> float:
    """Return the state transitions of a photo."""
    return Cost(of_checkout(read_usage()["lambda_ms"]["of"]), photos_per_day=1).transitions


def _scaling(min_instances: int, target: float) -> Scaling:
    """Return the policy that the workflow sets, with the limits of the template."""
    asl = json.loads(workflows.asl_path("retrain-model").read_text(encoding="utf-8"))
    policy = asl["States"]["SetScalingPolicy"]["Parameters"]["TargetTrackingScalingPolicyConfiguration"]
    return Scaling(
        min_instances=min_instances,
        max_instances=int(load_template("app")["Parameters"]["EndpointMaxInstances"]["Default"]),
        target_per_minute=target,
        out_cooldown_s=float(policy["ScaleOutCooldown"]),
        in_cooldown_s=float(policy["ScaleInCooldown"]),
        metric_s=ASSUMED["metric_s"][0],
        start_s=ASSUMED["instance_start_s"][0],
    )


def _retrier(retriers: list[dict[str, Any]], error: str) -> Retrier:
    found = next(one for one in retriers if error in one["ErrorEquals"])
    return Retrier(found["IntervalSeconds"], found["MaxAttempts"], found["MaxDelaySeconds"])
