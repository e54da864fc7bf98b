"""The experiments of the study: each trains a classifier and measures it on other photos."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training import dataset, metrics
from training.backbone import Backbone
from training.classifier import Classifier, Recipe, fit_classifier
from training.dataset import Dataset, concatenate, sample, stratified_folds, targets
from training.features import FeatureCache
from training.head import Head
from training.holdout import split_holdout
from training.images import Pixels, downscale
from training.initial_head import load_initial_head
from training.metrics import Floats
from training.photo_errors import PhotoError
from training.policy import Policy
from training.research.corruptions import CORRUPTIONS, generate_blank_photos
from training.research.study_metrics import Figures, measure
from training.vehicles import OTHER

VEHICLES = ("bicycle", "motorcycle")
FOUR_VEHICLES = (*VEHICLES, "bus", "pickup_truck")
IMAGENET_CLASSES = {"bicycle": (671, 444), "motorcycle": (670, 665), "bus": (779, 874, 654), "pickup_truck": (717,)}
UNSEEN_VEHICLES = ("bus", "pickup_truck", "tank", "train")
UNSEEN_CLASSES = (
    *UNSEEN_VEHICLES,
    *("aquarium_fish", "bear", "bed", "can", "cockroach", "cup", "lion"),
    *("mountain", "orange", "plate", "poppy", "sea", "skyscraper", "television"),
)
"""The classes left out of training in the experiment on unseen classes: four vehicles and 14 random classes."""

FEATURE_WIDTH = 1280
"""Features of EfficientNet-Lite0, stated here because training.research.efficientnet needs PyTorch."""

N_FOLDS = 5
LABEL_COUNTS = (10, 30, 100)
"""How many labelled street photos are trained on, before all of one half are used."""

MAX_PER_OTHER_CLASS = 20
"""Test images of each class of other things."""


@dataclass(frozen=True)
class Fitted:
    """A classifier with the feature cache of its backbone."""

    classifier: Classifier
    cache: FeatureCache

    @property
    def threshold(self) -> float:
        """The classifier's own threshold, in [0, 1]."""
        return self.classifier.operating_point.threshold

    def probabilities(self, data: Dataset) -> Floats:
        """Return the calibrated probabilities (N, V + 1)."""
        logits = self.classifier.head.logits(*self.cache.get(data.images))
        return self.classifier.calibration.probabilities(logits)

    def measure(self, data: Dataset) -> Figures:
        """Return the metrics on `data`."""
        return measure(self.probabilities(data), targets(data, self.classifier.head.classes[:-1]), self.threshold)


class Experiments:
    """Trains classifiers as the training job does, and measures them; features are cached by backbone in `folder`."""

    def __init__(self, folder: Path, train: Dataset, test: Dataset, recipe: Recipe, policy: Policy) -> None:
        """`train` and `test` are the staged data sets."""
        self._folder, self._train, self._test, self._recipe, self._policy = folder, train, test, recipe, policy
        self._caches: dict[str, FeatureCache] = {}

    def save_features(self) -> None:
        """Write the feature caches of all backbones."""
        for digest, cache in self._caches.items():
            cache.save(self._folder / digest[:16])

    def measure_official(
        self, backbone: Backbone, seed: int, street: tuple[Dataset, list[str]], real: Dataset
    ) -> Figures:
        """Train on the training images; measure on test images, street photos, other real photos and corruptions."""
        base, _ = split_holdout(self._train)
        fitted = self._fit(backbone, base, dataset.empty(), load_initial_head(VEHICLES, IMAGENET_CLASSES).head, seed)
        photos, names = street
        is_catalogue = np.array([name.startswith(("crops", "clean")) for name in names], dtype=bool)
        vehicles = photos[np.isin(photos.labels, VEHICLES)]
        tests = self._test.with_labels(VEHICLES)
        result = {
            "official": fitted.measure(tests),
            "official and all other test pictures": fitted.measure(
                concatenate([tests, sample(self._test.without_labels(VEHICLES), MAX_PER_OTHER_CLASS, 0)])
            ),
            "street": fitted.measure(photos),
            "catalogue and cut-outs": fitted.measure(
                concatenate([photos[is_catalogue].with_labels(VEHICLES), real.with_labels(VEHICLES)])
            ),
            "real photos": fitted.measure(real),
            "blank_accepted": {
                kind: int(metrics.accepted(fitted.probabilities(_as_other(images)), fitted.threshold).sum())
                for kind, images in generate_blank_photos().items()
            },
            "cpu_s": fitted.classifier.cpu_s,
            "operating_point": fitted.classifier.operating_point.__dict__,
        }
        for name, corrupt in CORRUPTIONS.items():
            corrupted = Dataset([corrupt(image) for image in vehicles.images], vehicles.labels)
            result[f"street, {name}"] = fitted.measure(corrupted)
        return result

    def measure_labelled(
        self, backbone: Backbone, seed: int, street: tuple[Dataset, list[str]]
    ) -> Iterator[tuple[str, Figures]]:
        """Train with labelled street photos of one half; measure on the other half. Yields (name, figures)."""
        base, _ = split_holdout(self._train)
        photos, names = street
        in_first_half = split_series(names, seed)
        available, measured = photos[in_first_half], photos[~in_first_half]
        order = np.random.default_rng(seed).permutation(len(available))
        start = load_initial_head(VEHICLES, IMAGENET_CLASSES).head
        for count in (0, *LABEL_COUNTS, len(available)):
            labels = available[order[:count]] if count else dataset.empty()
            fitted = self._fit(backbone, base, labels, start, seed)
            yield f"{count if count < len(available) else 'half'} labels", fitted.measure(measured)

    def cross_validate(self, backbones: Mapping[int, Backbone], seed: int) -> Figures:
        """Cross-validate over all images of the vehicles; `backbones[k]` was trained without the images of fold k."""
        vehicles = concatenate([self._train.with_labels(VEHICLES), self._test.with_labels(VEHICLES)])
        fold = stratified_folds(vehicles.labels, N_FOLDS, 0)
        others = self._train.without_labels(VEHICLES)
        probabilities, truth, decided, wrong = [], [], 0, 0
        for number, backbone in backbones.items():
            base = concatenate([vehicles[fold != number], others])
            fitted = self._fit(backbone, base, dataset.empty(), imagenet_head(VEHICLES), seed)
            measured = vehicles[fold == number]
            fold_probabilities, fold_truth = fitted.probabilities(measured), targets(measured, VEHICLES)
            is_accepted = metrics.accepted(fold_probabilities, fitted.threshold)
            decided += int(is_accepted.sum())
            wrong += int((fold_probabilities.argmax(axis=1) != fold_truth)[is_accepted].sum())
            probabilities.append(fold_probabilities)
            truth.append(fold_truth)
            print(f"fold {number}: {metrics.accuracy(fold_probabilities, fold_truth):.3f}", flush=True)
        figures = measure(np.concatenate(probabilities), np.concatenate(truth), 0.9)
        # Each fold has a threshold of its own.
        return {
            **figures,
            "decided": decided / figures["photos"],
            "wrong": wrong / max(1, decided),
            "threshold": None,
        }

    def measure_unseen(self, backbone: Backbone, seed: int) -> Figures:
        """Train without UNSEEN_CLASSES; measure on 100 images of each of them and the vehicles' test images.

        `backbone` was trained without them, too.
        """
        base, _ = split_holdout(self._train.without_labels(UNSEEN_CLASSES))
        fitted = self._fit(backbone, base, dataset.empty(), imagenet_head(VEHICLES), seed)
        unseen = sample(self._train.with_labels(UNSEEN_CLASSES), 100, 0)
        tests = self._test.with_labels(VEHICLES)
        return {
            "unseen classes": fitted.measure(concatenate([tests, unseen])),
            "unseen vehicles": fitted.measure(concatenate([tests, unseen.with_labels(UNSEEN_VEHICLES)])),
        }

    def measure_four_vehicles(self, backbone: Backbone, seed: int) -> Figures:
        """Train on FOUR_VEHICLES; measure on the official test images."""
        base, _ = split_holdout(self._train)
        start = load_initial_head(FOUR_VEHICLES, IMAGENET_CLASSES).head
        fitted = self._fit(backbone, base, dataset.empty(), start, seed)
        others = sample(self._test.without_labels(FOUR_VEHICLES), MAX_PER_OTHER_CLASS, 0)
        return fitted.measure(concatenate([self._test.with_labels(FOUR_VEHICLES), others]))

    def _fit(self, backbone: Backbone, base: Dataset, labelled: Dataset, start: Head, seed: int) -> Fitted:
        if backbone.digest not in self._caches:
            self._caches[backbone.digest] = FeatureCache(backbone, self._folder / backbone.digest[:16])
        cache = self._caches[backbone.digest]
        return Fitted(fit_classifier(base, labelled, start, backbone, cache, self._policy, self._recipe, seed), cache)


def imagenet_head(vehicles: tuple[str, ...]) -> Head:
    """Return the head without a correction, which predicts what ImageNet's head predicts."""
    groups = tuple(IMAGENET_CLASSES[name] for name in vehicles)
    return Head((*vehicles, OTHER), groups, np.zeros((len(vehicles) + 1, FEATURE_WIDTH)), np.zeros(len(vehicles) + 1))


def read_photos(folder: Path) -> tuple[Dataset, list[str]]:
    """Return the .jpg photos in the class folders of `folder`, and their file names."""
    images, labels, names = [], [], []
    for path in sorted(folder.glob("*/*.jpg")):
        try:
            images.append(downscale(path.read_bytes()))
        except PhotoError as error:
            print(f"{path.name} is skipped: {error}", flush=True)
            continue
        labels.append(path.parent.name)
        names.append(path.name)
    return Dataset(images, np.array(labels)), names


def split_series(names: list[str], seed: int) -> NDArray[np.bool_]:
    """Return (N,): which photos are in the first of two random halves.

    Photos of one source whose numbers differ only in the last digit stay together, because they may show one object.
    """
    groups = []
    for name in names:
        match = re.search(r"([a-z]+)_(\d+)\.", name)
        groups.append(f"{match[1]}-{int(match[2]) // 10}" if match else name)
    unique = np.unique(groups)
    first_half = set(np.random.default_rng(seed).permutation(unique)[: len(unique) // 2].tolist())
    return np.array([group in first_half for group in groups], dtype=bool)


def _as_other(images: list[Pixels]) -> Dataset:
    return Dataset(images, np.full(len(images), OTHER))
