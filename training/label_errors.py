"""Labels that contradict the model's predictions, and the reviewers who gave them.

Confident learning (Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", 2021):
an image belongs confidently to a class when the probability of the class is at least the mean probability of the class
over the images with that label. An image with one label that belongs confidently to another class is off the diagonal
of the confident joint: its label is suspected. The probabilities must come from models fitted without the image.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import hypergeom

from training.metrics import Floats, Ints

SIGNIFICANCE = 0.02
"""The probability that any reviewer is called worse than the others when all make equally many errors."""


@dataclass(frozen=True)
class ReviewerErrors:
    """The labels of one reviewer, how many of them are suspected, and whether that share is above that of the others.

    `p_value` is the probability of at least so many suspected labels if all reviewers made equally many errors.
    """

    reviewer: str
    labels: int
    suspected: int
    p_value: float
    is_worse: bool

    def as_row(self) -> dict[str, Any]:
        """Return the errors as a JSON object, with `share`, the fraction of the labels that is suspected."""
        return {
            "reviewer": self.reviewer,
            "labels": self.labels,
            "suspected": self.suspected,
            "share": self.suspected / self.labels,
            "p_value": self.p_value,
            "worse": self.is_worse,
        }


def find_suspected(probabilities: Floats, labels: Ints) -> NDArray[np.bool_]:
    """Return (N,): whether a label is suspected, from out-of-sample probabilities (N, K) and class indices (N,).

    Without an image of some class nothing is suspected to belong to it. When most labels of a class are suspected, none
    of them is: the model does not know the class yet, as when a vehicle is new.
    """
    if not len(labels):
        return np.zeros(0, dtype=bool)
    rows = np.arange(len(labels))
    thresholds = np.full(probabilities.shape[1], np.inf)
    for number in np.unique(labels):
        thresholds[number] = probabilities[labels == number, number].mean()
    confident = np.where(probabilities >= thresholds, probabilities, -1.0)
    result: NDArray[np.bool_] = (confident.max(axis=1) > probabilities[rows, labels]) & (
        confident.argmax(axis=1) != labels
    )
    for number in np.unique(labels[result]):
        of_class = labels == number
        if result[of_class].mean() > 0.5:
            result[of_class] = False
    return result


def compare_reviewers(reviewers: Sequence[str], suspected: NDArray[np.bool_]) -> list[ReviewerErrors]:
    """Return the errors of each reviewer, most suspected first; `reviewers` and `suspected` (N,) belong to N labels.

    Fisher's exact test, one-sided, of each reviewer against all others together; with R reviewers, one is worse when
    the p-value is at most SIGNIFICANCE / R (Bonferroni). It assumes that all reviewers get equally difficult photos.
    """
    names = np.array(reviewers, dtype=np.str_)
    found = []
    unique = np.unique(names)
    for name in unique:
        is_own = names == name
        own, own_suspected = int(is_own.sum()), int(suspected[is_own].sum())
        p_value = float(hypergeom.sf(own_suspected - 1, len(names), int(suspected.sum()), own))
        is_worse = p_value <= SIGNIFICANCE / len(unique)
        found.append(ReviewerErrors(str(name), own, own_suspected, p_value, is_worse))
    return sorted(found, key=lambda errors: (-errors.suspected / errors.labels, errors.reviewer))
