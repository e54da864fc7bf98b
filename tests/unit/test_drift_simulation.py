"""The simulation of the drift watch, on invented answers: the short form of `make simulate-drift`."""

import numpy as np
import pytest

from benchmarks.drift import WINDOW_DAYS, delays, false_alarms
from benchmarks.drift_photos import DRIFTS, LIGHTS, NEW_CLASS, Answers, to_night
from benchmarks.drift_streams import Pool, Stream
from functions.shared.drift import Observation

LIMIT = 0.25


@pytest.fixture(scope="module")
def pool() -> Pool:
    """Answers to photos whose brightness and sharpness are changed by a drift, and the confidence a little."""
    rng = np.random.default_rng(0)
    answers: Answers = {}
    for drift in ("", *DRIFTS):
        for is_vehicle in (True, False):
            for light in LIGHTS:
                answers[drift, is_vehicle, light] = [
                    invent(rng, drift, light, is_vehicle, number) for number in range(60)
                ]
    return Pool.of(answers)


def invent(rng: np.random.Generator, drift: str, light: float, is_vehicle: bool, number: int) -> Observation:
    dark = {"darkened": 0.4, "night": 0.12}.get(drift, 1.0)
    sharp = 0.4 if drift == "blurred" else 1.0
    confidence = float(1 - rng.exponential(0.02 if is_vehicle else 0.1))
    vehicle = ("bicycle" if number < 30 else "motorcycle") if is_vehicle else "other"
    return {
        "confidence": confidence,
        "vehicle": vehicle,
        "other": "no" if is_vehicle else "yes",
        "review": "yes" if confidence < 0.9 or not is_vehicle else "no",
        "brightness": float(np.clip(rng.normal(0.5, 0.16) * light * dark, 0, 1)),
        "sharpness": float(rng.lognormal(-2, 0.3) * sharp),
        "size": 4000,
        "aspect": float(rng.choice([0.75, 1.33])),
    }


@pytest.mark.parametrize("look_days", [1, WINDOW_DAYS])
def test_a_stream_that_does_not_change_raises_at_most_one_alarm_a_year(pool: Pool, look_days: int) -> None:
    found = false_alarms(pool, 100, look_days, 12, LIMIT, seed=1)
    assert found["looks"] == 12 * (365 // look_days)
    assert found["alarms"] <= 12


@pytest.mark.parametrize("drift", DRIFTS)
def test_a_large_drift_is_announced_within_two_periods(pool: Pool, drift: str) -> None:
    assert delays(pool, 150, drift, 20, LIMIT, seed=2)["within_two"] == 1.0


def test_vehicles_of_a_new_class_are_announced_within_a_window(pool: Pool) -> None:
    found = delays(pool, 150, NEW_CLASS, 20, LIMIT, seed=3)
    assert found["within_seven"] >= 0.7
    assert {"other", "vehicle", "review"} & set(found["statistics"])


def test_the_days_of_a_stream_differ_in_light(pool: Pool) -> None:
    """Else the simulation would be of photos that are independent, for which the theory alone would do."""
    stream = Stream(pool, np.random.default_rng(4))
    means = [np.mean([pool.observations[row]["brightness"] for row in stream.photos(500)]) for _ in range(100)]
    assert np.std(means) > 0.02 > 0.1 / np.sqrt(500)


def test_night_is_darker_and_has_no_colour() -> None:
    night = to_night(np.full((8, 8, 3), [200, 100, 50], dtype=np.uint8))
    assert night.mean() < 25
