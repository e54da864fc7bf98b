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
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from training import dataset, metrics, trials
from training.backbone import Backbone, load_backbone
from training.calibrate import Calibration, calibrate, choose_threshold
from training.classifier import Classifier, learn
from training.dataset import Dataset, concatenate, targets
from training.export import export
from training.figures import Figures, page
from training.fit import Recipe, predict
from training.images import prepare
from training.inference import input_fn, model_fn, output_fn, predict_fn
from training.metrics import Floats, Ints
from training.network import Network

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
REPEATS = 200  # of one timing, of which the least is stated


@dataclass(frozen=True)
class Run:
    """One training run, as its logits: `validation` and every set it was shown, by name, with the truth of each.

    Kept in a file, so that calibration and threshold can be judged again without training again.
    """

    logits: dict[str, Floats]
    truths: dict[str, Ints]
    cpu_s: float

    @property
    def calibration(self) -> Calibration:
        """The calibration that training.calibrate finds on the validation photos."""
        return calibrate(self.logits["validation"], self.truths["validation"])

    @property
    def threshold(self) -> float:
        """The operating threshold that training.calibrate chooses on the validation photos."""
        return choose_threshold(self.probabilities("validation"), self.truths["validation"])

    def probabilities(self, name: str) -> Floats:
        """Return the calibrated probabilities (N, V + 1) of the set `name`."""
        return self.calibration.probabilities(self.logits[name])

    def figures(self, *names: str, rows: NDArray[np.bool_] | None = None) -> Figures:
        """Return accuracy, calibration, separation, and what the threshold lets through, on sets taken together.

        `rows` picks some images of the last of them.
        """
        parts = [(self.probabilities(name), self.truths[name]) for name in names]
        if rows is not None:
            parts[-1] = (parts[-1][0][rows], parts[-1][1][rows])
        probabilities, truth = np.concatenate([p for p, _ in parts]), np.concatenate([t for _, t in parts])
        return {
            "photos": len(truth),
            "accuracy": metrics.accuracy(probabilities, truth),
            "accuracy_with_other": metrics.accuracy_with_other(probabilities, truth),
            "ece": metrics.ece(probabilities, truth),
            "auroc": metrics.auroc(probabilities, truth),
            "threshold": self.threshold,
            **asdict(metrics.at_threshold(probabilities, truth, self.threshold)),
        }

    def save(self, path: Path) -> None:
        """Write the run to an .npz file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, Any] = {f"logits {name}": values for name, values in self.logits.items()}
        arrays |= {f"truth {name}": values for name, values in self.truths.items()}
        np.savez_compressed(path, **arrays, cpu_s=np.array(self.cpu_s))


def load_run(path: Path) -> Run:
    """Return the run that was saved to `path`."""
    with np.load(path) as arrays:
        logits = {name.removeprefix("logits "): arrays[name] for name in arrays.files if name.startswith("logits ")}
        truths = {name.removeprefix("truth "): arrays[name] for name in arrays.files if name.startswith("truth ")}
        return Run(logits, truths, float(arrays["cpu_s"]))


def show(classifier: Classifier, sets: dict[str, Dataset]) -> Run:
    """Return the logits that a trained classifier gives to its validation images and to each of `sets`."""
    shown = {"validation": classifier.validation, **sets}
    count = len(classifier.vehicles)
    return Run(
        {name: predict(classifier.network, data.images, count) for name, data in shown.items()},
        {name: targets(data, classifier.vehicles) for name, data in shown.items()},
        classifier.cpu_s,
    )


def damaged(data: Dataset) -> dict[str, Dataset]:
    """Return `data` under every damage of training.trials."""
    return {name: Dataset(trials.damaged(data.images, damage), data.labels) for name, damage in trials.DAMAGES.items()}


class Study:
    """Trains what is not trained yet, and computes the figures; everything it keeps is in `folder`."""

    def __init__(self, folder: Path, train: Dataset, test: Dataset, photos: Dataset | None, recipe: Recipe) -> None:
        self._folder, self._train, self._test, self._photos, self._recipe = folder, train, test, photos, recipe

    def _run(self, name: str, make: Callable[[], tuple[Classifier, dict[str, Dataset]]]) -> Run:
        path = self._folder / f"{name}.npz"
        if not path.is_file():
            begun = time.monotonic()
            classifier, sets = make()
            show(classifier, sets).save(path)
            torch.save(classifier.network.state_dict(), path.with_suffix(".pt"))
            print(
                f"{name}: {time.monotonic() - begun:.0f} s, {classifier.cpu_s:.0f} CPU seconds of training", flush=True
            )
        return load_run(path)

    def official(self, backbone: Backbone, seed: int) -> Figures:
        """Train on the training images, judge on the test images: whole, damaged, and on pictures of nothing."""
        ours = self._test.of(VEHICLES)
        blanks = trials.nothings()

        def make() -> tuple[Classifier, dict[str, Dataset]]:
            sets = {"ours": ours, "others": self._test.without(VEHICLES), **damaged(ours)}
            sets |= {name: Dataset(images, np.full(len(images), name)) for name, images in blanks.items()}
            if self._photos is not None:
                sets["photos"] = self._photos
            return learn(self._train, VEHICLES, backbone, self._recipe, seed), sets

        run = self._run(f"official-{seed}", make)
        alone = ~trials.near_duplicates(ours.images, self._train.of(VEHICLES).images)
        blank = {name: int(metrics.accepted(run.probabilities(name), run.threshold).sum()) for name in blanks}
        figures: Figures = {
            "cpu_s": run.cpu_s,
            "vehicles": run.figures("ours"),
            "without_near_duplicates": run.figures("ours", rows=alone),
            "with_all_other_test_images": run.figures("ours", "others"),
            "damaged": {name: run.figures(name) for name in trials.DAMAGES},
            "nothings_accepted": blank,
            "nothings_sum": sum(blank.values()),
        }
        if "photos" in run.logits:
            real = run.figures("photos")
            others = int((run.truths["photos"] == len(VEHICLES)).sum())
            figures["real"] = {**real, "others_accepted": round(real["other_accepted"] * others)}
        return figures

    def unseen(self, backbone: Backbone, seed: int) -> Figures:
        """Train without HELD_OUT, then show its training and test images beside the vehicles' test images.

        Raises ValueError for a backbone that was trained on one of those classes.
        """
        foreign = set(backbone.classes) & {*HELD_OUT, *VEHICLES}
        if foreign:
            raise ValueError(f"this backbone was trained on {', '.join(sorted(foreign))}; pretrain one with --hold-out")
        strangers = concatenate([self._train.of(HELD_OUT), self._test.of(HELD_OUT)])

        def make() -> tuple[Classifier, dict[str, Dataset]]:
            known = self._train.without(HELD_OUT)
            classifier = learn(known, VEHICLES, backbone, self._recipe, seed)
            return classifier, {"ours": self._test.of(VEHICLES), "strangers": strangers}

        run = self._run(f"unseen-{seed}", make)
        accepted_at_09 = metrics.accepted(run.probabilities("strangers"), 0.9)
        per_class = {name: run.figures("ours", "strangers", rows=strangers.labels == name) for name in HELD_OUT}
        return {
            "cpu_s": run.cpu_s,
            "all": run.figures("ours", "strangers"),
            "vehicles": run.figures("ours", "strangers", rows=np.isin(strangers.labels, UNSEEN_VEHICLES)),
            "accepted_at_0.9": float(accepted_at_09.mean()),
            "classes": {
                name: {key: row[key] for key in ("auroc", "other_accepted")} for name, row in per_class.items()
            },
        }

    def folds(self, backbone: Backbone, seed: int) -> Figures:
        """Train on four fifths of all images of the vehicles, predict the fifth, five times; pool the predictions.

        Acceptance is by the threshold of the fold that made the prediction.
        """
        ours = concatenate([self._train.of(VEHICLES), self._test.of(VEHICLES)])
        others = self._train.without(VEHICLES)
        fold = dataset.folds(ours, FOLDS, seed)
        parts = []
        for i in range(FOLDS):
            judged = ours[fold == i]

            def make(i: int = i, judged: Dataset = judged) -> tuple[Classifier, dict[str, Dataset]]:
                known = concatenate([ours[fold != i], others])
                classifier = learn(known, VEHICLES, backbone, self._recipe, 100 * seed + i)
                return classifier, {"plain": judged} | (damaged(judged) if seed == 0 else {})

            run = self._run(f"folds-{seed}-{i}", make)
            parts.append((run, ~trials.near_duplicates(judged.images, ours[fold != i].images)))
        figures: Figures = {"cpu_s": float(np.mean([run.cpu_s for run, _ in parts]))}
        for name in [name for name in ("plain", *trials.DAMAGES) if name in parts[0][0].logits]:
            figures[name] = _pooled([run for run, _ in parts], name)
        figures["without_near_duplicates"] = _pooled([run for run, _ in parts], "plain", [alone for _, alone in parts])
        return figures

    def four(self, backbone: Backbone, seed: int) -> Figures:
        """Train the four vehicles of FOUR; judge on their test images and on all other test images."""
        run = self._run(
            f"four-{seed}", lambda: (learn(self._train, FOUR, backbone, self._recipe, seed), {"test": self._test})
        )
        return {"cpu_s": run.cpu_s, **run.figures("test")}

    def serving(self, backbone: Backbone, seed: int) -> Figures:
        """Return size and speed of the exported model of `official`, and its difference from PyTorch."""
        self.official(backbone, seed)
        run = load_run(self._folder / f"official-{seed}.npz")
        weights = torch.load(self._folder / f"official-{seed}.pt", weights_only=True)
        network = Network(len(weights["head.bias"]))
        network.load_state_dict(weights)
        sample = self._test.of(VEHICLES).images
        with TemporaryDirectory() as folder:
            export(network, len(VEHICLES), run.calibration, Path(folder) / "model.onnx")
            about = {"classes": [*VEHICLES, "other"], "threshold": run.threshold, "version": "study"}
            (Path(folder) / "model.json").write_text(json.dumps(about))
            model = model_fn(folder)
            size = (Path(folder) / "model.onnx").stat().st_size
        scene = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8))
        large = io.BytesIO()
        scene.resize((4000, 3000), Image.Resampling.BICUBIC).save(large, "JPEG", quality=90)
        photo = large.getvalue()
        return {
            "model_mb": size / 1e6,
            "difference_from_pytorch": float(np.abs(model.probabilities(sample) - run.probabilities("ours")).max()),
            "ms_per_image": _least_ms(lambda: model.probabilities(sample[:1]), REPEATS),
            "ms_12_megapixel_jpeg": _least_ms(lambda: output_fn(predict_fn(input_fn(photo), model)), REPEATS // 10),
            "jpeg_mb": len(photo) / 1e6,
        }


def _pooled(runs: list[Run], name: str, rows: list[NDArray[np.bool_]] | None = None) -> Figures:
    kept = rows or [np.ones(len(run.truths[name]), dtype=bool) for run in runs]
    probabilities = np.concatenate([run.probabilities(name)[keep] for run, keep in zip(runs, kept, strict=True)])
    truth = np.concatenate([run.truths[name][keep] for run, keep in zip(runs, kept, strict=True)])
    decided = np.concatenate(
        [metrics.accepted(run.probabilities(name)[keep], run.threshold) for run, keep in zip(runs, kept, strict=True)]
    )
    wrong = probabilities.argmax(axis=1) != truth
    return {
        "photos": len(truth),
        "accuracy": metrics.accuracy(probabilities, truth),
        "ece": metrics.ece(probabilities, truth),
        "coverage": float(decided.mean()),
        "error_accepted": float(wrong[decided].mean()) if decided.any() else float("nan"),
    }


def _least_ms(call: Callable[[], object], repeats: int) -> float:
    """Return the least of `repeats` timings, in ms: what a quiet thread needs, whatever else the machine does."""
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - begun))
    return min(times)


def _photos(folder: Path) -> Dataset:
    paths = sorted(path for path in folder.glob("*/*") if path.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp"))
    return Dataset(np.stack([prepare(path.read_bytes()) for path in paths]), np.array([p.parent.name for p in paths]))


def _plain(value: Any) -> Any:
    """Return the value with None for what is not a number, which JSON cannot hold."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return None if isinstance(value, float) and np.isnan(value) else value


def main() -> int:
    """Measure everything that is not measured yet; return the exit status."""
    parser = argparse.ArgumentParser(description="Measure every figure we state about the model.")
    parser.add_argument("--data", type=Path, default=Path("build/data"))
    parser.add_argument("--photos", type=Path, help="real photos in class folders")
    parser.add_argument("--unseen-backbone", type=Path, default=Path("build/unseen.safetensors"))
    parser.add_argument("--work", type=Path, default=Path("build/study"), help="what was trained is kept here")
    parser.add_argument("--out", type=Path, default=Path("docs/model"))
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--parts", nargs="*", default=["official", "unseen", "folds", "four", "serving"])
    arguments = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    train, test = dataset.load(arguments.data / "train"), dataset.load(arguments.data / "test")
    backbone, blind = load_backbone(), load_backbone(arguments.unseen_backbone)
    if backbone is None or blind is None:
        raise SystemExit(f"no {arguments.unseen_backbone}; make it with: {PRETRAIN_BLIND}")
    photos = _photos(arguments.photos) if arguments.photos else None
    study = Study(arguments.work, train, test, photos, Recipe())
    figures: Figures = {}
    for part in arguments.parts:
        for seed in arguments.seeds:
            figures[f"{part}/{seed}"] = _plain(getattr(study, part)(blind if part == "unseen" else backbone, seed))
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "figures.json").write_text(json.dumps(figures, indent=1) + "\n")
    (arguments.out / "figures.md").write_text(page(figures))
    print(page(figures))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
