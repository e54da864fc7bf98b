"""Synthetic photos."""

import numpy as np

from operate.synthetic_photos import synthetic_photos


def test_the_same_seed_gives_the_same_photos():
    one, two = synthetic_photos(2, 4), synthetic_photos(2, 4)
    assert np.array_equal(one.images, two.images)
    assert not np.array_equal(one.images, synthetic_photos(2, 5).images)


def test_there_are_equally_many_photos_of_each_label():
    assert set(synthetic_photos(3, 0).counts().values()) == {3}
