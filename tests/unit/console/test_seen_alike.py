"""A reviewer sees what the model sees, also in photos that are made to differ."""

import io

import numpy as np
import pytest
from PIL import Image

from console.photos import SIZES, decode, encode
from tests.support.crafted_photos import FIRST, SECOND, clipped_jpeg, crafted_photos
from training.images import Pixels, preprocess, resize_and_pad

SIDE = 192
TOLERANCE = 3.0  # of 255, the mean over all pixels; FIRST and SECOND differ by more than 60
PHOTOS = crafted_photos()


def difference(left: Pixels, right: Pixels) -> float:
    """Return the mean absolute difference of two pictures at the model's size, in levels of 255."""
    small = [resize_and_pad(picture, SIDE).astype(int) for picture in (left, right)]
    return float(np.abs(small[0] - small[1]).mean())


def sent(photo: bytes, size: str) -> Pixels:
    """Return the pixels of the JPEG file that the console sends to the browser."""
    jpeg = encode(decode(photo, SIZES[size]))
    return np.asarray(Image.open(io.BytesIO(jpeg)))


def test_the_tolerance_tells_the_pictures_apart() -> None:
    assert difference(np.asarray(FIRST), np.asarray(SECOND)) > 60
    assert difference(np.asarray(FIRST), np.asarray(FIRST.transpose(Image.Transpose.ROTATE_180))) > 10 * TOLERANCE


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", PHOTOS)
def test_a_crafted_photo_shows_the_reviewer_what_the_model_sees(name: str, size: str) -> None:
    assert difference(preprocess(PHOTOS[name], SIDE), sent(PHOTOS[name], size)) < TOLERANCE


def test_a_photo_is_decoded_alike_for_every_size_of_its_output() -> None:
    photo = clipped_jpeg(FIRST, SECOND)
    seen = [preprocess(photo, side) for side in (96, 192, 256, 1024)]
    assert max(difference(seen[0], other) for other in seen[1:]) < TOLERANCE


def test_fine_colours_reach_the_reviewer_as_they_reach_the_model() -> None:
    """JPEG stores colours at half the resolution unless told otherwise; here every column has another colour."""
    stripes = np.zeros((180, 180, 3), np.uint8)
    stripes[:, ::2], stripes[:, 1::2] = (250, 20, 20), (20, 20, 250)
    out = io.BytesIO()
    Image.fromarray(stripes).save(out, "PNG")
    jpeg = encode(decode(out.getvalue(), SIZES["large"]))
    assert np.abs(np.asarray(Image.open(io.BytesIO(jpeg))).astype(int) - stripes).mean() < 8
