"""The evaluation job of a retraining: three models on the same photos.

These are the challenger, the champion and the reference model, which stays the same over many promotions. The photos
are the holdout of the base data (training.holdout) and, for champion and challenger, the labelled photos that no model
is trained on, without those of the reviewers on whose labels the challenger was not trained. Differences are challenger
minus the other model, with a 90% interval by paired bootstrap: both models predict the same resampled photos, so the
difficulty of the photos does not widen the interval (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993).
They leave out the vehicles that the other model was not trained on: a gain on those would hide a loss on the vehicles
that both know.
"""

import argparse
import json
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training import dataset, metrics
from training.artifact import unpack_model
from training.backbone import Backbone, Floats32
from training.dataset import Dataset, targets
from training.features import FeatureCache
from training.holdout import split_holdout, subsample_others
from training.images import resize_batch
from training.inference import load_model
from training.labels import read_labelled
from training.metrics import Floats, Ints, Metric, bootstrap_interval, nan_to_none
from training.vehicles import VEHICLES_FILE, configured_vehicles

N_RESAMPLES = 500
INTERVAL_90 = (0.05, 0.95)
"""The quantiles that bound a 90% interval."""

TIMED_PHOTOS = 20
INPUTS = ("challenger", "champion", "reference", "base", "snapshot", "labelled")
"""The options that name an input folder of the job."""

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
    """A model and its version. Its predictions can be mapped to vehicles that it was not trained on."""

    def __init__(self, version: str, folder: Path, shared: SharedFeatures) -> None:
        """Load the model in `folder`; `shared` computes the features."""
        self.version = version
        self._shared = shared
        self._model = load_model(folder)
        self._size_bytes = model_size_bytes(folder)

    @property
    def vehicles(self) -> tuple[str, ...]:
        """The vehicles that it was trained on."""
        return tuple(self._model.classes[:-1])

    def probabilities(self, data: Dataset) -> Floats:
        """Return (N, C + 1): a column for each of its `vehicles`, then `other`."""
        return self._model.probabilities_of_features(*self._shared.get(self._model.backbone, data))

    def in_columns(self, probabilities: Floats, vehicles: tuple[str, ...]) -> Floats:
        """Return its probabilities as (N, V + 1); a vehicle that it was not trained on has probability 0."""
        result: Floats = np.zeros((len(probabilities), len(vehicles) + 1))
        result[:, [*map(vehicles.index, self.vehicles), len(vehicles)]] = probabilities
        return result

    def evaluate(self, probabilities: Floats, truth: Ints, timed: Dataset, vehicles: tuple[str, ...]) -> dict[str, Any]:
        """Return the metrics of its probabilities (N, V + 1) of `vehicles`, its latency on `timed`, and its size.

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
                for index, name in enumerate(vehicles)
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
    challenger: Path,
    champion: Path | None,
    holdout: Dataset,
    labelled: Dataset,
    versions: tuple[str, str],
    reference: tuple[str, Path] | None = None,
) -> dict[str, Any]:
    """Return the report on the models (folders or model.tar.gz); `versions` are the challenger's and the champion's.

    `reference` is the version and the path of the reference model. When it is None or has the champion's version, the
    champion is the reference; its figures are not computed twice. One that cannot be read is reported with the error.
    Raises ModelArchiveError when another model cannot be read, ComparisonError when the holdout shows no vehicle.
    """
    with ExitStack() as stack:
        shared = SharedFeatures()
        compared = [
            ComparedModel(version, stack.enter_context(unpack_model(path)), shared)
            for version, path in zip(versions, (challenger, champion), strict=True)
            if path is not None
        ]
        vehicles = tuple(dict.fromkeys(name for model in compared for name in model.vehicles))
        truth = targets(holdout, vehicles)
        if not (truth < len(vehicles)).any():
            raise ComparisonError(f"the holdout of {len(holdout)} photos shows none of {', '.join(vehicles)}")
        reference_model, unreadable = None, None
        if reference and reference[0] != versions[1]:
            reference_model, unreadable = _load_reference(*reference, stack, shared)
        # A model computes with one thread, so two models on two cores take half the time.
        with ThreadPoolExecutor(2) as pool:
            models = [*compared, reference_model] if reference_model else compared
            probabilities = list(pool.map(lambda model: model.probabilities(holdout), models))
        figures = [
            model.evaluate(model.in_columns(predicted, vehicles), truth, holdout, vehicles)
            for model, predicted in zip(compared, probabilities, strict=False)
        ]
        report: dict[str, Any] = {
            "challenger": figures[0],
            "champion": None,
            "reference": None,
            "holdout": {
                "photos": int((truth < len(vehicles)).sum()),
                "photos_by_vehicle": {name: int((truth == row).sum()) for row, name in enumerate(vehicles)},
                "others": int((truth == len(vehicles)).sum()),
                "differences": dict.fromkeys(METRICS),
            },
            "labelled": None,
        }
        if champion is None:
            return report
        report["champion"] = figures[1]
        differences = _differences(compared[0], compared[1], probabilities[0], probabilities[1], holdout)
        report["holdout"]["differences"] = differences
        report["reference"] = {
            "model_version": versions[1],
            "error": None,
            "metrics": figures[1],
            "differences": differences,
        }
        if reference and unreadable:
            unknown = {"metrics": None, "differences": dict.fromkeys(METRICS)}
            report["reference"] = {"model_version": reference[0], "error": unreadable, **unknown}
        elif reference_model:
            known = _known_photos(compared[0], reference_model, holdout)
            truth = targets(holdout, reference_model.vehicles)[known]
            report["reference"] = {
                "model_version": reference_model.version,
                "error": None,
                "metrics": reference_model.evaluate(probabilities[2][known], truth, holdout, reference_model.vehicles),
                "differences": _differences(compared[0], reference_model, probabilities[0], probabilities[2], holdout),
            }
        if len(labelled):
            report["labelled"] = _compare_on_labelled(compared[0], compared[1], labelled, vehicles)
        return report


def _load_reference(
    version: str, path: Path, stack: ExitStack, shared: SharedFeatures
) -> tuple[ComparedModel | None, str | None]:
    """Return the reference model, or None and the error when it cannot be read."""
    try:
        return ComparedModel(version, stack.enter_context(unpack_model(path)), shared), None
    # Models of earlier code fail in many ways. Each way fails the checks of the gate, whose verdict shows the text.
    except Exception as error:
        return None, f"{type(error).__name__}: {error}"[:500]


def _known_photos(challenger: ComparedModel, other: ComparedModel, holdout: Dataset) -> NDArray[np.bool_]:
    """Return (N,): whether a photo shows no vehicle that only the challenger was trained on."""
    added = [name for name in challenger.vehicles if name not in other.vehicles]
    result: NDArray[np.bool_] = ~np.isin(holdout.labels, added)
    return result


def _differences(
    challenger: ComparedModel, other: ComparedModel, new: Floats, old: Floats, holdout: Dataset
) -> dict[str, Any]:
    """Return the paired difference of each metric on `_known_photos`.

    `new` and `old` are what the two models returned for the holdout.
    """
    known = _known_photos(challenger, other, holdout)
    vehicles = tuple(dict.fromkeys((*challenger.vehicles, *other.vehicles)))
    truth = targets(holdout, vehicles)[known]
    new, old = challenger.in_columns(new, vehicles)[known], other.in_columns(old, vehicles)[known]
    return {name: paired_difference(metric, new, old, truth) for name, metric in METRICS.items()}


def paired_difference(
    metric: Metric, challenger: Floats, other: Floats, truth: Ints, seed: int = 0
) -> dict[str, float] | None:
    """Return the difference `mean` and its 90% interval `low` and `high`; None when the metric cannot be computed.

    `challenger` and `other` are the probabilities (N, V + 1) of the two models on the same photos.
    """

    def difference(rows: Ints) -> float:
        return metric(challenger[rows], truth[rows]) - metric(other[rows], truth[rows])

    observed = metric(challenger, truth) - metric(other, truth)
    is_vehicle = truth < challenger.shape[1] - 1
    low, high = bootstrap_interval(difference, is_vehicle, N_RESAMPLES, INTERVAL_90, seed)
    if np.isnan(low) or np.isnan(observed):
        return None
    return {"mean": float(observed), "low": low, "high": high}


def model_size_bytes(folder: Path) -> int:
    """Return the size of a model's weights."""
    return sum(path.stat().st_size for path in folder.iterdir() if path.suffix in (".onnx", ".npz"))


def find_artifact(folder: Path) -> Path:
    """Return the model.tar.gz in an input folder of the job. Raises ComparisonError when there is none."""
    found = sorted(folder.rglob("*.tar.gz"))
    if not found:
        raise ComparisonError(f"{folder.name} contains no model.tar.gz")
    return found[0]


def find_distrusted(challenger: Path) -> list[dict[str, Any]]:
    """Return the reviewers on whose labels a model (folder or model.tar.gz) was not trained (training.label_errors).

    Each has `reviewer`, and the numbers `suspected` of `labels` that contradicted the predictions in training. A model
    without a report of its training names no reviewer. Raises ModelArchiveError when the model cannot be read,
    ValueError or KeyError for a report of other training code.
    """
    with unpack_model(challenger) as folder:
        report = folder / "evaluation.json"
        if not report.exists():  # training code of other people may write none
            return []
        labels = json.loads(report.read_text(encoding="utf-8"))["labels"]
    worse = [errors for errors in labels["by_reviewer"] if errors["worse"]]
    return [{name: errors[name] for name in ("reviewer", "suspected", "labels")} for errors in worse]


def _compare_on_labelled(
    challenger: ComparedModel, champion: ComparedModel, labelled: Dataset, vehicles: tuple[str, ...]
) -> dict[str, Any]:
    truth = targets(labelled, vehicles)
    new, old = (model.in_columns(model.probabilities(labelled), vehicles) for model in (challenger, champion))
    return {
        "photos": len(labelled),
        "challenger_accuracy": metrics.accuracy_with_other(new, truth),
        "champion_accuracy": metrics.accuracy_with_other(old, truth),
        "difference": paired_difference(metrics.accuracy_with_other, new, old, truth),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare, and write evaluation.json to the folder --out.

    `arguments` are by default those of the process. Raises ComparisonError, ModelArchiveError, OSError, ValueError or
    KeyError when the models cannot be compared.
    """
    parser = argparse.ArgumentParser(description="Compare challenger, champion and reference on the same photos.")
    for name in (*INPUTS, "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--vehicles", type=Path, default=VEHICLES_FILE)
    parser.add_argument("--champion-version", required=True, help="`none` when there is no champion yet")
    parser.add_argument("--challenger-version", required=True)
    parser.add_argument("--reference-version", required=True, help="ignored when there is no champion yet")
    options = parser.parse_args(arguments)
    has_champion = options.champion_version != "none"
    _, holdout = split_holdout(dataset.load(options.base))
    holdout = subsample_others(holdout, configured_vehicles(options.vehicles))
    challenger = find_artifact(options.challenger)
    distrusted = find_distrusted(challenger)
    reviewers = [errors["reviewer"] for errors in distrusted]
    labelled = read_labelled(options.snapshot, options.labelled, "evaluate", reviewers)
    report = compare(
        challenger,
        find_artifact(options.champion) if has_champion else None,
        holdout,
        labelled.photos,
        (options.challenger_version, options.champion_version),
        (options.reference_version, find_artifact(options.reference)) if has_champion else None,
    )
    report["labels"] = {"distrusted": distrusted, "left_out": labelled.left_out}
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "evaluation.json").write_text(json.dumps(report, indent=2) + "\n")
    for role in ("challenger", "champion"):
        if report[role]:
            print(role, *(f"{name}={report[role][name]};" for name in METRICS), flush=True)
    if report["reference"]:
        print("reference", json.dumps({**report["reference"], "metrics": None}), flush=True)
