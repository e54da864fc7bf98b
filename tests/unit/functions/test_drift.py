"""Population stability indexes of small samples, and their limits."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy.stats import chi2

from functions.shared.drift import (
    STATISTICS,
    Comparison,
    Histogram,
    Observation,
    chi_squared_quantile,
    compare,
    compare_windows,
    describe,
    observe,
)
from functions.shared.photo import Photo
from functions.shared.photo_record import PhotoRecord


def brightness(values: Sequence[float]) -> list[Observation]:
    return [{"brightness": float(value)} for value in values]


def compared(values: Sequence[float], reference: Sequence[float], limit: float = 0.2) -> Comparison:
    known = describe("brightness", brightness(reference))
    assert known is not None
    found = compare("brightness", brightness(values), known, limit)
    assert found is not None
    return found


def record(confidence: float, vehicle: str = "bicycle", **more: object) -> PhotoRecord:
    classification = {"vehicle": vehicle, "confidence": confidence, "model_version": "m"}
    photo = Photo("uploads", "uploads/d/a.jpg", "e", 1)
    return PhotoRecord(photo, "classified", "t", "t", "x", classification=classification, **more)


def test_the_index_of_equal_distributions_is_small_and_of_different_ones_large() -> None:
    rng = np.random.default_rng(0)
    before = rng.normal(0.5, 0.1, 1000)
    same, dark = compared(rng.normal(0.5, 0.1, 500), before), compared(rng.normal(0.2, 0.1, 500), before)
    assert (same.drifts, same.represented) == (False, True)
    assert (dark.drifts, dark.represented) == (True, False)
    assert dark.psi > 2 > 0.1 > same.psi


def test_the_index_is_that_of_its_formula_with_half_a_photo_more_in_each_bin() -> None:
    known = Histogram(100, (0.75, 0.25), categories=("no", "yes"))
    found = compare("other", [{"other": "no"}] * 40 + [{"other": "yes"}] * 60, known, 0.2)
    assert found is not None
    p, q = 75.5 / 101, 40.5 / 101
    assert found.psi == pytest.approx((q - p) * math.log(q / p) + (p - q) * math.log((1 - q) / (1 - p)), abs=1e-4)
    assert found.change == "no: 75.0% before, 40.0% now"


@pytest.mark.parametrize("photos", [30, 100, 1000])
def test_few_photos_are_rarely_taken_for_a_drift(photos: int) -> None:
    """Without a practical limit, one comparison in 8,000 may be wrong by chance; an index of 0.2 alone would be."""
    rng = np.random.default_rng(1)
    looks = [compared(rng.random(photos), rng.random(1000), limit=0.0) for _ in range(1500)]
    assert sum(look.drifts for look in looks) <= 3
    if photos == 30:
        assert sum(look.psi > 0.2 for look in looks) > 750


def test_an_effect_without_importance_is_no_drift_however_many_photos_show_it() -> None:
    rng = np.random.default_rng(2)
    slightly = compared(rng.normal(0.52, 0.1, 50_000), rng.normal(0.5, 0.1, 50_000))
    assert slightly.psi > chi_squared_quantile(9, 0.9999) * 2 / 50_000
    assert not slightly.drifts


@pytest.mark.parametrize("freedom", [1, 2, 5, 9, 10])
@pytest.mark.parametrize("probability", [0.99, 0.999, 0.999875])
def test_quantiles_are_those_of_scipy(freedom: int, probability: float) -> None:
    assert chi_squared_quantile(freedom, probability) == pytest.approx(chi2.ppf(probability, freedom), rel=0.025)


def test_one_day_must_differ_more_than_a_whole_window() -> None:
    rng = np.random.default_rng(3)
    known = describe("brightness", brightness(rng.normal(0.5, 0.1, 1000)))
    assert known is not None
    week = brightness(rng.normal(0.5, 0.1, 900))
    for mean, drifts in ((0.56, False), (0.25, True)):
        day = brightness(rng.normal(mean, 0.1, 150))
        (found,) = compare_windows(week, day, {"brightness": known}, 0.25, 100)
        assert (found.drifts, found.photos) == (drifts, 150 if drifts else 1050)
    slightly = brightness(rng.normal(0.6, 0.1, 1050))
    (found,) = compare_windows(slightly[:900], slightly[900:], {"brightness": known}, 0.25, 100)
    assert (found.drifts, found.photos) == (True, 1050)
    assert compare_windows([], week[:50], {"brightness": known}, 0.25, 100) == []


def test_a_class_that_the_reference_lacks_is_a_difference() -> None:
    known = describe("vehicle", [{"vehicle": "bicycle"}] * 150 + [{"vehicle": "motorcycle"}] * 150)
    assert known is not None
    found = compare("vehicle", [{"vehicle": "bus"}] * 40 + [{"vehicle": "bicycle"}] * 80, known, 0.2)
    assert found is not None
    assert found.drifts
    assert (
        compare("vehicle", [{"vehicle": name} for name in ("bicycle", "motorcycle") * 60], known, 0.2).drifts is False
    )  # type: ignore[union-attr]


def test_equal_values_need_no_bins_of_their_own() -> None:
    known = describe("brightness", brightness([0.5] * 300))
    assert known is not None
    assert known.edges == (0.5,)
    assert not compared([0.5] * 200, [0.5] * 300).drifts
    assert compared([0.4] * 200, [0.5] * 300).drifts


def test_every_classified_photo_has_the_statistics_of_its_answer() -> None:
    image = {"brightness": 0.4, "sharpness": 0.02, "width": 3000, "height": 4000}
    assert observe(record(0.95, image=image), 0.9) == {
        "confidence": 0.95,
        "vehicle": "bicycle",
        "other": "no",
        "review": "no",
        "brightness": 0.4,
        "sharpness": 0.02,
        "size": 4000,
        "aspect": 0.75,
    }
    unsure = observe(record(0.95, "other"), 0.9)
    assert unsure == {"confidence": 0.95, "vehicle": "other", "other": "yes", "review": "yes"}
    photo = Photo("uploads", "uploads/d/a.jpg", "e", 1)
    assert observe(PhotoRecord(photo, "in_review", "t", "t", "x"), 0.9) is None


def test_an_operators_threshold_is_no_drift() -> None:
    """The reviews that are compared are those of the model's own threshold."""
    found = [observe(record(0.95, threshold=threshold), 0.9) for threshold in (0.5, 0.99)]
    assert found[0] == found[1]


def test_histograms_and_comparisons_are_read_as_they_were_written() -> None:
    observations = [observe(record(number / 100), 0.9) for number in range(100)]
    for statistic in STATISTICS[:4]:
        known = describe(statistic, [one for one in observations if one])
        assert known is not None
        assert Histogram.from_state(known.as_state()) == known
    assert describe("brightness", [one for one in observations if one]) is None
    found = compared([0.1, 0.2], [0.1, 0.2])
    assert Comparison.from_state(found.as_state()) == found
