"""What turns the head's logits into confidences that can be believed."""

from dataclasses import dataclass

from training.metrics import Floats, softmax


@dataclass(frozen=True)
class Calibration:
    """Probabilities are the softmax of logits / `temperature`, with `other_offset` added to that of `other`."""

    temperature: float
    other_offset: float

    def probabilities(self, logits: Floats) -> Floats:
        """Return calibrated probabilities (N, V + 1) of logits (N, V + 1)."""
        scaled = logits / self.temperature
        scaled[:, -1] += self.other_offset
        return softmax(scaled)
