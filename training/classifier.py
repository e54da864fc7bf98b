"""From labelled pictures to a model that is ready to be judged: a fitted head, its calibration and its threshold."""

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.backbone import Backbone
from training.calibrate import OperatingPoint, calibrate, choose, operating_points
from training.calibration import Calibration
from training.dataset import Dataset, concatenate, folds, sample, targets
from training.drawn import BLANK, blank_images
from training.features import Done, FeatureCache
from training.fit import fit_head
from training.head import Head
from training.holdout import positions
from training.metrics import Floats, Ints
from training.policy import Policy


@dataclass(frozen=True)
class Recipe:
    """The hyperparameters of a retraining; the defaults are those that ship.

    At most `vehicles_each` pictures of each vehicle and `others_each` of each other class are drawn from the base data;
    all labelled photos are used, each weighing as much as `label_weight` pictures. Vehicles and other pictures weigh
    the same in all. `penalty` is per picture: the head is pulled towards its start by `penalty` / N, and its bias by
    `bias_penalty` / N.
    """

    vehicles_each: int = 1000
    others_each: int = 20
    blank_images: int = 100
    label_weight: float = 3.0
    penalty: float = 30.0
    bias_penalty: float = 0.0
    folds: int = 5


DRAWN = Recipe(penalty=1000.0, bias_penalty=1000.0)
"""For drawn pictures, which say little about photos: the head stays close to where it started."""


@dataclass(frozen=True)
class Classifier:
    """A fitted head with its calibration and operating points.

    `fitting` counts the pictures it was fitted on, `computed` the features that were not kept. `honest` are the
    pictures that calibrated it, `cross_fitted` (N, V + 1) their logits from heads fitted without them, `truth` (N,)
    their classes; `cpu_s` is what it all cost in CPU seconds.
    """

    head: Head
    calibration: Calibration
    points: list[OperatingPoint]
    point: OperatingPoint
    fitting: int
    computed: int
    cross_fitted: Floats
    truth: Ints
    honest: Dataset
    cpu_s: float


def learn(
    base: Dataset,
    labelled: Dataset,
    start: Head,
    backbone: Backbone,
    cache: FeatureCache,
    policy: Policy,
    recipe: Recipe,
    seed: int,
    done: Done = lambda *_: None,
) -> Classifier:
    """Fit the head on base data and labelled photos, and find calibration and threshold by cross-fitting.

    `seed` draws the sample of the base data and the folds. Raises ValueError when a vehicle has too few pictures.
    """
    begun = time.process_time()
    vehicles = start.classes[:-1]
    drawn = concatenate([
        sample(base.of(vehicles), recipe.vehicles_each, seed), sample(base.without(vehicles), recipe.others_each, seed)
    ])  # fmt: skip
    counts = concatenate([drawn, labelled]).counts()
    if poor := [f"{name} ({counts.get(name, 0)})" for name in vehicles if counts.get(name, 0) < 8]:
        raise ValueError(f"too few training photos of {', '.join(poor)}; at least 8 of each vehicle are needed")
    blank = blank_images(recipe.blank_images, seed)
    data = concatenate([drawn, labelled, blank])
    truth = targets(data, vehicles)
    is_label = np.zeros(len(data), dtype=bool)
    is_label[len(drawn) : len(drawn) + len(labelled)] = True
    weights = picture_weights(truth, is_label, len(vehicles), recipe.label_weight)

    features, imagenet = cache.of(data.pictures, done)
    penalty, bias_penalty = recipe.penalty / len(data), recipe.bias_penalty / len(data)

    def fit(rows: Ints) -> Head:
        # On the view of the whole picture alone: the middle of a small picture is more often without its vehicle.
        return fit_head(
            start, features[rows, :1], imagenet[rows, :1], truth[rows], weights[rows], penalty, bias_penalty
        )

    # What the backbone was trained on tells nothing about how sure it may be of other pictures.
    honest = np.flatnonzero((positions(data) < backbone.seen_from) | is_label | ~_is_small(data))
    fold = folds(data.labels, recipe.folds, seed)
    logits = np.zeros((len(data), len(vehicles) + 1))
    for number in range(recipe.folds):
        head = fit(np.flatnonzero(fold != number))
        rows = np.flatnonzero(fold == number)
        logits[rows] = head.logits(features[rows], imagenet[rows])
    honest = honest[data.labels[honest] != BLANK]
    cross_fitted, known = logits[honest], truth[honest]
    points = operating_points(cross_fitted, known, policy, seed)
    return Classifier(
        head=fit(np.arange(len(data))),
        calibration=calibrate(cross_fitted, known, policy),
        points=points,
        point=choose(points, policy),
        fitting=len(data),
        computed=cache.computed,
        cross_fitted=cross_fitted,
        truth=known,
        honest=data[honest],
        cpu_s=time.process_time() - begun,
    )


def picture_weights(truth: Ints, is_label: NDArray[np.bool_], vehicles: int, label_weight: float) -> Floats:
    """Return (N,): labelled photos `label_weight`, others 1, then scaled so that vehicles and others weigh the same."""
    weights = np.where(is_label, label_weight, 1.0)
    is_other = truth == vehicles
    if is_other.any() and not is_other.all():
        weights[is_other] *= weights[~is_other].sum() / weights[is_other].sum()
    return weights


def _is_small(data: Dataset) -> NDArray[np.bool_]:
    """Return (N,): whether a picture has the size of the base data that the backbone was trained on."""
    return np.array([picture.shape[:2] == (32, 32) for picture in data.pictures], dtype=bool)
