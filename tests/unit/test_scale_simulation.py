"""The simulation of many photos: against formulas of queueing theory, and what holds for every result."""

from dataclasses import replace
from math import factorial, inf

import numpy as np
import pytest

from benchmarks import scale_check, scale_model
from benchmarks.scale_endpoint import Endpoint, Limit, Scaling
from benchmarks.scale_engine import (
    CONCURRENCY,
    ERROR,
    MODEL,
    REQUESTS,
    STARTS,
    TIMEOUT,
    UNSURE,
    WRITES,
    Floats,
    Retrier,
    Sampler,
    System,
    simulate,
)
from benchmarks.scale_reviewers import review, reviewers_needed
from operate import load
from operate.cost_model import read_usage

ONE = Scaling(1, 1)


def exponential(mean_s: float) -> Sampler:
    return lambda rng, count: rng.exponential(mean_s, count)


def constant(seconds: float) -> Sampler:
    return lambda rng, count: np.full(count, seconds)


def poisson(rate: float, count: int, seed: int = 0) -> Floats:
    return np.cumsum(np.random.default_rng(seed).exponential(1 / rate, count))


def erlang_c(servers: int, load: float) -> float:
    """Return the probability of a wait in M/M/c; `load` is the arrival rate over the service rate of one server."""
    last = load**servers / factorial(servers) * servers / (servers - load)
    return last / (sum(load**number / factorial(number) for number in range(servers)) + last)


def limited(**limits: float) -> System:
    """A system in which each limit is one that some photos reach."""
    return replace(System(Scaling(2, 2), exponential(0.05), unsure=0.06), **limits)  # type: ignore[arg-type]


@pytest.mark.parametrize("utilisation", [0.3, 0.6, 0.8])
def test_one_core_waits_as_the_formula_of_m_m_1_says(utilisation: float) -> None:
    system = System(ONE, exponential(1.0), workers=1)
    waits = simulate(system, poisson(utilisation, 60_000), seed=1).waits()
    rate = 1 - utilisation  # the time in an M/M/1 system is exponential with this rate
    assert waits.mean() == pytest.approx(1 / rate, rel=0.05)
    assert np.percentile(waits, 95) == pytest.approx(np.log(20) / rate, rel=0.06)


@pytest.mark.parametrize(("servers", "utilisation"), [(2, 0.5), (2, 0.8), (4, 0.8), (16, 0.9)])
def test_several_cores_wait_as_the_formula_of_m_m_c_says(servers: int, utilisation: float) -> None:
    rate = servers * utilisation
    waits = simulate(System(ONE, exponential(1.0), workers=servers), poisson(rate, 60_000), seed=2).waits()
    queue = erlang_c(servers, rate) / (servers - rate)
    assert waits.mean() == pytest.approx(1 + queue, rel=0.05)


def test_constant_service_halves_the_wait_in_the_queue() -> None:
    waits = simulate(System(ONE, constant(1.0), workers=1), poisson(0.8, 60_000), seed=3).waits()
    assert waits.mean() - 1 == pytest.approx(0.8 / (2 * (1 - 0.8)), rel=0.05)  # Pollaczek and Khinchine, M/D/1


def test_random_routing_gives_each_instance_its_own_queue() -> None:
    system = System(Scaling(4, 4), exponential(1.0), workers=1)
    waits = simulate(system, poisson(4 * 0.6, 60_000), seed=4).waits()
    assert waits.mean() == pytest.approx(1 / (1 - 0.6), rel=0.05)  # four M/M/1, not one M/M/4


def test_reviewers_wait_as_the_formula_of_m_m_c_says() -> None:
    requests = poisson(4.0, 40_000)
    durations = np.random.default_rng(5).exponential(1.0, len(requests))
    waits = review(requests.tolist(), durations.tolist(), people=5)
    assert waits.mean() == pytest.approx(1 + erlang_c(5, 4.0), rel=0.05)


LIMITS = {
    STARTS: limited(start_rate=20, start_burst=10),
    CONCURRENCY: limited(concurrency=3),
    REQUESTS: limited(in_flight=4),
    TIMEOUT: limited(read_timeout_s=0.2),
    WRITES: limited(write_units_per_s=100, units_per_photo=4.5),
}


@pytest.mark.parametrize("limit", LIMITS)
def test_every_photo_has_one_outcome_whatever_refuses_it(limit: str) -> None:
    result = simulate(LIMITS[limit], poisson(60, 6000), seed=6)
    assert result.limits[limit].refusals > 0
    assert result.limits[limit].first_at is not None
    assert sum(result.count(outcome) for outcome in (MODEL, UNSURE, ERROR)) == 6000
    assert (result.waits() > 0).all()
    assert len(result.sent_to_review()) == result.count(UNSURE) + result.count(ERROR)
    others = {name for name, other in result.limits.items() if other.refusals}
    assert others <= {limit}


def test_a_refused_start_is_delivered_again_and_never_sent_to_review() -> None:
    result = simulate(LIMITS[STARTS], poisson(60, 6000), seed=6)
    assert result.count(ERROR) == 0


def test_a_photo_is_sent_to_review_after_the_retries_of_its_retrier() -> None:
    system = System(ONE, constant(1e6), workers=1, in_flight=1, unavailable=Retrier(2, 4, 30))
    result = simulate(system, np.array([0.0, 1.0]), seed=7)
    assert result.outcome.tolist() == [MODEL, ERROR]
    assert result.limits[REQUESTS].refusals == 5
    assert result.waits(ERROR)[0] <= 2 + 4 + 8 + 16


def test_the_delay_of_a_retry_doubles_up_to_its_limit() -> None:
    retrier = Retrier(2, 4, 10)
    assert [retrier.delay(retries, 1.0) for retries in range(5)] == [2, 4, 8, 10, 10]
    assert retrier.delay(3, 0.5) == 5


@pytest.mark.parametrize("seed", range(3))
def test_more_instances_send_fewer_photos_to_review(seed: int) -> None:
    arrivals = poisson(150, 6000, seed)
    system = System(ONE, exponential(0.06), in_flight=64)
    refused = [
        simulate(replace(system, scaling=Scaling(number, number)), arrivals, seed).count(ERROR)
        for number in (1, 2, 4, 8)
    ]
    assert refused == sorted(refused, reverse=True)
    assert refused[0] > 0
    assert refused[-1] == 0


def test_more_photos_wait_longer() -> None:
    system = System(ONE, exponential(1.0))
    waits = [simulate(system, poisson(rate, 50_000), seed=8).waits().mean() for rate in (0.5, 1.0, 1.5, 1.9)]
    assert waits == sorted(waits)


def test_the_same_seed_gives_the_same_result_and_another_one_another() -> None:
    arrivals = poisson(30, 3000)
    first, again, other = (simulate(LIMITS[REQUESTS], arrivals, seed) for seed in (1, 1, 2))
    assert first.answered_at.tolist() == again.answered_at.tolist()
    assert first.outcome.tolist() == again.outcome.tolist()
    assert first.answered_at.tolist() != other.answered_at.tolist()


def test_a_photo_after_a_quiet_time_waits_for_a_cold_start() -> None:
    system = System(ONE, constant(0.1), cold_start_s=0.5, idle_s=600)
    waits = simulate(system, np.array([0.0, 10.0, 700.0]), seed=9).waits()
    assert waits.tolist() == pytest.approx([0.6, 0.1, 0.6])


def test_instances_are_added_after_three_minutes_above_the_target_and_their_start() -> None:
    system = System(Scaling(1, 10, target_per_minute=60, metric_s=60, start_s=300), constant(0.01))
    result = simulate(system, np.arange(0, 900, 1 / 3), seed=10)
    assert result.instances == [(0.0, 1), (3 * 60 + 60 + 300, 3)]


def test_instances_are_removed_after_fifteen_minutes_below_the_target() -> None:
    system = System(Scaling(1, 10, target_per_minute=60, metric_s=60), constant(0.01))
    result = simulate(system, np.arange(0, 1800, 2.0), seed=11, initial_instances=3)
    assert result.instances == [(0.0, 3), (15 * 60 + 60, 1)]


def test_scaling_stays_within_its_limits() -> None:
    system = System(Scaling(2, 4, target_per_minute=6, metric_s=0, start_s=0), constant(0.01))
    arrivals = np.concatenate([np.arange(0, 1200, 0.1), np.arange(1200, 6000, 60.0)])
    numbers = [number for _, number in simulate(system, arrivals, seed=12).instances]
    assert max(numbers) == 4
    assert numbers[-1] == 2


def test_an_instance_refuses_requests_above_its_limit() -> None:
    endpoint = Endpoint(ONE, 1, in_flight=2)
    answers = [endpoint.request(at, 1.0, 0.0, 0.0, Limit()) for at in (0.0, 0.1, 0.2, 1.0)]
    assert answers == [1.0, 2.0, None, 3.0]


def test_a_request_that_nobody_answers_in_time_occupies_no_reviewer() -> None:
    waits = review([0.0, 1.0, 2.0, 31.0], [30.0, 30.0, 30.0, 5.0], people=1, timeout_s=20)
    assert waits.tolist() == [inf, inf, inf, 5.0]


def test_the_number_of_reviewers_is_the_least_that_suffices() -> None:
    requests = poisson(2.0, 5000).tolist()
    durations = np.random.default_rng(13).exponential(5.0, 5000).tolist()
    people = reviewers_needed(requests, durations, timeout_s=900, p95_s=60)
    assert np.mean(review(requests, durations, people, 900) <= 60) >= 0.95
    assert np.mean(review(requests, durations, people - 1, 900) <= 60) < 0.95
    assert reviewers_needed([], [], 900, 60) == 0


def test_a_day_has_its_photos_and_the_busiest_hour_its_share() -> None:
    hours = np.arange(0, 24, 1 / 60)
    assert scale_model.profile(hours).mean() == pytest.approx(1, abs=0.01)
    assert scale_model.profile(hours).max() == pytest.approx(read_usage()["busiest_hour"]["value"], abs=0.01)
    load = scale_model.Load("", 100_000, burst=5000)
    arrivals = load.arrivals(np.random.default_rng(14))
    assert len(arrivals) == pytest.approx(105_000, rel=0.02)
    assert (np.diff(arrivals) >= 0).all()
    assert np.count_nonzero((arrivals >= 12 * 3600) & (arrivals <= 12 * 3600 + 60)) >= 5000


def test_the_default_system_has_the_settings_of_the_checkout() -> None:
    system = scale_model.default_system()
    assert (system.scaling.min_instances, system.scaling.max_instances) == (1, 2)
    assert (system.scaling.out_cooldown_s, system.scaling.in_cooldown_s) == (300, 600)
    assert system.unavailable == Retrier(2, 4, 30)
    assert system.throttled == Retrier(2, 6, 30)
    rng = np.random.default_rng(15)
    assert system.service(rng, 20_000).mean() == pytest.approx(scale_model.SERVICE_S, rel=0.02)


def test_the_model_of_the_embedded_aws_has_the_latency_and_the_throughput_of_its_calibration() -> None:
    latencies = np.random.default_rng(16).lognormal(np.log(0.025), 0.3, 200)
    model = scale_check.embedded(latencies, throughput=40, cores=2)
    slow = scale_check.predict(model, load.Plan(rate=1, count=200))
    assert slow == pytest.approx(scale_check.summary(latencies * 1000), rel=0.1)
    burst = simulate(model, np.zeros(400), seed=17)
    assert 400 / burst.waits().max() == pytest.approx(40, rel=0.05)


def test_a_rate_is_within_the_tolerance_when_both_percentiles_are() -> None:
    measured = {"p50": 40.0, "p95": 100.0}
    assert scale_check.compare(5, measured, {"p50": 44.0, "p95": 70.0})["error"] == {"p50": 0.1, "p95": -0.3}
    assert scale_check.compare(5, measured, {"p50": 49.0, "p95": 76.0})["within"]
    assert not scale_check.compare(5, measured, {"p50": 40.0, "p95": 74.0})["within"]
    assert not scale_check.compare(5, measured, {"p50": 51.0, "p95": 100.0})["within"]
