"""Fit the head on labelled images, then its calibration and its threshold."""

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.backbone import Backbone
from training.blank_images import BLANK_LABEL, generate_blank_images
from training.calibrate import OperatingPoint, calibrate, choose_operating_point, estimate_operating_points
from training.calibration import Calibration
from training.dataset import Dataset, concatenate, sample, stratified_folds, targets
from training.features import FeatureCache, ProgressCallback
from training.fit import fit_head
from training.head import Head
from training.holdout import hash_fractions
from training.metrics import Floats, Ints
from training.policy import Policy

MIN_PER_VEHICLE = 8
"""The minimum number of training images of each vehicle."""


@dataclass(frozen=True)
class Recipe:
    """The hyperparameters of a retraining; the defaults are those in production.

    At most `max_per_vehicle` images of each vehicle and `max_per_other_class` of each other class are sampled from the
    base data. All labelled photos are used, each with the weight of `label_weight` images. Vehicles and other images
    have the same total weight. The L2 penalty on the head's step from its start is `l2_penalty` / N for weights and
    `bias_l2_penalty` / N for biases. `blank_images` is the number of images from
    training.blank_images that are added, `n_folds` the number of folds of the cross-fitting.
    """

    max_per_vehicle: int = 1000
    max_per_other_class: int = 20
    blank_images: int = 100
    label_weight: float = 3.0
    l2_penalty: float = 30.0
    bias_l2_penalty: float = 0.0
    n_folds: int = 5


SYNTHETIC_RECIPE = Recipe(l2_penalty=1000.0, bias_l2_penalty=1000.0)
"""For synthetic images, which differ from photos: the head stays close to the one it started from."""


@dataclass(frozen=True)
class Classifier:
    """A fitted head with its calibration and operating points.

    `n_training` is the number of images the head was fitted on, `n_computed` of those whose features were not cached.
    `calibration_set` holds the images that the calibration was fitted on, `cross_fitted_logits` (N, V + 1) their logits
    from heads fitted without them, and `truth` (N,) their classes. `cpu_s` is the CPU time of the fit in seconds.
    """

    head: Head
    calibration: Calibration
    operating_points: list[OperatingPoint]
    operating_point: OperatingPoint
    n_training: int
    n_computed: int
    cross_fitted_logits: Floats
    truth: Ints
    calibration_set: Dataset
    cpu_s: float


def fit_classifier(
    base: Dataset,
    labelled: Dataset,
    start: Head,
    backbone: Backbone,
    cache: FeatureCache,
    policy: Policy,
    recipe: Recipe,
    seed: int,
    on_progress: ProgressCallback = lambda *_: None,
) -> Classifier:
    """Fit the head on base data and labelled photos, and find calibration and threshold by cross-fitting.

    `start` is the head that the L2 penalty pulls towards; `seed` draws the sample of the base data and the folds.
    Raises ValueError when a vehicle has fewer than MIN_PER_VEHICLE images.
    """
    start_s = time.process_time()
    vehicles = start.classes[:-1]
    sampled = concatenate([
        sample(base.with_labels(vehicles), recipe.max_per_vehicle, seed),
        sample(base.without_labels(vehicles), recipe.max_per_other_class, seed),
    ])  # fmt: skip
    _require_images(concatenate([sampled, labelled]).counts(), vehicles)
    data = concatenate([sampled, labelled, generate_blank_images(recipe.blank_images, seed)])
    truth = targets(data, vehicles)
    is_labelled = np.zeros(len(data), dtype=bool)
    is_labelled[len(sampled) : len(sampled) + len(labelled)] = True
    weights = sample_weights(truth, is_labelled, len(vehicles), recipe.label_weight)
    features, imagenet = cache.get(data.images, on_progress)
    l2_penalty, bias_l2_penalty = recipe.l2_penalty / len(data), recipe.bias_l2_penalty / len(data)

    def fit(rows: Ints) -> Head:
        # On the view of the whole image alone: the centre crop of a small image cuts off its vehicle more often.
        return fit_head(
            start, features[rows, :1], imagenet[rows, :1], truth[rows], weights[rows], l2_penalty, bias_l2_penalty
        )

    fold = stratified_folds(data.labels, recipe.n_folds, seed)
    logits = np.zeros((len(data), len(vehicles) + 1))
    for number in range(recipe.n_folds):
        head = fit(np.flatnonzero(fold != number))
        rows = np.flatnonzero(fold == number)
        logits[rows] = head.logits(features[rows], imagenet[rows])
    # Confidences on images that the backbone was trained on are too high to calibrate on.
    is_untrained = (hash_fractions(data) < backbone.min_training_hash) | is_labelled | ~_is_cifar_sized(data)
    calibration_rows = np.flatnonzero(is_untrained & (data.labels != BLANK_LABEL))
    cross_fitted, calibration_truth = logits[calibration_rows], truth[calibration_rows]
    points = estimate_operating_points(cross_fitted, calibration_truth, policy, seed)
    return Classifier(
        head=fit(np.arange(len(data))),
        calibration=calibrate(cross_fitted, calibration_truth, policy),
        operating_points=points,
        operating_point=choose_operating_point(points, policy),
        n_training=len(data),
        n_computed=cache.computed,
        cross_fitted_logits=cross_fitted,
        truth=calibration_truth,
        calibration_set=data[calibration_rows],
        cpu_s=time.process_time() - start_s,
    )


def sample_weights(truth: Ints, is_labelled: NDArray[np.bool_], vehicles: int, label_weight: float) -> Floats:
    """Return weights (N,): `label_weight` for labelled photos and 1 for others, before classes are balanced.

    Then other images are scaled so that their weights add up to those of the vehicles. `other` has the index `vehicles`
    in `truth` (N,).
    """
    weights = np.where(is_labelled, label_weight, 1.0)
    is_other = truth == vehicles
    if is_other.any() and not is_other.all():
        weights[is_other] *= weights[~is_other].sum() / weights[is_other].sum()
    return weights


def _require_images(counts: dict[str, int], vehicles: tuple[str, ...]) -> None:
    if few := [f"{name} ({counts.get(name, 0)})" for name in vehicles if counts.get(name, 0) < MIN_PER_VEHICLE]:
        raise ValueError(
            f"too few training photos of {', '.join(few)}; at least {MIN_PER_VEHICLE} of each vehicle are needed"
        )


def _is_cifar_sized(data: Dataset) -> NDArray[np.bool_]:
    """Return (N,): whether an image has the size of the data that the backbone was fine-tuned on."""
    return np.array([image.shape[:2] == (32, 32) for image in data.images], dtype=bool)
