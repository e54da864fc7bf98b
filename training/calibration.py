"""Calibration of the head's logits, applied by the endpoint; training.calibrate fits it."""

from dataclasses import dataclass

from training.metrics import Floats, softmax


@dataclass(frozen=True)
class Calibration:
    """Temperature scaling (Guo et al., "On Calibration of Modern Neural Networks", 2017) with an offset for `other`.

    Probabilities are the softmax of logits / `temperature`, with `other_offset` added to the logit of `other`.
    """

    temperature: float
    other_offset: float

    def probabilities(self, logits: Floats) -> Floats:
        """Return calibrated probabilities (N, V + 1) of logits (N, V + 1)."""
        scaled = logits / self.temperature
        scaled[:, -1] += self.other_offset
        return softmax(scaled)
