"""The head: ImageNet's log-probabilities of the vehicles, plus a linear correction of the features.

The logit of a vehicle is the log-probability that ImageNet's head gives to the ImageNet classes that show the vehicle;
the logit of `other` is that of all remaining classes. Training fits only the correction, with an L2 penalty towards the
correction it started from (L2-SP: Li et al., "Explicit Inductive Bias for Transfer Learning", 2018). Without training
the head predicts what ImageNet predicts; with few images it stays close to that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.metrics import Floats

Groups = tuple[tuple[int, ...], ...]
"""For each vehicle the numbers of the ImageNet classes that show it; empty for a vehicle that ImageNet lacks."""

MIN_LOG_PROBABILITY = -12.0
"""Lower bound of ImageNet's log-probabilities, because ImageNet's head is overconfident on small images."""


@dataclass(frozen=True)
class Head:
    """A linear correction: `weights` float64 (V + 1, D) and `bias` (V + 1,); `classes` are V vehicles, then `other`."""

    classes: tuple[str, ...]
    groups: Groups
    weights: Floats
    bias: Floats

    def logits(self, features: NDArray[np.float32], imagenet: NDArray[np.float32]) -> Floats:
        """Return the logits (N, V + 1), averaged over views, of features (N, VIEWS, D) and ImageNet's logits."""
        return np.asarray(self.view_logits(features, imagenet).mean(axis=1))

    def view_logits(self, features: NDArray[np.float32], imagenet: NDArray[np.float32]) -> Floats:
        """Return the logits (..., V + 1) of features (..., D) and ImageNet's logits (..., 1000)."""
        result: Floats = log_prior(imagenet, self.groups) + features @ self.weights.T + self.bias
        return result

    def for_classes(self, classes: Sequence[str], groups: Mapping[str, Sequence[int]]) -> "Head":
        """Return a head for other classes; those of this head keep their correction, the others start with zeros."""
        rows = {name: row for row, name in enumerate(self.classes)}
        weights, bias = np.zeros((len(classes), self.weights.shape[1])), np.zeros(len(classes))
        for index, name in enumerate(classes):
            if name in rows:
                weights[index], bias[index] = self.weights[rows[name]], self.bias[rows[name]]
        return Head(tuple(classes), tuple(tuple(groups.get(name, ())) for name in classes[:-1]), weights, bias)


def log_prior(imagenet: NDArray[np.float32], groups: Groups) -> Floats:
    """Return log-probabilities (..., V + 1) of the vehicles and `other` from ImageNet's logits (..., 1000).

    A vehicle without ImageNet classes gets the mean probability of the remaining classes.
    """
    shifted = imagenet.astype(np.float64)
    shifted -= shifted.max(axis=-1, keepdims=True)
    probabilities = np.exp(shifted)
    probabilities /= probabilities.sum(axis=-1, keepdims=True)
    grouped = [number for group in groups for number in group]
    other = np.delete(probabilities, grouped, axis=-1).sum(axis=-1)
    mean_other = other / (probabilities.shape[-1] - len(grouped))
    columns = [probabilities[..., list(group)].sum(axis=-1) if group else mean_other for group in groups]
    with np.errstate(divide="ignore"):
        result: Floats = np.maximum(np.log(np.stack([*columns, other], axis=-1)), MIN_LOG_PROBABILITY)
    return result
