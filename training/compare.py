"""Champion and challenger on the same photos: `python -m training.compare`, the evaluation job of a retraining.

Both see the frozen holdout of the base data (training.holdout) and the labelled photos that neither may learn from.
Differences are challenger minus champion, with the 90% interval of the paired bootstrap: both models are judged on the
same drawn photos, so that what is hard for both does not blur the difference (Efron and Tibshirani, 1993).
"""

import argparse
import json
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training import dataset, metrics
from training.backbone import Backbone, Floats32
from training.dataset import Dataset, concatenate, sample, targets
from training.evaluate import EvaluationError, unpacked
from training.features import FeatureCache
from training.holdout import split_off
from training.images import squares
from training.inference import AnchoredModel, Model, model_fn, probabilities_of
from training.labels import load_labelled
from training.metrics import Floats, Ints
from training.vehicles import VEHICLES_FILE, configured_vehicles

ROUNDS = 500
TIMED_PHOTOS = 20
OTHERS_EACH = 10
"""Pictures of each class of other things that models are compared on: enough of 88 classes, and a minute less."""


Figure = Callable[[Floats, Ints], float]
FIGURES: dict[str, Figure] = {"accuracy": metrics.accuracy, "ece": metrics.ece, "auroc": metrics.auroc}


class SharedFeatures:
    """Features of a data set by backbone, so that two models with the same backbone need them once."""

    def __init__(self) -> None:
        self._caches: dict[str, FeatureCache] = {}
        self._lock = threading.Lock()

    def of(self, backbone: Backbone, data: Dataset) -> tuple[Floats32, Floats32]:
        """Return the features of `data` (see training.features)."""
        with self._lock:
            return self._caches.setdefault(backbone.digest, FeatureCache(backbone)).of(data.pictures)


class Contender:
    """A model with its answers in terms of `vehicles`, of which it may know only some."""

    def __init__(
        self, version: str, model: Model, size_bytes: int, vehicles: tuple[str, ...], shared: "SharedFeatures"
    ) -> None:
        self.version = version
        self._shared = shared
        self._model = model
        self._size_bytes = size_bytes
        self._vehicles = vehicles

    def probabilities(self, data: Dataset) -> Floats:
        """Return (N, V + 1); a vehicle that the model does not know gets 0."""
        result: Floats = np.zeros((len(data), len(self._vehicles) + 1))
        columns = [*(self._vehicles.index(name) for name in self._model.classes[:-1]), len(self._vehicles)]
        if isinstance(self._model, AnchoredModel):
            result[:, columns] = self._model.answers(*self._shared.of(self._model.backbone, data))
            return result
        result[:, columns] = probabilities_of(self._model, data.pictures)
        return result

    def figures(self, probabilities: Floats, truth: Ints, timed: Dataset) -> dict[str, Any]:
        """Return what the gate and people look at, on the holdout."""
        operating = metrics.at_threshold(probabilities, truth, self._model.threshold)
        right = probabilities.argmax(axis=1) == truth
        return {
            "model_version": self.version,
            **{name: plain(figure(probabilities, truth)) for name, figure in FIGURES.items()},
            "coverage": plain(operating.coverage),
            "error_accepted": plain(operating.error_accepted),
            "other_accepted": plain(operating.other_accepted),
            "threshold": self._model.threshold,
            "latency_ms": round(self._latency_ms(timed), 3),
            "size_mb": round(self._size_bytes / 1e6, 3),
            "recall": {
                name: plain(float(right[truth == place].mean())) if (truth == place).any() else None
                for place, name in enumerate(self._vehicles)
            },
        }

    def _latency_ms(self, timed: Dataset) -> float:
        taken = []
        for image in squares(timed.pictures[:TIMED_PHOTOS], self._model.side):
            started = time.perf_counter()
            self._model.probabilities(image[None])
            taken.append((time.perf_counter() - started) * 1000)
        return float(np.median(taken))


def compare(
    challenger: Path, champion: Path | None, holdout: Dataset, labelled: Dataset, versions: tuple[str, str]
) -> dict[str, Any]:
    """Return the report on two models (folders or model.tar.gz); `versions` are the challenger's and the champion's.

    Raises EvaluationError when a model cannot be read or the holdout shows none of the vehicles.
    """
    with unpacked(challenger) as new_folder, unpacked(champion or challenger) as old_folder:
        new_model, old_model = model_fn(new_folder), model_fn(old_folder)
        vehicles = tuple(dict.fromkeys([*new_model.classes[:-1], *old_model.classes[:-1]]))
        truth = targets(holdout, vehicles)
        if not (truth < len(vehicles)).any():
            raise EvaluationError(f"the holdout of {len(holdout)} photos shows none of {', '.join(vehicles)}")
        shared = SharedFeatures()
        new = Contender(versions[0], new_model, size_of(new_folder), vehicles, shared)
        old = Contender(versions[1], old_model, size_of(old_folder), vehicles, shared)
        # A model uses one thread and lets the other run meanwhile: thousands of photos take half the time on two cores.
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(lambda one: one.probabilities(holdout), [new] if champion is None else [new, old]))
        ours, theirs = answers[0], answers[-1]
        report: dict[str, Any] = {
            "challenger": new.figures(ours, truth, holdout),
            "champion": None,
            "holdout": {
                "photos": int((truth < len(vehicles)).sum()),
                "others": int((truth == len(vehicles)).sum()),
                "differences": dict.fromkeys(FIGURES),
                "recall_differences": dict.fromkeys(vehicles),
            },
            "labelled": None,
            "official_test": None,
        }
        if champion is None:
            return report
        report["champion"] = old.figures(theirs, truth, holdout)
        report["holdout"]["differences"] = {
            name: difference(figure, ours, theirs, truth) for name, figure in FIGURES.items()
        }
        report["holdout"]["recall_differences"] = {
            name: difference(recall_of(place), ours, theirs, truth) for place, name in enumerate(vehicles)
        }
        if len(labelled):
            said = targets(labelled, vehicles)
            mine, yours = new.probabilities(labelled), old.probabilities(labelled)
            report["labelled"] = {
                "photos": len(labelled),
                "challenger_accuracy": metrics.accuracy_with_other(mine, said),
                "champion_accuracy": metrics.accuracy_with_other(yours, said),
                "difference": difference(metrics.accuracy_with_other, mine, yours, said),
            }
        return report


def difference(figure: Figure, ours: Floats, theirs: Floats, truth: Ints, seed: int = 0) -> dict[str, float] | None:
    """Return `mean`, `low` and `high` of the paired difference; None when it cannot be computed."""
    generator = np.random.default_rng(seed)
    is_vehicle = truth < ours.shape[1] - 1
    groups = [group for group in (np.flatnonzero(is_vehicle), np.flatnonzero(~is_vehicle)) if len(group)]
    values: list[float] = []
    for _ in range(ROUNDS):
        drawn = np.concatenate([generator.choice(group, len(group)) for group in groups])
        values.append(figure(ours[drawn], truth[drawn]) - figure(theirs[drawn], truth[drawn]))
    known = np.array([value for value in values if not np.isnan(value)])
    observed = figure(ours, truth) - figure(theirs, truth)
    if not len(known) or np.isnan(observed):
        return None
    low, high = np.quantile(known, [0.05, 0.95])
    return {"mean": float(observed), "low": float(low), "high": float(high)}


def thinned(holdout: Dataset, vehicles: tuple[str, ...]) -> Dataset:
    """Return the holdout with at most OTHERS_EACH pictures of each other class, always the same ones."""
    return concatenate([holdout.of(vehicles), sample(holdout.without(vehicles), OTHERS_EACH, seed=0)])


def size_of(folder: Path) -> int:
    """Return the bytes of a model's own files, without the code that serves it."""
    return sum(path.stat().st_size for path in folder.iterdir() if path.suffix in (".onnx", ".npz"))


def recall_of(place: int) -> Figure:
    """Return the figure: the share of the photos of one class whose most probable class it is."""

    def recall(probabilities: Floats, truth: Ints) -> float:
        those: NDArray[np.bool_] = truth == place
        return float((probabilities[those].argmax(axis=1) == place).mean()) if those.any() else float("nan")

    return recall


def plain(value: float) -> float | None:
    """Return the value, None for NaN: JSON has none."""
    return None if np.isnan(value) else float(value)


def the_artifact(folder: Path) -> Path:
    """Return the model.tar.gz of an input folder. Raises EvaluationError."""
    found = sorted(folder.rglob("*.tar.gz"))
    if not found:
        raise EvaluationError(f"{folder.name} holds no model.tar.gz")
    return found[0]


def main() -> int:
    """Compare, write evaluation.json into --out; return the exit status."""
    parser = argparse.ArgumentParser(description="Judge champion and challenger on the same photos.")
    for name in ("challenger", "champion", "base", "snapshot", "labelled", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--vehicles", type=Path, default=VEHICLES_FILE)
    parser.add_argument("--champion-version", required=True, help="`none` when there is no champion yet")
    parser.add_argument("--challenger-version", required=True)
    arguments = parser.parse_args()
    first = arguments.champion_version == "none"
    try:
        _, holdout = split_off(dataset.load(arguments.base))
        holdout = thinned(holdout, configured_vehicles(arguments.vehicles))
        report = compare(
            the_artifact(arguments.challenger),
            None if first else the_artifact(arguments.champion),
            holdout,
            load_labelled(arguments.snapshot, arguments.labelled, use="evaluate"),
            (arguments.challenger_version, arguments.champion_version),
        )
    except (EvaluationError, OSError, ValueError, KeyError) as error:
        print(f"comparison failed: {error}", file=sys.stderr, flush=True)
        return 1
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "evaluation.json").write_text(json.dumps(report, indent=2) + "\n")
    for role in ("challenger", "champion"):
        if report[role]:
            print(role, *(f"{name}={report[role][name]};" for name in FIGURES), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
