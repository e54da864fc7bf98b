"""The evaluation job of a retraining, `python -m training.compare`: champion and challenger on the same photos.

These are the holdout of the base data (training.holdout) and the labelled photos that no model is trained on.
Differences are challenger minus champion, with a 90% interval by paired bootstrap: both models predict the same
resampled photos, so the difficulty of the photos does not widen the interval (Efron and Tibshirani, "An Introduction to
the Bootstrap", 1993).
"""

import argparse
import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from training import dataset, metrics
from training.artifact import ModelArchiveError, unpack_model
from training.backbone import Backbone, Floats32
from training.dataset import Dataset, concatenate, sample, targets
from training.features import FeatureCache
from training.holdout import split_holdout
from training.images import resize_batch
from training.inference import BackboneModel, Model, model_fn, predict_probabilities
from training.labels import load_labelled
from training.metrics import Floats, Ints, Metric, bootstrap_interval, nan_to_none
from training.vehicles import VEHICLES_FILE, configured_vehicles

N_RESAMPLES = 500
INTERVAL_90 = (0.05, 0.95)
"""The quantiles that bound a 90% interval."""

TIMED_PHOTOS = 20
MAX_PER_OTHER_CLASS = 10
"""The maximum number of holdout images of each other class; with 88 classes, more images only take longer."""

METRICS: dict[str, Metric] = {"accuracy": metrics.accuracy, "ece": metrics.ece, "auroc": metrics.auroc}


class ComparisonError(Exception):
    """The models cannot be compared. The message names the cause."""


class SharedFeatures:
    """A feature cache per backbone, so that two models with the same backbone compute features once."""

    def __init__(self) -> None:
        """Start without caches."""
        self._caches: dict[str, FeatureCache] = {}
        self._lock = threading.Lock()

    def get(self, backbone: Backbone, data: Dataset) -> tuple[Floats32, Floats32]:
        """Return the features of `data` (see training.features)."""
        with self._lock:
            return self._caches.setdefault(backbone.digest, FeatureCache(backbone)).get(data.images)


class ComparedModel:
    """A model whose predictions are mapped to `vehicles`, some of which it may not have been trained on."""

    def __init__(
        self, version: str, model: Model, size_bytes: int, vehicles: tuple[str, ...], shared: SharedFeatures
    ) -> None:
        """`size_bytes` is the size of the model's files; `shared` computes the features."""
        self.version = version
        self._shared = shared
        self._model = model
        self._size_bytes = size_bytes
        self._vehicles = vehicles

    def probabilities(self, data: Dataset) -> Floats:
        """Return (N, V + 1); a vehicle that the model was not trained on has probability 0."""
        result: Floats = np.zeros((len(data), len(self._vehicles) + 1))
        columns = [*(self._vehicles.index(name) for name in self._model.classes[:-1]), len(self._vehicles)]
        if isinstance(self._model, BackboneModel):
            result[:, columns] = self._model.probabilities_of_features(*self._shared.get(self._model.backbone, data))
            return result
        result[:, columns] = predict_probabilities(self._model, data.images)
        return result

    def evaluate(self, probabilities: Floats, truth: Ints, timed: Dataset) -> dict[str, Any]:
        """Return the metrics of its probabilities (N, V + 1) on the holdout, its latency on `timed`, and its size.

        `latency_ms` is the median of single images without decoding; `size_mb` is in 10^6 bytes.
        """
        at_threshold = metrics.at_threshold(probabilities, truth, self._model.threshold)
        is_correct = probabilities.argmax(axis=1) == truth
        return {
            "model_version": self.version,
            **{name: nan_to_none(metric(probabilities, truth)) for name, metric in METRICS.items()},
            "coverage": nan_to_none(at_threshold.coverage),
            "error_accepted": nan_to_none(at_threshold.error_accepted),
            "other_accepted": nan_to_none(at_threshold.other_accepted),
            "threshold": self._model.threshold,
            "latency_ms": round(self._latency_ms(timed), 3),
            "size_mb": round(self._size_bytes / 1e6, 3),
            "recall": {
                name: nan_to_none(float(is_correct[truth == index].mean())) if (truth == index).any() else None
                for index, name in enumerate(self._vehicles)
            },
        }

    def _latency_ms(self, timed: Dataset) -> float:
        times_ms = []
        for image in resize_batch(timed.images[:TIMED_PHOTOS], self._model.side):
            start_s = time.perf_counter()
            self._model.probabilities(image[None])
            times_ms.append((time.perf_counter() - start_s) * 1000)
        return float(np.median(times_ms))


def compare(
    challenger: Path, champion: Path | None, holdout: Dataset, labelled: Dataset, versions: tuple[str, str]
) -> dict[str, Any]:
    """Return the report on two models (folders or model.tar.gz); `versions` are the challenger's and the champion's.

    Raises ModelArchiveError when a model cannot be read, ComparisonError when the holdout shows none of the vehicles.
    """
    with ExitStack() as stack:
        folders = [stack.enter_context(unpack_model(path)) for path in (challenger, champion) if path is not None]
        models = [model_fn(folder) for folder in folders]
        vehicles = tuple(dict.fromkeys(name for model in models for name in model.classes[:-1]))
        truth = targets(holdout, vehicles)
        if not (truth < len(vehicles)).any():
            raise ComparisonError(f"the holdout of {len(holdout)} photos shows none of {', '.join(vehicles)}")
        shared = SharedFeatures()
        compared = [
            ComparedModel(version, model, model_size_bytes(folder), vehicles, shared)
            for version, model, folder in zip(versions, models, folders, strict=False)
        ]
        # A model computes with one thread, so two models on two cores take half the time.
        with ThreadPoolExecutor(2) as pool:
            probabilities = list(pool.map(lambda model: model.probabilities(holdout), compared))
        report: dict[str, Any] = {
            "challenger": compared[0].evaluate(probabilities[0], truth, holdout),
            "champion": None,
            "holdout": {
                "photos": int((truth < len(vehicles)).sum()),
                "others": int((truth == len(vehicles)).sum()),
                "differences": dict.fromkeys(METRICS),
            },
            "labelled": None,
        }
        if champion is None:
            return report
        report["champion"] = compared[1].evaluate(probabilities[1], truth, holdout)
        report["holdout"]["differences"] = {
            name: paired_difference(metric, probabilities[0], probabilities[1], truth)
            for name, metric in METRICS.items()
        }
        if len(labelled):
            report["labelled"] = _compare_on_labelled(compared[0], compared[1], labelled, targets(labelled, vehicles))
        return report


def paired_difference(
    metric: Metric, challenger: Floats, champion: Floats, truth: Ints, seed: int = 0
) -> dict[str, float] | None:
    """Return the difference `mean` and its 90% interval `low` and `high`; None when the metric cannot be computed.

    `challenger` and `champion` are the probabilities (N, V + 1) of the two models on the same photos.
    """

    def difference(rows: Ints) -> float:
        return metric(challenger[rows], truth[rows]) - metric(champion[rows], truth[rows])

    observed = metric(challenger, truth) - metric(champion, truth)
    is_vehicle = truth < challenger.shape[1] - 1
    low, high = bootstrap_interval(difference, is_vehicle, N_RESAMPLES, INTERVAL_90, seed)
    if np.isnan(low) or np.isnan(observed):
        return None
    return {"mean": float(observed), "low": low, "high": high}


def subsample_others(holdout: Dataset, vehicles: tuple[str, ...]) -> Dataset:
    """Return the holdout with at most MAX_PER_OTHER_CLASS images of each other class, always the same ones."""
    return concatenate([
        holdout.with_labels(vehicles), sample(holdout.without_labels(vehicles), MAX_PER_OTHER_CLASS, seed=0)
    ])  # fmt: skip


def model_size_bytes(folder: Path) -> int:
    """Return the size of a model's weights, without the inference code."""
    return sum(path.stat().st_size for path in folder.iterdir() if path.suffix in (".onnx", ".npz"))


def find_artifact(folder: Path) -> Path:
    """Return the model.tar.gz in an input folder of the job. Raises ComparisonError when there is none."""
    found = sorted(folder.rglob("*.tar.gz"))
    if not found:
        raise ComparisonError(f"{folder.name} contains no model.tar.gz")
    return found[0]


def _compare_on_labelled(
    challenger: ComparedModel, champion: ComparedModel, labelled: Dataset, truth: Ints
) -> dict[str, Any]:
    new, old = challenger.probabilities(labelled), champion.probabilities(labelled)
    return {
        "photos": len(labelled),
        "challenger_accuracy": metrics.accuracy_with_other(new, truth),
        "champion_accuracy": metrics.accuracy_with_other(old, truth),
        "difference": paired_difference(metrics.accuracy_with_other, new, old, truth),
    }


def main() -> int:
    """Compare, write evaluation.json to the folder --out; return the exit status."""
    parser = argparse.ArgumentParser(description="Compare champion and challenger on the same photos.")
    for name in ("challenger", "champion", "base", "snapshot", "labelled", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--vehicles", type=Path, default=VEHICLES_FILE)
    parser.add_argument("--champion-version", required=True, help="`none` when there is no champion yet")
    parser.add_argument("--challenger-version", required=True)
    arguments = parser.parse_args()
    has_champion = arguments.champion_version != "none"
    try:
        _, holdout = split_holdout(dataset.load(arguments.base))
        holdout = subsample_others(holdout, configured_vehicles(arguments.vehicles))
        report = compare(
            find_artifact(arguments.challenger),
            find_artifact(arguments.champion) if has_champion else None,
            holdout,
            load_labelled(arguments.snapshot, arguments.labelled, use="evaluate"),
            (arguments.challenger_version, arguments.champion_version),
        )
    except (ComparisonError, ModelArchiveError, OSError, ValueError, KeyError) as error:
        print(f"comparison failed: {error}", file=sys.stderr, flush=True)
        return 1
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "evaluation.json").write_text(json.dumps(report, indent=2) + "\n")
    for role in ("challenger", "champion"):
        if report[role]:
            print(role, *(f"{name}={report[role][name]};" for name in METRICS), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
