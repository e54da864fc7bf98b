"""Every figure we state about the model, measured: `python -m training.study --data build/data --photos <folder>`.

Writes figures.json and figures.md. Nothing here is tuned on what it measures: recipes were compared on folds of the
training images alone (training.tune). What is measured:

- official: trained on the training images, judged on the official test images;
- folds: 5-fold cross-validation over training and test images of the vehicles together;
- unseen: backbone and model trained without the classes of HELD_OUT, which are then shown to it;
- four: bicycle, motorcycle, bus and pickup_truck, by configuration alone.
"""

import argparse
import io
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from PIL import Image

from training import dataset, metrics, trials
from training.backbone import Backbone, load_backbone
from training.classifier import Classifier, learn
from training.dataset import Dataset, concatenate, targets
from training.evaluate import evaluate_photos
from training.export import export
from training.figures import Figures, page
from training.fit import Recipe
from training.inference import input_fn, model_fn, output_fn, predict_fn
from training.metrics import Floats, Ints

VEHICLES = ("bicycle", "motorcycle")
FOUR = (*VEHICLES, "bus", "pickup_truck")
UNSEEN_VEHICLES = ("bus", "pickup_truck", "tank", "train")
HELD_OUT = (
    *UNSEEN_VEHICLES,
    *("aquarium_fish", "bear", "bed", "can", "cockroach", "cup", "lion"),
    *("mountain", "orange", "plate", "poppy", "sea", "skyscraper", "television"),
)
"""The classes that figures on unseen classes are about: the four vehicles of road and rail, and 14 drawn by lot."""

PRETRAIN_BLIND = f"python -m training.pretrain --out build/unseen.safetensors --hold-out {' '.join(HELD_OUT)}"

FOLDS = 5
REPEATS = 200  # of one timing, of which the median is stated


def at_own_threshold(probabilities: Floats, truth: Ints, threshold: float) -> Figures:
    """Return accuracy, calibration, separation, and what the threshold lets through."""
    return {
        "accuracy": metrics.accuracy(probabilities, truth),
        "accuracy_with_other": metrics.accuracy_with_other(probabilities, truth),
        "ece": metrics.ece(probabilities, truth),
        "auroc": metrics.auroc(probabilities, truth),
        "threshold": threshold,
        **asdict(metrics.at_threshold(probabilities, truth, threshold)),
    }


def official(
    train: Dataset, test: Dataset, backbone: Backbone, recipe: Recipe, seed: int
) -> tuple[Classifier, Figures]:
    """Train on `train`, judge on `test`: whole, without near-duplicates, damaged, and on pictures of nothing."""
    classifier = learn(train, VEHICLES, backbone, recipe, seed)
    ours = test.of(VEHICLES)
    truth = targets(ours, VEHICLES)
    probabilities = classifier.probabilities(ours.images)
    alone = ~trials.near_duplicates(ours.images, train.of(VEHICLES).images)
    figures: Figures = {
        "cpu_s": classifier.cpu_s,
        "vehicles": at_own_threshold(probabilities, truth, classifier.threshold),
        "without_near_duplicates": {
            "photos": int(alone.sum()),
            **at_own_threshold(probabilities[alone], truth[alone], classifier.threshold),
        },
        "with_all_other_test_images": at_own_threshold(
            classifier.probabilities(test.images), targets(test, VEHICLES), classifier.threshold
        ),
        "damaged": {
            name: at_own_threshold(
                classifier.probabilities(trials.damaged(ours.images, damage)), truth, classifier.threshold
            )
            for name, damage in trials.DAMAGES.items()
        },
        "nothings_accepted": {
            name: int(metrics.accepted(classifier.probabilities(images), classifier.threshold).sum())
            for name, images in trials.nothings().items()
        },
    }
    figures["nothings_sum"] = sum(figures["nothings_accepted"].values())
    return classifier, figures


def cross_validate(ours: Dataset, others: Dataset, backbone: Backbone, recipe: Recipe, seed: int) -> Figures:
    """Train on four fifths of `ours`, predict the fifth, five times; pool the predictions.

    Acceptance is by the threshold of the fold that made the prediction.
    """
    fold = dataset.folds(ours, FOLDS, seed)
    conditions: dict[str, Callable[[trials.Images], trials.Images]] = {"plain": lambda image: image, **trials.DAMAGES}
    pooled: dict[str, list[Floats]] = {name: [] for name in conditions}
    truths, alone, thresholds, spent = [], [], [], []
    taken: dict[str, list[Any]] = {}
    for i in range(FOLDS):
        classifier = learn(concatenate([ours[fold != i], others]), VEHICLES, backbone, recipe, 100 * seed + i)
        judged = ours[fold == i]
        for name, damage in conditions.items():
            probabilities = classifier.probabilities(trials.damaged(judged.images, damage))
            pooled[name].append(probabilities)
            taken.setdefault(name, []).append(metrics.accepted(probabilities, classifier.threshold))
        truths.append(targets(judged, VEHICLES))
        alone.append(~trials.near_duplicates(judged.images, ours[fold != i].images))
        thresholds.append(classifier.threshold)
        spent.append(classifier.cpu_s)
        share = metrics.accuracy(pooled["plain"][-1], truths[-1])
        print(f"fold {i + 1}/{FOLDS}: accuracy {share:.4f}, threshold {classifier.threshold:.3f}", flush=True)
    truth = np.concatenate(truths)
    figures: Figures = {"thresholds": thresholds, "cpu_s": float(np.mean(spent))}
    for name in conditions:
        probabilities, decided = np.concatenate(pooled[name]), np.concatenate(taken[name])
        wrong = probabilities.argmax(axis=1) != truth
        figures[name] = {
            "photos": len(truth),
            "accuracy": metrics.accuracy(probabilities, truth),
            "ece": metrics.ece(probabilities, truth),
            "coverage": float(decided.mean()),
            "error_accepted": float(wrong[decided].mean()) if decided.any() else float("nan"),
        }
    rows = np.concatenate(alone)
    figures["without_near_duplicates"] = {
        "photos": int(rows.sum()),
        "accuracy": metrics.accuracy(np.concatenate(pooled["plain"])[rows], truth[rows]),
    }
    return figures


def unseen(train: Dataset, test: Dataset, backbone: Backbone, recipe: Recipe, seed: int) -> Figures:
    """Train without HELD_OUT, then show its training and test images beside the vehicles' test images."""
    foreign = set(backbone.classes) & {*HELD_OUT, *VEHICLES}
    if foreign:
        raise ValueError(f"this backbone was trained on {', '.join(sorted(foreign))}; pretrain one with --hold-out")
    classifier = learn(train.without(HELD_OUT), VEHICLES, backbone, recipe, seed)
    ours, strangers = test.of(VEHICLES), concatenate([train.of(HELD_OUT), test.of(HELD_OUT)])
    known, foreign_probabilities = classifier.probabilities(ours.images), classifier.probabilities(strangers.images)

    def against(rows: Any) -> Figures:
        probabilities = np.concatenate([known, foreign_probabilities[rows]])
        truth = np.concatenate([targets(ours, VEHICLES), np.full(int(rows.sum()), len(VEHICLES))])
        return at_own_threshold(probabilities, truth, classifier.threshold)

    return {
        "cpu_s": classifier.cpu_s,
        "all": against(np.ones(len(strangers), dtype=bool)),
        "vehicles": against(np.isin(strangers.labels, UNSEEN_VEHICLES)),
        "classes": {
            name: {key: against(strangers.labels == name)[key] for key in ("auroc", "other_accepted")}
            for name in HELD_OUT
        },
        "accepted_at_0.9": float(metrics.accepted(foreign_probabilities, 0.9).mean()),
    }


def four(train: Dataset, test: Dataset, backbone: Backbone, recipe: Recipe, seed: int) -> Figures:
    """Train the four vehicles of FOUR; judge on their test images and on all other test images."""
    classifier = learn(train, FOUR, backbone, recipe, seed)
    figures = at_own_threshold(classifier.probabilities(test.images), targets(test, FOUR), classifier.threshold)
    return {"cpu_s": classifier.cpu_s, **figures}


def serving(classifier: Classifier, photos: Path | None, folder: Path) -> Figures:
    """Return size and speed of the exported model, and its report on the real photos of `photos`."""
    export(classifier.network, len(VEHICLES), classifier.calibration, folder / "model.onnx")
    about = {"classes": [*VEHICLES, "other"], "threshold": classifier.threshold, "version": "study"}
    (folder / "model.json").write_text(json.dumps(about))
    model = model_fn(folder)
    sample = classifier.validation.images[:64]
    expected = classifier.probabilities(sample)
    generator = np.random.default_rng(0)
    scene = Image.fromarray(generator.integers(0, 256, (300, 400, 3), dtype=np.uint8))
    large = io.BytesIO()
    scene.resize((4000, 3000), Image.Resampling.BICUBIC).save(large, "JPEG", quality=90)
    figures: Figures = {
        "model_mb": (folder / "model.onnx").stat().st_size / 1e6,
        "difference_from_pytorch": float(np.abs(model.probabilities(sample) - expected).max()),
        "ms_per_image": _median_ms(lambda: model.probabilities(sample[:1]), REPEATS),
        "ms_12_megapixel_jpeg": _median_ms(
            lambda: output_fn(predict_fn(input_fn(large.getvalue()), model)), REPEATS // 10
        ),
        "bytes_12_megapixel_jpeg": len(large.getvalue()),
    }
    if photos is not None:
        report = evaluate_photos(model, photos)
        keys = ("accuracy", "accuracy_with_other", "auroc", "coverage", "error_accepted", "other_accepted")
        figures["real"] = {key: report[key] for key in keys} | {
            "others_accepted": round((report["other_accepted"] or 0.0) * report["others"]),
            "classes": report["classes"],
        }
    return figures


def _median_ms(call: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - begun))
    return float(np.median(times))


class _Results:
    """Figures by name, written after each, so that a study that was interrupted goes on where it stopped."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.values: Figures = json.loads(path.read_text()) if path.is_file() else {}

    def once(self, name: str, measure: Callable[[], Figures]) -> None:
        if name not in self.values:
            begun = time.monotonic()
            self.values[name] = measure()
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.write_text(json.dumps(self.values, indent=1) + "\n")
            print(f"{name}: {time.monotonic() - begun:.0f} s", flush=True)


def main() -> int:
    """Measure everything that is not measured yet; return the exit status."""
    parser = argparse.ArgumentParser(description="Measure every figure we state about the model.")
    parser.add_argument("--data", type=Path, default=Path("build/data"))
    parser.add_argument("--photos", type=Path, help="real photos in class folders")
    parser.add_argument("--unseen-backbone", type=Path, default=Path("build/unseen.safetensors"))
    parser.add_argument("--out", type=Path, default=Path("docs/model"))
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--parts", nargs="*", default=["official", "unseen", "folds", "four"])
    arguments = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    train, test = dataset.load(arguments.data / "train"), dataset.load(arguments.data / "test")
    backbone, recipe = load_backbone(), Recipe()
    if backbone is None:
        raise SystemExit("there is no backbone; make one with: python -m training.pretrain")
    results = _Results(arguments.out / "figures.json")
    ours, others = concatenate([train.of(VEHICLES), test.of(VEHICLES)]), train.without(VEHICLES)
    blind = load_backbone(arguments.unseen_backbone)
    if blind is None:
        raise SystemExit(f"no {arguments.unseen_backbone}; make it with: {PRETRAIN_BLIND}")

    def judged(seed: int) -> Figures:
        classifier, figures = official(train, test, backbone, recipe, seed)
        with TemporaryDirectory() as folder:
            return {**figures, "serving": serving(classifier, arguments.photos, Path(folder))}

    parts: dict[str, Callable[[int], Figures]] = {
        "official": judged,
        "unseen": lambda seed: unseen(train, test, blind, recipe, seed),
        "folds": lambda seed: cross_validate(ours, others, backbone, recipe, seed),
        "four": lambda seed: four(train, test, backbone, recipe, seed),
    }
    for part in arguments.parts:
        for seed in arguments.seeds:
            results.once(f"{part}/{seed}", partial(parts[part], seed))
    (arguments.out / "figures.md").write_text(page(results.values))
    print(page(results.values))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
