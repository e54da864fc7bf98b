"""How good the probabilities are: accuracy, calibration, separation from outliers, and what a threshold lets through.

Everywhere `probabilities` is (N, V + 1), the vehicles' and at last that of `other`, and `truth` (N,) holds the index of
the right column. NaN stands for a figure that cannot be computed, such as an error rate among no photos.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

ECE_BINS = 15
ACCEPTED_ERROR = 0.01
"""Of the photos that the model decides alone, at most this share may be wrong; the threshold follows from it."""


@dataclass(frozen=True)
class AtThreshold:
    """What happens at one threshold.

    `coverage`: share of vehicle photos accepted; `error_accepted`: share of wrong ones among those;
    `other_accepted`: share of photos of other things that are accepted as some vehicle.
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
    """Return (N,): whether the model decides alone: its answer is a vehicle, with at least that confidence."""
    result: NDArray[np.bool_] = (probabilities.argmax(axis=1) < probabilities.shape[1] - 1) & (
        probabilities.max(axis=1) >= threshold
    )
    return result


def at_threshold(probabilities: Floats, truth: Ints, threshold: float) -> AtThreshold:
    """Return coverage, error among accepted vehicle photos and accepted others at `threshold`."""
    is_vehicle = truth < probabilities.shape[1] - 1
    taken = accepted(probabilities, threshold)
    wrong = probabilities.argmax(axis=1) != truth
    return AtThreshold(
        coverage=_share(taken, is_vehicle),
        error_accepted=_share(wrong, taken & is_vehicle),
        other_accepted=_share(taken, ~is_vehicle),
    )


def accuracy(probabilities: Floats, truth: Ints) -> float:
    """Return vehicle against vehicle: the share of vehicle photos whose most probable vehicle is right."""
    is_vehicle = truth < probabilities.shape[1] - 1
    return _share(probabilities[:, :-1].argmax(axis=1) == truth, is_vehicle)


def accuracy_with_other(probabilities: Floats, truth: Ints) -> float:
    """Return the share of all photos whose most probable class, `other` included, is right."""
    return _share(probabilities.argmax(axis=1) == truth, np.ones(len(truth), dtype=bool))


def ece(probabilities: Floats, truth: Ints, bins: int = ECE_BINS) -> float:
    """Return the expected calibration error of the vehicle photos, equal-width bins of the confidence.

    Photos of other things are left out: they are easy and many, and would make any model look calibrated.
    Guo et al., "On Calibration of Modern Neural Networks", 2017.
    """
    rows = truth < probabilities.shape[1] - 1
    if not rows.any():
        return float("nan")
    confidence = probabilities[rows].max(axis=1)
    right = probabilities[rows].argmax(axis=1) == truth[rows]
    place = np.minimum((confidence * bins).astype(np.intp), bins - 1)
    gaps = np.bincount(place, weights=right - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence))


def vehicle_score(probabilities: Floats) -> Floats:
    """Return (N,): the log odds that the photo shows a vehicle at all, precise at both ends."""
    tiny = np.finfo(np.float64).tiny
    result: Floats = np.log(probabilities[:, :-1].sum(axis=1) + tiny) - np.log(probabilities[:, -1] + tiny)
    return result


def auroc(probabilities: Floats, truth: Ints) -> float:
    """Return the chance that a random vehicle photo scores above a random photo of something else, ties half."""
    is_vehicle = truth < probabilities.shape[1] - 1
    positives, negatives = int(is_vehicle.sum()), int((~is_vehicle).sum())
    if not positives or not negatives:
        return float("nan")
    _, place, counts = np.unique(vehicle_score(probabilities), return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return float((ranks[is_vehicle].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def interval(
    figure: Callable[[Floats, Ints], float], probabilities: Floats, truth: Ints, rounds: int = 300, seed: int = 0
) -> tuple[float, float]:
    """Return the 95% interval of `figure` by bootstrap, drawing vehicles and others separately."""
    generator = np.random.default_rng(seed)
    is_vehicle = truth < probabilities.shape[1] - 1
    groups = [group for group in (np.flatnonzero(is_vehicle), np.flatnonzero(~is_vehicle)) if len(group)]
    values = []
    for _ in range(rounds):
        drawn = np.concatenate([generator.choice(group, len(group)) for group in groups])
        values.append(figure(probabilities[drawn], truth[drawn]))
    known = [value for value in values if not np.isnan(value)]
    if not known:
        return float("nan"), float("nan")
    low, high = np.quantile(known, [0.025, 0.975])
    return float(low), float(high)


def _share(those: NDArray[np.bool_], among: NDArray[np.bool_]) -> float:
    return float(those[among].mean()) if among.any() else float("nan")
