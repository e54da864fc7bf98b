"""Photos that show the same picture count once."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from training.images import downscale
from training.near_duplicates import group_same_pictures
from training.research.near_duplicates import CHANGES


def picture(seed):
    """Return a picture of coloured blobs and lines, (200, 240)."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (10, 12, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((240, 200), Image.Resampling.BICUBIC)
    for _ in range(6):
        x, y, width = (int(value) for value in generator.integers(10, 180, 3))
        image.paste(tuple(int(value) for value in generator.integers(0, 256, 3)), (x, y, x + 8 + width // 4, y + 6))
    return image.filter(ImageFilter.GaussianBlur(1))


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_photo_is_the_same_picture_in_either_order(change):
    for seed in range(10):
        image = picture(seed)
        pair = [np.asarray(image), downscale(CHANGES[change](image))]
        assert group_same_pictures(pair).tolist() == [0, 0]
        assert group_same_pictures(pair[::-1]).tolist() == [0, 0]


def test_different_pictures_are_not_grouped():
    photos = [np.asarray(picture(seed)) for seed in range(60)]
    assert group_same_pictures(photos).tolist() == list(range(len(photos)))


def test_blank_pictures_are_the_same_if_their_colours_are():
    colours = [(10, 10, 10), (12, 11, 10), (200, 30, 30), (30, 200, 30)]
    assert group_same_pictures([np.full((40, 40, 3), colour, np.uint8) for colour in colours]).tolist() == [0, 0, 2, 3]


def test_copies_are_grouped_with_one_comparison_each(monkeypatch):
    compared = []
    same = group_same_pictures.__globals__["is_same_picture"]
    monkeypatch.setitem(group_same_pictures.__globals__, "is_same_picture", lambda *p: compared.append(1) or same(*p))
    copies = [np.asarray(picture(1).resize((48, 40)))] * 200
    assert set(group_same_pictures(copies)) == {0}
    assert len(compared) == 199
