"""The head: ImageNet's own answer, corrected by a linear function of the features.

The logit of a vehicle is the log-probability that ImageNet's head gives to the classes which show it; `other` gets
those of all remaining classes. What is trained is a correction, linear in the features, that the penalty pulls towards
the head it started from. So a head without any training knows what ImageNet knows, and one trained on few pictures
stays close to it (L2-SP: Li et al., "Explicit Inductive Bias for Transfer Learning", 2018).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.metrics import Floats

Groups = tuple[tuple[int, ...], ...]
"""Of each vehicle the numbers of the ImageNet classes that show it; none for a vehicle ImageNet does not know."""

FLOOR = -12.0
"""Lowest log-probability that the ImageNet head contributes: it is too certain about small pictures."""


@dataclass(frozen=True)
class Head:
    """`classes` are the vehicles and then `other`; `weights` float64 (V + 1, D) and `bias` (V + 1,) the correction."""

    classes: tuple[str, ...]
    groups: Groups
    weights: Floats
    bias: Floats

    def logits(self, features: NDArray[np.float32], imagenet: NDArray[np.float32]) -> Floats:
        """Return the logits (N, V + 1), the mean over the views, for features (N, VIEWS, D) and ImageNet's logits."""
        return np.asarray(self.logits_of_views(features, imagenet).mean(axis=1))

    def logits_of_views(self, features: NDArray[np.float32], imagenet: NDArray[np.float32]) -> Floats:
        """Return the logits (..., V + 1) for features (..., D) and ImageNet's logits (..., 1000)."""
        result: Floats = prior(imagenet, self.groups) + features @ self.weights.T + self.bias
        return result

    def for_classes(self, classes: Sequence[str], groups: Mapping[str, Sequence[int]]) -> "Head":
        """Return this head for other classes: a class it knows keeps its correction, the others start without one."""
        rows = {name: row for row, name in enumerate(self.classes)}
        weights, bias = np.zeros((len(classes), self.weights.shape[1])), np.zeros(len(classes))
        for place, name in enumerate(classes):
            if name in rows:
                weights[place], bias[place] = self.weights[rows[name]], self.bias[rows[name]]
        return Head(tuple(classes), tuple(tuple(groups.get(name, ())) for name in classes[:-1]), weights, bias)


def prior(imagenet: NDArray[np.float32], groups: Groups) -> Floats:
    """Return log-probabilities (..., V + 1) of the vehicles and `other` from ImageNet's logits (..., C).

    A vehicle without classes gets that of an average class among the remaining ones.
    """
    shifted = imagenet.astype(np.float64)
    shifted -= shifted.max(axis=-1, keepdims=True)
    shares = np.exp(shifted)
    shares /= shares.sum(axis=-1, keepdims=True)
    named = [number for group in groups for number in group]
    rest = np.delete(shares, named, axis=-1).sum(axis=-1)
    unknown = rest / (shares.shape[-1] - len(named))
    columns = [shares[..., list(group)].sum(axis=-1) if group else unknown for group in groups]
    with np.errstate(divide="ignore"):
        result: Floats = np.maximum(np.log(np.stack([*columns, rest], axis=-1)), FLOOR)
    return result
