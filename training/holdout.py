"""The frozen holdout: pictures of the base data that no model ever learns from, so that models can be compared on them.

Whether a picture belongs to it follows from its own pixels, so the holdout stays the same whatever is added around it.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

from training.dataset import Dataset
from training.images import Pixels

SHARE = 0.15


def position(picture: Pixels) -> float:
    """Return a number in [0, 1) that follows from the pixels alone and spreads evenly over pictures."""
    return int.from_bytes(hashlib.sha256(picture.tobytes()).digest()[:2], "big") / 2**16


def positions(data: Dataset) -> NDArray[np.float64]:
    """Return the position (N,) of every picture."""
    return np.array([position(picture) for picture in data.pictures])


def in_holdout(data: Dataset) -> NDArray[np.bool_]:
    """Return (N,): which pictures are held out, about `SHARE` of them."""
    # Compared as whole numbers, as from the beginning: a picture never changes sides.
    return np.floor(positions(data) * 2**16) < int(SHARE * 2**16)


def split_off(data: Dataset) -> tuple[Dataset, Dataset]:
    """Return (what may be learned, the holdout)."""
    held = in_holdout(data)
    return data[~held], data[held]
