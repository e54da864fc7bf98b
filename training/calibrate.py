"""Make the confidences true and choose from which one on the model may decide alone. Validation photos only."""

import numpy as np

from training.metrics import ACCEPTED_ERROR, Floats, Ints, accepted, softmax

_TEMPERATURES = np.exp(np.linspace(np.log(0.2), np.log(8.0), 150))
_HIGHEST = 0.99
_LOWEST = 0.5


def balanced_weights(truth: Ints, vehicles: int) -> Floats:
    """Return weights (N,) under which the photos of other things together weigh as much as the vehicles do."""
    is_other = truth == vehicles
    weights = np.ones(len(truth))
    if is_other.any() and not is_other.all():
        weights[is_other] = (~is_other).sum() / is_other.sum()
    return weights


def fit_temperature(logits: Floats, truth: Ints) -> float:
    """Return the temperature with the least cross-entropy on validation logits (N, V + 1)."""
    weights = balanced_weights(truth, logits.shape[1] - 1)
    rows = np.arange(len(truth))
    losses = [
        -np.average(np.log(softmax(logits, temperature)[rows, truth] + 1e-12), weights=weights)
        for temperature in _TEMPERATURES
    ]
    return float(_TEMPERATURES[int(np.argmin(losses))])


def choose_threshold(probabilities: Floats, truth: Ints) -> float:
    """Return the lowest confidence from which on at most ACCEPTED_ERROR of what is accepted is wrong.

    A photo of something else that is accepted as a vehicle is wrong too; others weigh as much as vehicles.
    The result is in [_LOWEST, _HIGHEST]: a few hundred validation photos cannot vouch for more.
    """
    weights = balanced_weights(truth, probabilities.shape[1] - 1)
    taken = accepted(probabilities, 0.0)
    confidence = probabilities.max(axis=1)[taken]
    wrong = (probabilities.argmax(axis=1) != truth)[taken] * weights[taken]
    order = np.argsort(-confidence, kind="stable")
    confidence, wrong, weight = confidence[order], wrong[order], weights[taken][order]
    if not len(confidence):
        return _HIGHEST
    error = np.cumsum(wrong) / np.cumsum(weight)
    last_of_its_confidence = np.append(confidence[1:] < confidence[:-1], True)
    allowed = np.flatnonzero((error <= ACCEPTED_ERROR) & last_of_its_confidence)
    lowest = confidence[allowed[-1]] if len(allowed) else 1.0
    return float(np.clip(lowest, _LOWEST, _HIGHEST))
