"""Fit the calibration and choose the threshold: the lowest confidence at which no review is requested.

Both come from cross-fitted predictions: each image is predicted by a head that was fitted without it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize

from training.calibration import Calibration
from training.metrics import Floats, Ints, accepted, softmax, stratified_resamples
from training.policy import Policy

THRESHOLDS = np.round(np.linspace(0.5, 0.995, 100), 3)
"""The thresholds among which one is chosen."""

N_RESAMPLES = 100
CONFIDENCE_LEVEL = 0.9
"""Of the upper bounds, which are one-sided bootstrap bounds."""


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold and its effect, estimated on cross-fitted predictions; fractions in [0, 1].

    `decided`: vehicle photos that are decided without a review. `wrong`: wrong decisions among all decisions without a
    review, with as many other photos as the policy assumes. `others_accepted`: photos of other things that are accepted
    as a vehicle; None when there were none to estimate it on. `*_upper` are upper bounds at CONFIDENCE_LEVEL.
    """

    threshold: float
    decided: float
    wrong: float
    wrong_upper: float
    others_accepted: float | None
    others_accepted_upper: float | None


def mixture_weights(truth: Ints, vehicles: int, others_share: float) -> Floats:
    """Return weights (N,) with sum 1 under which the fraction `others_share` of the images is `other`.

    `truth` (N,) is the index of the true class; `other` has the index `vehicles`.
    """
    is_other = truth == vehicles
    weights = np.ones(len(truth))
    if is_other.any() and not is_other.all():
        weights[~is_other] = (1 - others_share) / (~is_other).sum()
        weights[is_other] = others_share / is_other.sum()
    weights /= weights.sum()
    return weights


def calibrate(logits: Floats, truth: Ints, policy: Policy, weights: Floats | None = None) -> Calibration:
    """Return the calibration with the least weighted cross-entropy on cross-fitted logits (N, V + 1).

    `weights` (N,) default to the policy's mixture of vehicles and other photos. Without photos of other things, the
    offset of `other` is 0.
    """
    if weights is None:
        weights = mixture_weights(truth, logits.shape[1] - 1, policy.others_share)
    rows = np.arange(len(truth))
    fits_offset = bool((truth == logits.shape[1] - 1).any())

    def objective(parameters: Floats) -> tuple[float, Floats]:
        scaled = logits * np.exp(-parameters[0])
        slope_temperature = -scaled.copy()
        if fits_offset:
            scaled[:, -1] += parameters[1]
        residuals = softmax(scaled)
        loss = -float(weights @ np.log(np.maximum(residuals[rows, truth], 1e-300)))
        residuals[rows, truth] -= 1.0
        gradient = [float(weights @ (residuals * slope_temperature).sum(axis=1))]
        if fits_offset:
            gradient.append(float(weights @ residuals[:, -1]))
        return loss, np.array(gradient)

    found = minimize(
        objective,
        np.zeros(2 if fits_offset else 1),
        jac=True,
        method="L-BFGS-B",
        bounds=[(np.log(0.25), np.log(6.0)), (-5.0, 5.0)][: 2 if fits_offset else 1],
    )
    return Calibration(float(np.exp(found.x[0])), float(found.x[1]) if fits_offset else 0.0)


def estimate_operating_points(logits: Floats, truth: Ints, policy: Policy, seed: int = 0) -> list[OperatingPoint]:
    """Return the operating point of each of THRESHOLDS, estimated on cross-fitted logits (N, V + 1).

    The fraction of wrong decisions is the mean of 1 - calibrated confidence: a few hundred images determine it more
    precisely than a count of the few errors among them. For its upper bound, each bootstrap resample fits a
    calibration of its own. A resample draws vehicles and other images separately.
    """
    vehicles = logits.shape[1] - 1
    weights = mixture_weights(truth, vehicles, policy.others_share)
    calibration = calibrate(logits, truth, policy, weights)
    wrong, others = [], []
    for rows in stratified_resamples(truth < vehicles, N_RESAMPLES, seed):
        refitted = calibrate(logits[rows], truth[rows], policy, weights[rows] / weights[rows].sum())
        # Thresholds apply to the served confidence; this resample's calibration estimates how often it is correct.
        served = calibration.probabilities(logits[rows])
        wrong.append(_expected_wrong(served, refitted.probabilities(logits[rows]), weights[rows]))
        others.append(_accepted_others(served, truth[rows]))
    probabilities = calibration.probabilities(logits)
    expected = _expected_wrong(probabilities, probabilities, weights)
    accepted_others = _accepted_others(probabilities, truth)
    return [
        OperatingPoint(
            threshold=float(threshold),
            decided=float(accepted(probabilities, threshold)[truth < vehicles].mean()),
            wrong=float(expected[i]),
            wrong_upper=float(np.quantile([values[i] for values in wrong], CONFIDENCE_LEVEL)),
            others_accepted=None if accepted_others is None else float(accepted_others[i]),
            others_accepted_upper=None
            if accepted_others is None
            else float(np.quantile([values[i] for values in others if values is not None], CONFIDENCE_LEVEL)),
        )
        for i, threshold in enumerate(THRESHOLDS)
    ]


def choose_operating_point(points: list[OperatingPoint], policy: Policy) -> OperatingPoint:
    """Return the point with the lowest threshold whose upper bounds satisfy the policy, or else the highest one.

    `points` are in the order of their thresholds.
    """
    for point in points:
        others = point.others_accepted_upper
        if point.wrong_upper <= policy.wrong_at_most and (others is None or others <= policy.others_accepted_at_most):
            return point
    return points[-1]


def as_rows(points: list[OperatingPoint]) -> list[dict[str, Any]]:
    """Return the points as JSON objects."""
    return [dict(point.__dict__) for point in points]


def _expected_wrong(served: Floats, calibrated: Floats, weights: Floats) -> Floats:
    """Return (T,): at each threshold, the expected fraction wrong among the accepted; 1 when nothing is accepted.

    `served` (N, V + 1) are the probabilities to which the threshold applies, `calibrated` (N, V + 1) those that
    estimate how often a prediction is correct.
    """
    best = served.argmax(axis=1)
    rows = np.flatnonzero(best < served.shape[1] - 1)
    mass = _sum_from_threshold(served[rows, best[rows]], weights[rows])
    wrong = _sum_from_threshold(served[rows, best[rows]], weights[rows] * (1.0 - calibrated[rows, best[rows]]))
    result: Floats = np.where(mass > 0, wrong / np.maximum(mass, 1e-300), 1.0)
    return result


def _accepted_others(probabilities: Floats, truth: Ints) -> Floats | None:
    """Return (T,): at each threshold, the fraction of other photos that is accepted; None without other photos."""
    is_other = truth == probabilities.shape[1] - 1
    if not is_other.any():
        return None
    others = probabilities[is_other]
    is_vehicle_predicted = accepted(others, 0.0)
    weights = np.full(int(is_vehicle_predicted.sum()), 1 / len(others))
    return _sum_from_threshold(others.max(axis=1)[is_vehicle_predicted], weights)


def _sum_from_threshold(confidence: Floats, amounts: Floats) -> Floats:
    """Return (T,): at each threshold, the sum of the amounts whose confidence reaches it."""
    order = np.argsort(confidence)
    sums = np.append(np.cumsum(amounts[order][::-1])[::-1], 0.0)
    result: Floats = sums[np.searchsorted(confidence[order], THRESHOLDS, side="left")]
    return result
