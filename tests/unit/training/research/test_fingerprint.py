"""Keys for results on disk."""

from dataclasses import replace

import numpy as np

from operate.synthetic_photos import synthetic_photos
from training.classifier import Recipe
from training.dataset import Dataset
from training.policy import Policy
from training.research.fingerprint import dataset_digest, fingerprint


def test_every_hyperparameter_changes_the_fingerprint():
    recipe = Recipe()
    changed = [replace(recipe, **{name: value + 1}) for name, value in vars(recipe).items()]
    assert len({fingerprint(one) for one in (recipe, *changed)}) == len(changed) + 1


def test_equal_values_have_the_same_fingerprint():
    assert fingerprint(Recipe(), Policy(), "backbone") == fingerprint(Recipe(), Policy(), "backbone")
    assert fingerprint(Recipe(), Policy(), "backbone") != fingerprint(Recipe(), Policy(), "another")


def test_a_changed_pixel_or_label_changes_the_digest_of_a_data_set():
    data = synthetic_photos(1, seed=0)
    darker = Dataset([np.zeros_like(data.images[0]), *data.images[1:]], data.labels)
    relabelled = Dataset(data.images, np.array(["car", *data.labels[1:]]))
    assert len({dataset_digest(one) for one in (data, darker, relabelled)}) == 3
