"""Make the confidences true and choose from which one on the model may decide alone. Validation photos only."""

from dataclasses import dataclass

import numpy as np

from training.metrics import ACCEPTED_ERROR, Floats, Ints, accepted, softmax

OTHER_SHARE = 0.5
"""Assumed share of uploads that show none of our vehicles; validation photos are weighted to this mixture."""

_TEMPERATURES = np.exp(np.linspace(np.log(0.25), np.log(6.0), 60))
_OFFSETS = np.linspace(-4.0, 4.0, 81)
_HIGHEST = 0.99
_LOWEST = 0.95
"""No photo is decided by the model whose own chance of being wrong is above 5%.

Which of 150 validation photos happen to be hard moves the rule's own result between 0.80 and 0.99.
"""


@dataclass(frozen=True)
class Calibration:
    """Probabilities are the softmax of logits / `temperature`, with `other_offset` added to that of `other`.

    The offset is for the mixture: training shows as many other photos as vehicles, the loading bays do not see as many.
    """

    temperature: float
    other_offset: float

    def probabilities(self, logits: Floats) -> Floats:
        """Return calibrated probabilities (N, V + 1) of logits (N, V + 1)."""
        scaled = logits / self.temperature
        scaled[:, -1] += self.other_offset
        return softmax(scaled)


def mixture_weights(truth: Ints, vehicles: int) -> Floats:
    """Return weights (N,) under which photos of other things are OTHER_SHARE of all; vehicles weigh 1 each."""
    is_other = truth == vehicles
    weights = np.ones(len(truth))
    if is_other.any() and not is_other.all():
        weights[is_other] = OTHER_SHARE / (1 - OTHER_SHARE) * (~is_other).sum() / is_other.sum()
    return weights


def calibrate(logits: Floats, truth: Ints) -> Calibration:
    """Return the calibration with the least cross-entropy on validation logits (N, V + 1)."""
    weights = mixture_weights(truth, logits.shape[1] - 1)
    rows = np.arange(len(truth))
    best, least = Calibration(1.0, 0.0), np.inf
    for temperature in _TEMPERATURES:
        scaled = logits / temperature
        vehicles = np.logaddexp.reduce(scaled[:, :-1], axis=1)
        for offset in _OFFSETS if (truth == logits.shape[1] - 1).any() else (0.0,):
            other = scaled[:, -1] + offset
            chosen = np.where(truth == logits.shape[1] - 1, other, scaled[rows, truth])
            loss = float(np.average(np.logaddexp(vehicles, other) - chosen, weights=weights))
            if loss < least:
                best, least = Calibration(float(temperature), float(offset)), loss
    return best


def choose_threshold(probabilities: Floats, truth: Ints) -> float:
    """Return the lowest confidence from which on at most ACCEPTED_ERROR of what is accepted is wrong.

    A photo of something else that is accepted as a vehicle is wrong too; others are weighted to OTHER_SHARE of all.
    The result is in [_LOWEST, _HIGHEST]: a few hundred validation photos cannot vouch for more.
    """
    weights = mixture_weights(truth, probabilities.shape[1] - 1)
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
