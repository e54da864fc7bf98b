"""Photos that show the same picture count once."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from training.images import downscale
from training.near_duplicates import MAX_CANDIDATES, group_same_pictures
from training.research.near_duplicates import CHANGES, photos_of_fixed_camera


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


@pytest.mark.parametrize("seed", [1, 3])
def test_another_vehicle_at_the_same_place_is_another_picture(seed: int) -> None:
    """It replaces 4% of the area, and the regression explains more than MIN_EXPLAINED of the variance."""
    pair = []
    for bar in ((0, 8, 48, 24), (16, 0, 32, 40)):
        image = picture(seed)
        image.paste((128, 128, 128), (90, 80, 138, 120))
        image.paste((20, 20, 20), tuple(np.add((90, 80, 90, 80), bar).tolist()))
        pair.append(np.asarray(image))
    assert group_same_pictures(pair).tolist() == [0, 1]


def test_photos_of_a_fixed_camera_are_compared_with_few_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each one is a candidate of each other one, so the number of comparisons would grow with its square."""
    compared: list[int] = []
    explained = group_same_pictures.__globals__["explained_variances"]
    monkeypatch.setitem(
        group_same_pictures.__globals__,
        "explained_variances",
        lambda own, others: compared.append(len(others)) or explained(own, others),
    )
    photos = photos_of_fixed_camera(200)
    assert group_same_pictures([*photos, photos[17]]).tolist() == [*range(200), 17]
    assert max(compared) == MAX_CANDIDATES


def test_a_fingerprint_is_made_once_per_photo(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    resize = Image.Image.resize
    monkeypatch.setattr(Image.Image, "resize", lambda *args, **options: made.append(1) or resize(*args, **options))
    copies = [np.asarray(picture(1))] * 20 + photos_of_fixed_camera(20)
    made.clear()
    group_same_pictures(copies)
    assert len(made) == 2 * len(copies)
