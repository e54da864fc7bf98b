"""Generated images without any object."""

import numpy as np

from training.blank_images import BLANK_LABEL, SIDE, generate_blank_images


def test_the_same_seed_gives_the_same_blank_images():
    one, two, other = generate_blank_images(30, 4), generate_blank_images(30, 4), generate_blank_images(30, 5)
    assert np.array_equal(one.images, two.images)
    assert not np.array_equal(one.images, other.images)


def test_blank_images_have_one_label_and_one_size():
    images = generate_blank_images(14, 0)
    assert set(images.labels) == {BLANK_LABEL}
    assert {image.shape for image in images.images} == {(SIDE, SIDE, 3)}
    assert len(generate_blank_images(0, 0)) == 0
