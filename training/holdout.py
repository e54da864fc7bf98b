"""The frozen holdout: photos of the base data that no model ever learns from, so that models can be compared on them.

Whether an image belongs to it follows from its own pixels, so the holdout stays the same whatever is added around it.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

from training.dataset import Dataset

SHARE = 0.15


def in_holdout(data: Dataset) -> NDArray[np.bool_]:
    """Return (N,): which images are held out, about `SHARE` of them."""
    limit = int(SHARE * 2**16)
    first = [int.from_bytes(hashlib.sha256(image.tobytes()).digest()[:2], "big") for image in data.images]
    result: NDArray[np.bool_] = np.array(first, dtype=np.int64) < limit
    return result


def split_off(data: Dataset) -> tuple[Dataset, Dataset]:
    """Return (what may be learned, the holdout)."""
    held = in_holdout(data)
    return data[~held], data[held]
