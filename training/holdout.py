"""The holdout: base data that no model is trained on, so that models can be compared on them.

Whether an image belongs to it follows from a hash of its pixels, so adding other images does not change it.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

from training.dataset import Dataset, concatenate, sample
from training.images import Pixels

HOLDOUT_FRACTION = 0.15
MAX_PER_OTHER_CLASS = 10
"""The maximum number of compared images of each other class; with 88 classes, more images only take longer."""


def hash_fraction(image: Pixels) -> float:
    """Return the SHA-256 hash of the pixels as a number in [0, 1), distributed evenly over images."""
    return int.from_bytes(hashlib.sha256(image.tobytes()).digest()[:2], "big") / 2**16


def hash_fractions(data: Dataset) -> NDArray[np.float64]:
    """Return the hash fraction (N,) of every image."""
    return np.array([hash_fraction(image) for image in data.images])


def in_holdout(data: Dataset) -> NDArray[np.bool_]:
    """Return (N,): whether an image belongs to the holdout, about HOLDOUT_FRACTION of them."""
    # In whole numbers, as in earlier versions, so that no image moves into or out of the holdout.
    return np.floor(hash_fractions(data) * 2**16) < int(HOLDOUT_FRACTION * 2**16)


def split_holdout(data: Dataset) -> tuple[Dataset, Dataset]:
    """Return (the images to train on, the holdout)."""
    is_held_out = in_holdout(data)
    return data[~is_held_out], data[is_held_out]


def subsample_others(holdout: Dataset, vehicles: tuple[str, ...]) -> Dataset:
    """Return the holdout with at most MAX_PER_OTHER_CLASS images of each other class, always the same ones."""
    others = sample(holdout.without_labels(vehicles), MAX_PER_OTHER_CLASS, seed=0)
    return concatenate([holdout.with_labels(vehicles), others])
