"""From data to a model that is ready to be judged: fine-tuned, calibrated, with its operating threshold."""

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training import dataset
from training.backbone import Backbone
from training.calibrate import Calibration, calibrate, choose_threshold
from training.dataset import Dataset, concatenate, targets
from training.fit import EpochDone, Recipe, fine_tune, predict
from training.metrics import Floats
from training.network import Network

VALIDATION_SHARE = 0.15
OTHERS_VALIDATED = 12
"""Validation photos taken of each other class, at most: enough to see what is accepted, cheap to predict."""


@dataclass(frozen=True)
class Classifier:
    """A trained network with its calibration and threshold; `fitting` and `validation` count the images of each."""

    network: Network
    vehicles: tuple[str, ...]
    calibration: Calibration
    threshold: float
    fitting: int
    validation: Dataset
    cpu_s: float

    def probabilities(self, images: NDArray[np.uint8]) -> Floats:
        """Return calibrated probabilities (N, V + 1) of images (N, SIDE, SIDE, 3)."""
        return self.calibration.probabilities(predict(self.network, images, len(self.vehicles)))


def learn(
    data: Dataset,
    vehicles: tuple[str, ...],
    backbone: Backbone | None,
    recipe: Recipe,
    seed: int,
    done: EpochDone = lambda *_: None,
) -> Classifier:
    """Hold out validation images, fine-tune on the rest, find calibration and threshold on what was held out.

    Raises ValueError when a vehicle has too few photos to train and validate on.
    """
    counts = data.counts()
    poor = [f"{name} ({counts.get(name, 0)})" for name in vehicles if counts.get(name, 0) < 8]
    if poor:
        raise ValueError(f"too few training photos of {', '.join(poor)}; at least 8 of each vehicle are needed")
    begun = time.process_time()
    fitting, validation = hold_out(data, vehicles, seed)
    network = fine_tune(fitting, vehicles, backbone, recipe, seed, done)
    logits = predict(network, validation.images, len(vehicles))
    truth = targets(validation, vehicles)
    calibration = calibrate(logits, truth)
    threshold = choose_threshold(calibration.probabilities(logits), truth)
    spent = time.process_time() - begun
    return Classifier(network, vehicles, calibration, threshold, len(fitting), validation, spent)


def hold_out(data: Dataset, vehicles: tuple[str, ...], seed: int) -> tuple[Dataset, Dataset]:
    """Return (fitting, validation): VALIDATION_SHARE of each vehicle, and a few photos of each other class."""
    fitting, validation = dataset.split(data.of(vehicles), VALIDATION_SHARE, seed)
    others = data.without(vehicles)
    kept, held = dataset.split(others, VALIDATION_SHARE, seed, most=OTHERS_VALIDATED)
    return concatenate([fitting, kept]), concatenate([validation, held])
