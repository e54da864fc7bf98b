"""Inputs that measure robustness."""

import numpy as np
import pytest

from operate.synthetic_photos import synthetic_photos
from training.research.corruptions import CORRUPTIONS, generate_blank_photos


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_every_corruption_gives_an_rgb_image(name):
    corrupted = CORRUPTIONS[name](synthetic_photos(1, seed=0).images[0])
    assert corrupted.dtype == np.uint8
    assert corrupted.shape[2] == 3


def test_blank_photos_come_in_five_kinds():
    kinds = generate_blank_photos(count=2)
    assert {name: len(pictures) for name, pictures in kinds.items()} == dict.fromkeys(
        ("noise", "black", "white", "flat", "text"), 2
    )
