"""Fit the head on labelled images, then its calibration and its threshold."""

import time
from collections.abc import Sequence
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
from training.label_errors import ReviewerErrors, compare_reviewers, find_suspected
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

    `n_training` is the number of images the head was fitted on. Of all images, labels left out included, the features
    of `n_computed` were computed and those of `n_cached` were in the cache.
    `calibration_set` holds the images that the calibration was fitted on, `cross_fitted_logits` (N, V + 1) their logits
    from heads fitted without them, and `truth` (N,) their classes; `is_labelled` (N,) marks the labelled photos.
    `cpu_s` is the CPU time of the fit in seconds.

    `suspected` (L,) marks the labelled photos whose labels contradict predictions (see training.label_errors);
    `label_probabilities` (L, V + 1) are these predictions, and `reviewers` the errors of each reviewer. `used` (L,)
    marks the labelled photos that the head was fitted on.
    """

    head: Head
    calibration: Calibration
    operating_points: list[OperatingPoint]
    operating_point: OperatingPoint
    n_training: int
    n_computed: int
    n_cached: int
    cross_fitted_logits: Floats
    truth: Ints
    calibration_set: Dataset
    is_labelled: NDArray[np.bool_]
    used: NDArray[np.bool_]
    suspected: NDArray[np.bool_]
    label_probabilities: Floats
    reviewers: list[ReviewerErrors]
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
    reviewers: Sequence[str] = (),
) -> Classifier:
    """Fit the head on base data and labelled photos, and find calibration and threshold by cross-fitting.

    `start` is the head that the L2 penalty pulls towards; `seed` draws the sample of the base data and the folds.
    `reviewers` (L,) gave the labels of the labelled photos.

    The head is not fitted on suspected labels, nor on any label of a reviewer who is worse than the others, because
    some of their errors are not found. The calibration leaves out only the latter: any other suspected label may be an
    error of the model, which the threshold must account for.

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
    features, imagenet = cache.get(data.images, on_progress)
    fold = stratified_folds(data.labels, recipe.n_folds, seed)
    fitter = _Fitter(start, features, imagenet, truth, is_labelled, recipe)
    # Confidences on images that the backbone was trained on are too high to calibrate on.
    is_untrained = (hash_fractions(data) < backbone.min_training_hash) | is_labelled | ~_is_cifar_sized(data)
    is_calibrated = is_untrained & (data.labels != BLANK_LABEL)

    is_used = np.ones(len(data), dtype=bool)
    logits = fitter.cross_fit(is_used, fold)
    first = calibrate(logits[is_calibrated], truth[is_calibrated], policy)
    suspected = np.zeros(len(data), dtype=bool)
    suspected[is_calibrated] = find_suspected(first.probabilities(logits[is_calibrated]), truth[is_calibrated])
    suspected &= is_labelled
    label_probabilities = first.probabilities(logits[is_labelled])
    compared = compare_reviewers(reviewers, suspected[is_labelled]) if len(reviewers) else []
    is_of_worse = np.zeros(len(data), dtype=bool)
    if compared:
        worse = [errors.reviewer for errors in compared if errors.is_worse]
        is_of_worse[is_labelled] = np.isin(list(reviewers), worse)
    if suspected.any():
        is_used = ~suspected & ~is_of_worse
        logits = fitter.cross_fit(is_used, fold)
        is_calibrated &= ~is_of_worse

    calibration_rows = np.flatnonzero(is_calibrated)
    cross_fitted, calibration_truth = logits[calibration_rows], truth[calibration_rows]
    points = estimate_operating_points(cross_fitted, calibration_truth, policy, seed)
    return Classifier(
        head=fitter.fit(is_used),
        calibration=calibrate(cross_fitted, calibration_truth, policy),
        operating_points=points,
        operating_point=choose_operating_point(points, policy),
        n_training=int(is_used.sum()),
        n_computed=cache.computed,
        n_cached=len(data) - cache.computed,
        cross_fitted_logits=cross_fitted,
        truth=calibration_truth,
        calibration_set=data[calibration_rows],
        is_labelled=is_labelled[calibration_rows],
        used=is_used[is_labelled],
        suspected=suspected[is_labelled],
        label_probabilities=label_probabilities,
        reviewers=compared,
        cpu_s=time.process_time() - start_s,
    )


@dataclass(frozen=True)
class _Fitter:
    """Fits heads on subsets of N images, whose features (N, VIEWS, D) and ImageNet logits (N, VIEWS, 1000) it holds."""

    start: Head
    features: NDArray[np.float32]
    imagenet: NDArray[np.float32]
    truth: Ints
    is_labelled: NDArray[np.bool_]
    recipe: Recipe

    def fit(self, is_used: NDArray[np.bool_], rows: NDArray[np.bool_] | None = None) -> Head:
        """Return the head fitted on those of `rows` (N,), by default all, that are used (N,)."""
        weights = np.zeros(len(self.truth))
        weights[is_used] = sample_weights(
            self.truth[is_used], self.is_labelled[is_used], len(self.start.classes) - 1, self.recipe.label_weight
        )
        chosen = np.flatnonzero(is_used if rows is None else is_used & rows)
        count = int(is_used.sum())
        # On the view of the whole image alone: the centre crop of a small image cuts off its vehicle more often.
        return fit_head(
            self.start,
            self.features[chosen, :1],
            self.imagenet[chosen, :1],
            self.truth[chosen],
            weights[chosen],
            self.recipe.l2_penalty / count,
            self.recipe.bias_l2_penalty / count,
        )

    def cross_fit(self, is_used: NDArray[np.bool_], fold: Ints) -> Floats:
        """Return the logits (N, V + 1) of every image, used or not, from a head fitted without its fold (N,)."""
        logits = np.zeros((len(self.truth), len(self.start.classes)))
        for number in np.unique(fold):
            head = self.fit(is_used, fold != number)
            rows = np.flatnonzero(fold == number)
            logits[rows] = head.logits(self.features[rows], self.imagenet[rows])
        return logits


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
