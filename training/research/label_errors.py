"""Measure what wrong labels of one reviewer do: `python -m training.research.label_errors --data build/data`.

Labels are given to images of the training data that are not in the base data of the experiment, and optionally to
street photos; REVIEWERS share them equally. One reviewer gives wrong labels, WRONG_SHARE of all. Each experiment trains
with the correct labels, with the wrong ones and no search for label errors, and with the wrong ones and the search. The
models are measured on other images of the training data, or on the other street photos; never on test images.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from training import classifier as fitting
from training import dataset, metrics
from training.backbone import Backbone, load_backbone
from training.classifier import Classifier, Recipe, fit_classifier
from training.dataset import Dataset, concatenate, sample, targets
from training.features import FeatureCache
from training.holdout import split_holdout
from training.initial_head import load_initial_head
from training.label_errors import compare_reviewers
from training.policy import Policy
from training.research.experiments import IMAGENET_CLASSES, VEHICLES, read_photos, split_series

REVIEWERS = 4
WRONG_SHARE = 0.05
SIMULATED_SETS = 200
"""Random assignments of the correct labels to reviewers, in each of which nobody should be called worse."""


@dataclass(frozen=True)
class Labelled:
    """An experiment: base data, labelled photos, photos to measure on, and the reviewer (L,) of each labelled photo."""

    base: Dataset
    labelled: Dataset
    measured: Dataset
    reviewers: list[str]

    def with_errors(self, seed: int) -> tuple[Dataset, NDArray[np.bool_]]:
        """Return the labelled photos with wrong labels by the first reviewer, and which (L,) are wrong."""
        generator = np.random.default_rng(seed)
        own = np.flatnonzero(np.array(self.reviewers) == "reviewer 0")
        wrong = generator.choice(own, round(WRONG_SHARE * len(self.labelled)), replace=False)
        labels = self.labelled.labels.astype("U32")
        for row in wrong:
            is_vehicle = labels[row] in VEHICLES
            labels[row] = VEHICLES[1 - VEHICLES.index(labels[row])] if is_vehicle else generator.choice(VEHICLES)
        is_wrong = np.zeros(len(labels), dtype=bool)
        is_wrong[wrong] = True
        return Dataset(self.labelled.images, labels), is_wrong


def experiment_on_training_data(train: Dataset, seed: int) -> Labelled:
    """Label 150 images of each vehicle and 100 others; measure on the holdout."""
    base, holdout = split_holdout(train)
    generator = np.random.default_rng(seed)
    vehicles = base.with_labels(VEHICLES)
    chosen = np.concatenate([
        generator.choice(np.flatnonzero(vehicles.labels == name), 150, replace=False) for name in VEHICLES
    ])  # fmt: skip
    others = sample(base.without_labels(VEHICLES), 20, 0)
    is_labelled_other = np.zeros(len(others), dtype=bool)
    is_labelled_other[generator.choice(len(others), 100, replace=False)] = True
    is_labelled = np.zeros(len(vehicles), dtype=bool)
    is_labelled[chosen] = True
    labelled = concatenate([vehicles[is_labelled], others[is_labelled_other]])
    measured = concatenate([holdout.with_labels(VEHICLES), sample(holdout.without_labels(VEHICLES), 5, 0)])
    return Labelled(
        concatenate([vehicles[~is_labelled], others[~is_labelled_other]]),
        labelled,
        measured,
        _assign(len(labelled), seed),
    )


def experiment_on_street_photos(train: Dataset, street: tuple[Dataset, list[str]], seed: int) -> Labelled:
    """Label the street photos of one half; measure on those of the other half."""
    base, _ = split_holdout(train)
    base = concatenate([base.with_labels(VEHICLES), sample(base.without_labels(VEHICLES), 20, 0)])
    photos, names = street
    in_first_half = split_series(names, seed)
    labelled = photos[in_first_half]
    return Labelled(base, labelled, photos[~in_first_half], _assign(len(labelled), seed))


def run(experiment: Labelled, backbone: Backbone, cache: FeatureCache, seed: int) -> dict[str, Any]:
    """Return the figures of the three models, and what was found of the wrong labels."""
    noisy, is_wrong = experiment.with_errors(seed)
    clean = _fit(experiment, experiment.labelled, backbone, cache, seed)
    # Without a suspected label the search changes nothing.
    clean_unfiltered = clean
    if clean.suspected.any():
        clean_unfiltered = _fit(experiment, experiment.labelled, backbone, cache, seed, search=False)
    unfiltered = _fit(experiment, noisy, backbone, cache, seed, search=False)
    filtered = _fit(experiment, noisy, backbone, cache, seed)
    generator = np.random.default_rng(seed)
    accused = sum(
        any(
            errors.is_worse
            for errors in compare_reviewers(generator.permutation(experiment.reviewers).tolist(), clean.suspected)
        )
        for _ in range(SIMULATED_SETS)
    )
    return {
        "labels": len(noisy),
        "wrong": int(is_wrong.sum()),
        "found": int((filtered.suspected & is_wrong).sum()),
        "suspected though correct": int((filtered.suspected & ~is_wrong).sum()),
        "suspected without wrong labels": int(clean.suspected.sum()),
        "named": [errors.reviewer for errors in filtered.reviewers if errors.is_worse],
        "sets of correct labels in which somebody is named": accused,
        "correct labels, no search": _measure(clean_unfiltered, experiment.measured, cache),
        "correct labels": _measure(clean, experiment.measured, cache),
        "wrong labels, no search": _measure(unfiltered, experiment.measured, cache),
        "wrong labels": _measure(filtered, experiment.measured, cache),
    }


def _assign(count: int, seed: int) -> list[str]:
    names = [f"reviewer {number % REVIEWERS}" for number in range(count)]
    return [names[row] for row in np.random.default_rng(seed).permutation(count)]


def _fit(
    experiment: Labelled, labelled: Dataset, backbone: Backbone, cache: FeatureCache, seed: int, search: bool = True
) -> Classifier:
    start = load_initial_head(VEHICLES, IMAGENET_CLASSES).head
    arguments = (experiment.base, labelled, start, backbone, cache, Policy(), Recipe(), seed)
    if search:
        return fit_classifier(*arguments, reviewers=experiment.reviewers)
    nothing: Callable[..., NDArray[np.bool_]] = lambda _, labels: np.zeros(len(labels), dtype=bool)  # noqa: E731
    with patch.object(fitting, "find_suspected", nothing):
        return fit_classifier(*arguments, reviewers=experiment.reviewers)


def _measure(fitted: Classifier, measured: Dataset, cache: FeatureCache) -> dict[str, float]:
    probabilities = fitted.calibration.probabilities(fitted.head.logits(*cache.get(measured.images)))
    truth = targets(measured, VEHICLES)
    threshold = fitted.operating_point.threshold
    at_threshold = metrics.at_threshold(probabilities, truth, threshold)
    return {
        "accuracy": metrics.accuracy(probabilities, truth),
        "accuracy_with_other": metrics.accuracy_with_other(probabilities, truth),
        "decided": at_threshold.coverage,
        "wrong": at_threshold.error_accepted,
        "threshold": threshold,
    }


def main() -> int:
    """Run both experiments with every seed, print a line of JSON for each; return the exit status."""
    parser = argparse.ArgumentParser(description="Measure what wrong labels of one reviewer do.")
    parser.add_argument("--data", type=Path, default=Path("build/data"))
    parser.add_argument("--street", type=Path, help="a folder of class folders with street photos")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--folder", type=Path, default=Path("build/study"), help="where features are cached")
    arguments = parser.parse_args()
    train, backbone = dataset.load(arguments.data / "train"), load_backbone()
    cache = FeatureCache(backbone, arguments.folder)
    street = read_photos(arguments.street) if arguments.street else None
    for seed in arguments.seeds:
        experiments = {"training data": experiment_on_training_data(train, seed)}
        if street:
            experiments["street photos"] = experiment_on_street_photos(train, street, seed)
        for name, experiment in experiments.items():
            print(json.dumps({"experiment": name, "seed": seed, **run(experiment, backbone, cache, seed)}), flush=True)
    cache.save(arguments.folder)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
