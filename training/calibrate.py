"""Make confidences true, and choose from which confidence on the model decides without a person.

Both come from cross-fitted predictions: each picture is answered by a head that was fitted without it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize

from training.calibration import Calibration
from training.metrics import Floats, Ints, accepted, softmax
from training.policy import Policy

THRESHOLDS = np.round(np.linspace(0.5, 0.995, 100), 3)
"""The thresholds among which one is chosen."""

ROUNDS = 100
QUANTILE = 0.9
"""The policy must hold in this share of the bootstrap rounds."""


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold with what it does, estimated on cross-fitted predictions; shares in [0, 1].

    `decided` of the vehicle photos are decided without a person; of everything decided, at the policy's share of other
    photos, `wrong` is wrong; `others_accepted` of the other photos are taken for a vehicle. `*_upper` are upper bounds
    at the confidence `QUANTILE`.
    """

    threshold: float
    decided: float
    wrong: float
    wrong_upper: float
    others_accepted: float | None
    others_accepted_upper: float | None


def mixture_weights(truth: Ints, vehicles: int, others_share: float) -> Floats:
    """Return weights (N,) that add up to 1, under which `others_share` of the pictures are `other`."""
    is_other = truth == vehicles
    weights = np.ones(len(truth))
    if is_other.any() and not is_other.all():
        weights[~is_other] = (1 - others_share) / (~is_other).sum()
        weights[is_other] = others_share / is_other.sum()
    weights /= weights.sum()
    return weights


def calibrate(logits: Floats, truth: Ints, policy: Policy, weights: Floats | None = None) -> Calibration:
    """Return the calibration with the least cross-entropy on cross-fitted logits (N, V + 1).

    `weights` (N,) default to the policy's mixture of vehicles and other photos.
    """
    if weights is None:
        weights = mixture_weights(truth, logits.shape[1] - 1, policy.others_share)
    rows = np.arange(len(truth))
    is_other = truth == logits.shape[1] - 1
    with_offset = bool(is_other.any())

    def objective(parameters: Floats) -> tuple[float, Floats]:
        scaled = logits * np.exp(-parameters[0])
        slope_temperature = -scaled.copy()
        if with_offset:
            scaled[:, -1] += parameters[1]
        shares = softmax(scaled)
        loss = -float(weights @ np.log(np.maximum(shares[rows, truth], 1e-300)))
        shares[rows, truth] -= 1.0
        slope = [float(weights @ (shares * slope_temperature).sum(axis=1))]
        if with_offset:
            slope.append(float(weights @ shares[:, -1]))
        return loss, np.array(slope)

    found = minimize(
        objective,
        np.zeros(2 if with_offset else 1),
        jac=True,
        method="L-BFGS-B",
        bounds=[(np.log(0.25), np.log(6.0)), (-5.0, 5.0)][: 2 if with_offset else 1],
    )
    return Calibration(float(np.exp(found.x[0])), float(found.x[1]) if with_offset else 0.0)


def operating_points(logits: Floats, truth: Ints, policy: Policy, seed: int = 0) -> list[OperatingPoint]:
    """Return what every threshold of THRESHOLDS does, on cross-fitted logits (N, V + 1).

    The share of wrong decisions is taken from the calibrated confidences themselves, which a few hundred pictures
    determine much better than a count of the handful of errors among them. Its upper bound, by bootstrap, calibrates
    anew in each round; a round draws vehicles and other pictures separately.
    """
    vehicles = logits.shape[1] - 1
    weights = mixture_weights(truth, vehicles, policy.others_share)
    calibration = calibrate(logits, truth, policy, weights)
    generator = np.random.default_rng(seed)
    groups = [group for group in (np.flatnonzero(truth < vehicles), np.flatnonzero(truth == vehicles)) if len(group)]
    wrong, others = [], []
    for _ in range(ROUNDS):
        drawn = np.concatenate([generator.choice(group, len(group)) for group in groups])
        one = calibrate(logits[drawn], truth[drawn], policy, weights[drawn] / weights[drawn].sum())
        # Thresholds are in terms of the confidence that is served; what it is worth is this round's calibration.
        wrong.append(
            _expected_wrong(calibration.probabilities(logits[drawn]), one.probabilities(logits[drawn]), weights[drawn])
        )
        others.append(_accepted_others(calibration.probabilities(logits[drawn]), truth[drawn]))
    probabilities = calibration.probabilities(logits)
    expected = _expected_wrong(probabilities, probabilities, weights)
    let_through = _accepted_others(probabilities, truth)
    return [
        OperatingPoint(
            threshold=float(threshold),
            decided=float(accepted(probabilities, threshold)[truth < vehicles].mean()),
            wrong=float(expected[i]),
            wrong_upper=float(np.quantile([values[i] for values in wrong], QUANTILE)),
            others_accepted=None if let_through is None else float(let_through[i]),
            others_accepted_upper=None
            if let_through is None
            else float(np.quantile([values[i] for values in others if values is not None], QUANTILE)),
        )
        for i, threshold in enumerate(THRESHOLDS)
    ]


def choose(points: list[OperatingPoint], policy: Policy) -> OperatingPoint:
    """Return the point with the lowest threshold whose upper bounds satisfy the policy; the highest if none does."""
    for point in points:
        taken = point.others_accepted_upper
        if point.wrong_upper <= policy.wrong_at_most and (taken is None or taken <= policy.others_accepted_at_most):
            return point
    return points[-1]


def _expected_wrong(served: Floats, worth: Floats, weights: Floats) -> Floats:
    """Return (T,): at each threshold, the expected share of wrong answers among what is accepted; 1 when nothing is."""
    best = served.argmax(axis=1)
    rows = np.flatnonzero(best < served.shape[1] - 1)
    mass = _above(served[rows, best[rows]], weights[rows])
    wrong = _above(served[rows, best[rows]], weights[rows] * (1.0 - worth[rows, best[rows]]))
    result: Floats = np.where(mass > 0, wrong / np.maximum(mass, 1e-300), 1.0)
    return result


def _accepted_others(probabilities: Floats, truth: Ints) -> Floats | None:
    is_other = truth == probabilities.shape[1] - 1
    if not is_other.any():
        return None
    those = probabilities[is_other]
    taken = accepted(those, 0.0)
    return _above(those.max(axis=1)[taken], np.full(int(taken.sum()), 1 / len(those)))


def _above(confidence: Floats, amounts: Floats) -> Floats:
    """Return (T,): at each threshold, the sum of the amounts whose confidence reaches it."""
    order = np.argsort(confidence)
    sums = np.append(np.cumsum(amounts[order][::-1])[::-1], 0.0)
    result: Floats = sums[np.searchsorted(confidence[order], THRESHOLDS, side="left")]
    return result


def as_rows(points: list[OperatingPoint]) -> list[dict[str, Any]]:
    """Return the points as JSON objects."""
    return [dict(point.__dict__) for point in points]
