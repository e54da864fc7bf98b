"""Metrics of predicted probabilities: accuracy, calibration, outlier detection, and coverage at a threshold.

In every function `probabilities` is (N, V + 1): one column per vehicle, then `other`. `truth` (N,) is the index of the
true class. A metric that cannot be computed, such as an error rate over no photos, is NaN.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Metric = Callable[[Floats, Ints], float]
"""A function of probabilities (N, V + 1) and truth (N,)."""

ECE_BINS = 15
INTERVAL_95 = (0.025, 0.975)
"""The quantiles that bound a 95% interval."""


@dataclass(frozen=True)
class AtThreshold:
    """The photos that a threshold accepts, as fractions in [0, 1].

    `coverage`: vehicle photos that are accepted; `error_accepted`: accepted vehicle photos whose class is wrong;
    `other_accepted`: photos of other things that are accepted as some vehicle.
    """

    coverage: float
    error_accepted: float
    other_accepted: float


def softmax(logits: Floats) -> Floats:
    """Return the probabilities (N, K) of logits (N, K)."""
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    result: Floats = exponents / exponents.sum(axis=1, keepdims=True)
    return result


def accepted(probabilities: Floats, threshold: float) -> NDArray[np.bool_]:
    """Return (N,): whether no review is needed: the predicted class is a vehicle with at least that confidence."""
    result: NDArray[np.bool_] = (probabilities.argmax(axis=1) < probabilities.shape[1] - 1) & (
        probabilities.max(axis=1) >= threshold
    )
    return result


def at_threshold(probabilities: Floats, truth: Ints, threshold: float) -> AtThreshold:
    """Return the fractions of photos that `threshold` accepts."""
    is_vehicle = truth < probabilities.shape[1] - 1
    is_accepted = accepted(probabilities, threshold)
    is_wrong = probabilities.argmax(axis=1) != truth
    return AtThreshold(
        coverage=_mean_where(is_accepted, is_vehicle),
        error_accepted=_mean_where(is_wrong, is_accepted & is_vehicle),
        other_accepted=_mean_where(is_accepted, ~is_vehicle),
    )


def accuracy(probabilities: Floats, truth: Ints) -> float:
    """Return the accuracy on vehicle photos when `other` is not among the classes to choose from."""
    is_vehicle = truth < probabilities.shape[1] - 1
    return _mean_where(probabilities[:, :-1].argmax(axis=1) == truth, is_vehicle)


def accuracy_with_other(probabilities: Floats, truth: Ints) -> float:
    """Return the accuracy on all photos and all classes, `other` included."""
    return _mean_where(probabilities.argmax(axis=1) == truth, np.ones(len(truth), dtype=bool))


def ece(probabilities: Floats, truth: Ints, bins: int = ECE_BINS) -> float:
    """Return the expected calibration error of the vehicle photos, over equal-width bins of the confidence.

    Photos of other things are left out: they are many and easy, so every model would look calibrated with them.
    Guo et al., "On Calibration of Modern Neural Networks", 2017.
    """
    rows = truth < probabilities.shape[1] - 1
    if not rows.any():
        return float("nan")
    confidence = probabilities[rows].max(axis=1)
    is_correct = probabilities[rows].argmax(axis=1) == truth[rows]
    bin_index = np.minimum((confidence * bins).astype(np.intp), bins - 1)
    gaps = np.bincount(bin_index, weights=is_correct - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence))


def vehicle_log_odds(probabilities: Floats) -> Floats:
    """Return (N,): the log odds of any vehicle against `other`, precise for probabilities near 0 and near 1."""
    tiny = np.finfo(np.float64).tiny
    result: Floats = np.log(probabilities[:, :-1].sum(axis=1) + tiny) - np.log(probabilities[:, -1] + tiny)
    return result


def auroc(probabilities: Floats, truth: Ints) -> float:
    """Return the area under the ROC curve of `vehicle_log_odds`, vehicles against others.

    It is the probability that a random vehicle photo has higher odds than a random photo of something else; ties count
    half (Hanley and McNeil, 1982).
    """
    is_vehicle = truth < probabilities.shape[1] - 1
    positives, negatives = int(is_vehicle.sum()), int((~is_vehicle).sum())
    if not positives or not negatives:
        return float("nan")
    _, inverse, counts = np.unique(vehicle_log_odds(probabilities), return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return float((ranks[is_vehicle].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def stratified_resamples(is_vehicle: NDArray[np.bool_], n_resamples: int, seed: int) -> Iterator[Ints]:
    """Yield the row indices (N,) of each bootstrap resample; vehicles and others are resampled separately."""
    generator = np.random.default_rng(seed)
    strata = [stratum for stratum in (np.flatnonzero(is_vehicle), np.flatnonzero(~is_vehicle)) if len(stratum)]
    for _ in range(n_resamples):
        yield np.concatenate([generator.choice(stratum, len(stratum)) for stratum in strata])


def bootstrap_interval(
    statistic: Callable[[Ints], float],
    is_vehicle: NDArray[np.bool_],
    n_resamples: int,
    quantiles: tuple[float, float] = INTERVAL_95,
    seed: int = 0,
    *,
    correct_bias: bool = False,
) -> tuple[float, float]:
    """Return the two quantiles of `statistic`, a function of row indices, over stratified bootstrap resamples.

    The percentile method of Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13. (NaN, NaN) when
    the statistic is NaN on every resample. `correct_bias` subtracts the bootstrap estimate of the bias (chapter 10):
    every resample of a well-calibrated model is calibrated worse, so the quantiles of its ECE can lie above its ECE.
    """
    values = np.array([statistic(rows) for rows in stratified_resamples(is_vehicle, n_resamples, seed)])
    known = values[~np.isnan(values)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, quantiles)
    bias = known.mean() - statistic(np.arange(len(is_vehicle))) if correct_bias else 0.0
    return float(low - bias), float(high - bias)


def nan_to_none(value: float) -> float | None:
    """Return the value, or None for NaN, which JSON cannot hold."""
    return None if np.isnan(value) else float(value)


def _mean_where(values: NDArray[np.bool_], rows: NDArray[np.bool_]) -> float:
    return float(values[rows].mean()) if rows.any() else float("nan")
