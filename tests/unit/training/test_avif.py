"""The frame sizes in the AV1 data of an AVIF file."""

import random

import pytest
from PIL import Image

from tests.support.hostile_photos import encoded, noise
from training.avif import frame_sizes
from training.photo_errors import PhotoTooComplex


@pytest.mark.parametrize("size", [(1, 1), (64, 64), (333, 251), (4_000, 30)])
def test_the_size_of_a_still_image_is_read(size):
    assert frame_sizes(encoded(noise(*size), "AVIF", speed=10)) == [size]


def test_the_sizes_of_an_image_and_of_its_transparency_are_read():
    assert frame_sizes(encoded(Image.new("RGBA", (120, 90), (9, 9, 9, 9)), "AVIF")) == [(120, 90)] * 2


def test_the_size_of_the_first_frame_of_an_animation_is_read():
    animation = encoded(noise(), "AVIF", save_all=True, append_images=[noise()] * 2)
    assert (120, 90) in frame_sizes(animation)


def test_damaged_files_end_with_sizes_or_with_an_error():
    photo, source = encoded(noise(), "AVIF"), random.Random(0)  # noqa: S311
    for _ in range(2_000):
        damaged = bytearray(photo)
        for _ in range(3):
            damaged[source.randrange(400)] = source.randrange(256)
        try:
            frame_sizes(bytes(damaged))
        except (EOFError, PhotoTooComplex):
            continue
