"""Fitting the head and its calibration."""

import dataclasses

import numpy as np

from operate.synthetic_photos import synthetic_photos
from tests.support.training import QUICK_RECIPE, VEHICLES
from training.classifier import fit_classifier
from training.dataset import Dataset, empty
from training.features import FeatureCache
from training.initial_head import load_initial_head
from training.policy import Policy
from training.vehicles import imagenet_classes


def test_the_same_seed_trains_the_same_model(data, model_dir, backbone):
    initial = load_initial_head(VEHICLES, imagenet_classes())
    one, two = (
        fit_classifier(
            data,
            empty(),
            initial.head,
            backbone,
            FeatureCache(backbone, model_dir.parent),
            Policy(),
            QUICK_RECIPE,
            seed=5,
        )
        for _ in range(2)
    )
    assert np.array_equal(one.head.weights, two.head.weights)
    assert one.operating_point == two.operating_point


def test_a_labelled_photo_changes_the_head_more_than_an_image_of_the_base_data(data, model_dir, backbone):
    """People label twenty photos as motorcycles that are houses in the base data."""
    photos = synthetic_photos(20, seed=8).with_labels(["house"])
    labelled = Dataset(photos.images, np.full(len(photos), "motorcycle"))
    initial = load_initial_head(VEHICLES, imagenet_classes())

    def motorcycle_margin(labelled, weight):
        recipe = dataclasses.replace(QUICK_RECIPE, label_weight=weight)
        cache = FeatureCache(backbone, model_dir.parent)
        head = fit_classifier(data, labelled, initial.head, backbone, cache, Policy(), recipe, seed=0).head
        unseen = synthetic_photos(10, seed=9).with_labels(["house"]).images
        logits = head.logits(*backbone.resize_and_extract(unseen))
        return float((logits[:, 1] - logits[:, 2]).mean())

    assert motorcycle_margin(empty(), 1) < motorcycle_margin(labelled, 1) < motorcycle_margin(labelled, 10)
