"""Which images are held out."""

import numpy as np

from training.dataset import Dataset
from training.holdout import HOLDOUT_FRACTION, split_holdout


def test_whether_an_image_is_held_out_does_not_depend_on_the_other_images(data: Dataset) -> None:
    held = split_holdout(data)[1]
    half = data[np.arange(len(data)) % 2 == 0]
    assert 0.3 * HOLDOUT_FRACTION < len(held) / len(data) < 2 * HOLDOUT_FRACTION
    held_out = {image.tobytes() for image in held.images}
    assert {image.tobytes() for image in split_holdout(half)[1].images} <= held_out
