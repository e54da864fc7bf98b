"""Every figure we state about the model: `python -m training.research.study --data build/data --street <folder>`.

Writes docs/model/figures.json and figures.md. Nothing is chosen on what is measured here, but for what README.md of
docs/model says was chosen on the street photos. What is measured, for each seed, which draws the sample of the base
data, the folds and the order of labels:

- official: trained on the training pictures, judged on the official test pictures, street and real photos;
- labelled: the same with some of the street photos labelled by people, judged on the others;
- folds: 5-fold cross-validation over training and test pictures of the vehicles, each with a backbone of its own;
- unseen: backbone and head trained without the classes of HELD_OUT, which are then shown to the model;
- four: bicycle, motorcycle, bus and pickup_truck, by configuration alone.
"""

import argparse
import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training import dataset, metrics
from training.backbone import BACKBONE_FILE, Backbone, load_backbone
from training.classifier import Classifier, Recipe, learn
from training.dataset import Dataset, concatenate, folds, sample, targets
from training.features import FeatureCache
from training.head import Head
from training.holdout import split_off
from training.images import PhotoError, shrink
from training.initial import load_initial
from training.metrics import Floats, Ints
from training.policy import Policy
from training.research import damage
from training.vehicles import OTHER

VEHICLES = ("bicycle", "motorcycle")
FOUR = (*VEHICLES, "bus", "pickup_truck")
IMAGENET = {"bicycle": (671, 444), "motorcycle": (670, 665), "bus": (779, 874, 654), "pickup_truck": (717,)}
UNSEEN_VEHICLES = ("bus", "pickup_truck", "tank", "train")
HELD_OUT = (
    *UNSEEN_VEHICLES,
    *("aquarium_fish", "bear", "bed", "can", "cockroach", "cup", "lion"),
    *("mountain", "orange", "plate", "poppy", "sea", "skyscraper", "television"),
)
"""The classes that figures on unseen classes are about: the four vehicles of road and rail, and 14 drawn by lot."""

FOLDS = 5
LABELS = (10, 30, 100)
"""How many labelled street photos the learning curve tries, and then all of one half."""

Figures = dict[str, Any]


@dataclass(frozen=True)
class Fitted:
    """A classifier with its backbone, ready to answer."""

    classifier: Classifier
    cache: FeatureCache

    def probabilities(self, data: Dataset) -> Floats:
        """Return the calibrated probabilities (N, V + 1)."""
        logits = self.classifier.head.logits(*self.cache.of(data.pictures))
        return self.classifier.calibration.probabilities(logits)

    def figures(self, data: Dataset) -> Figures:
        """Return what is stated about the model on `data`."""
        return figures(self.probabilities(data), targets(data, self.classifier.head.classes[:-1]), self.threshold)

    @property
    def threshold(self) -> float:
        """The model's own threshold."""
        return self.classifier.point.threshold


def figures(probabilities: Floats, truth: Ints, threshold: float) -> Figures:
    """Return accuracy, calibration, separation, and what the threshold lets through."""
    at = metrics.at_threshold(probabilities, truth, threshold)
    best = coverage_at(probabilities, truth, 0.01)
    return {
        "photos": len(truth),
        "accuracy": metrics.accuracy(probabilities, truth),
        "auroc": metrics.auroc(probabilities, truth),
        "ece": vehicle_ece(probabilities, truth),
        "threshold": threshold,
        "decided": at.coverage,
        "wrong": at.error_accepted,
        "others_accepted": at.other_accepted,
        "decided_at_1_percent": best,
    }


def vehicle_ece(probabilities: Floats, truth: Ints) -> float:
    """Return the calibration error of vehicle against vehicle: of the photos of vehicles, `other` left out."""
    rows = truth < probabilities.shape[1] - 1
    against = probabilities[rows][:, :-1]
    against = against / against.sum(axis=1, keepdims=True)
    padded = np.concatenate([against, np.zeros((len(against), 1))], axis=1)
    return metrics.ece(padded, truth[rows])


def coverage_at(probabilities: Floats, truth: Ints, wrong_at_most: float) -> float:
    """Return the largest share of vehicle photos that some threshold accepts with at most that share wrong."""
    rows = truth < probabilities.shape[1] - 1
    best = probabilities[rows].argmax(axis=1)
    confidence = np.where(best < probabilities.shape[1] - 1, probabilities[rows].max(axis=1), 0.0)
    order = np.argsort(-confidence, kind="stable")
    wrong = np.cumsum((best != truth[rows])[order]) / np.arange(1, len(order) + 1)
    allowed = np.flatnonzero((wrong <= wrong_at_most) & (confidence[order] > 0))
    return float((allowed[-1] + 1) / len(order)) if len(allowed) else 0.0


def photos_in(folder: Path) -> tuple[Dataset, list[str]]:
    """Return the photos in the class folders of `folder`, and their file names."""
    pictures, labels, names = [], [], []
    for path in sorted(folder.glob("*/*.jpg")):
        try:
            pictures.append(shrink(path.read_bytes()))
        except PhotoError as error:
            print(f"{path.name} is left out: {error}", flush=True)
            continue
        labels.append(path.parent.name)
        names.append(path.name)
    return Dataset(pictures, np.array(labels)), names


def series_halves(names: list[str], seed: int) -> NDArray[np.bool_]:
    """Return (N,): which photos are in the first of two halves; ten neighbouring numbers of a source stay together."""
    groups = []
    for name in names:
        match = re.search(r"([a-z]+)_(\d+)\.", name)
        groups.append(f"{match[1]}-{int(match[2]) // 10}" if match else name)
    unique = np.unique(groups)
    chosen = set(np.random.default_rng(seed).permutation(unique)[: len(unique) // 2].tolist())
    return np.array([group in chosen for group in groups])


class Study:
    """Fits what is asked for and measures it; features are kept in `folder`, by backbone."""

    def __init__(self, folder: Path, train: Dataset, test: Dataset, recipe: Recipe, policy: Policy) -> None:
        self._folder, self._train, self._test, self._recipe, self._policy = folder, train, test, recipe, policy
        self._caches: dict[str, FeatureCache] = {}

    def cache(self, backbone: Backbone) -> FeatureCache:
        """Return the features of a backbone that earlier runs kept."""
        if backbone.digest not in self._caches:
            self._caches[backbone.digest] = FeatureCache(backbone, self._folder / backbone.digest[:16])
        return self._caches[backbone.digest]

    def save(self) -> None:
        """Keep the features of every backbone."""
        for digest, cache in self._caches.items():
            cache.save(self._folder / digest[:16])

    def fit(
        self, backbone: Backbone, base: Dataset, labelled: Dataset, start: Head, seed: int, recipe: Recipe | None = None
    ) -> Fitted:
        """Train as a retraining does."""
        cache = self.cache(backbone)
        return Fitted(learn(base, labelled, start, backbone, cache, self._policy, recipe or self._recipe, seed), cache)

    def official(self, backbone: Backbone, seed: int, street: tuple[Dataset, list[str]], real: Dataset) -> Figures:
        """Train on the training pictures; judge on test pictures, street photos, real photos and damage."""
        base, _ = split_off(self._train)
        fitted = self.fit(backbone, base, dataset.empty(), load_initial(VEHICLES, IMAGENET).head, seed)
        photos, names = street
        parts = np.array([name.startswith(("crops", "clean")) for name in names])
        ours = photos[np.isin(photos.labels, VEHICLES)]
        catalogue = concatenate([photos[parts].of(VEHICLES), real.of(VEHICLES)])
        blank = {
            kind: int(metrics.accepted(fitted.probabilities(_dataset(pictures)), fitted.threshold).sum())
            for kind, pictures in damage.blank_photos().items()
        }
        tests = self._test.of(VEHICLES)
        result = {
            "official": fitted.figures(tests),
            "official and all other test pictures": fitted.figures(
                concatenate([tests, sample(self._test.without(VEHICLES), 20, 0)])
            ),
            "street": fitted.figures(photos),
            "catalogue and cut-outs": fitted.figures(catalogue),
            "real photos": fitted.figures(real),
            "blank_accepted": blank,
            "cpu_s": fitted.classifier.cpu_s,
            "operating_point": fitted.classifier.point.__dict__,
        }
        for name, change in damage.DAMAGES.items():
            result[f"street, {name}"] = fitted.figures(
                Dataset([change(picture) for picture in ours.pictures], ours.labels)
            )
        return result

    def labelled(
        self, backbone: Backbone, seed: int, street: tuple[Dataset, list[str]]
    ) -> Iterator[tuple[str, Figures]]:
        """Train with some street photos labelled; judge on the other half of the street photos."""
        base, _ = split_off(self._train)
        photos, names = street
        first = series_halves(names, seed)
        known, judged = photos[first], photos[~first]
        order = np.random.default_rng(seed).permutation(len(known))
        start = load_initial(VEHICLES, IMAGENET).head
        for count in (0, *LABELS, len(known)):
            labels = known[order[:count]] if count else dataset.empty()
            fitted = self.fit(backbone, base, labels, start, seed)
            yield f"{count if count < len(known) else 'half'} labels", fitted.figures(judged)

    def folds(self, backbones: Mapping[int, Backbone], seed: int) -> Figures:
        """Cross-validate over all pictures of the vehicles; fold k is answered by backbone k, which never saw it."""
        ours = concatenate([self._train.of(VEHICLES), self._test.of(VEHICLES)])
        fold = folds(ours.labels, FOLDS, 0)
        others = self._train.without(VEHICLES)
        probabilities, truth, decided, wrong = [], [], 0, 0
        for number, backbone in backbones.items():
            fitted = self.fit(
                backbone, concatenate([ours[fold != number], others]), dataset.empty(), imagenet_head(VEHICLES), seed
            )
            judged = ours[fold == number]
            answers, known = fitted.probabilities(judged), targets(judged, VEHICLES)
            taken = metrics.accepted(answers, fitted.threshold)
            decided += int(taken.sum())
            wrong += int((answers.argmax(axis=1) != known)[taken].sum())
            probabilities.append(answers)
            truth.append(known)
            print(f"fold {number}: {metrics.accuracy(answers, known):.3f}", flush=True)
        everything = figures(np.concatenate(probabilities), np.concatenate(truth), 0.9)
        return {
            **everything,
            "decided": decided / everything["photos"],
            "wrong": wrong / max(1, decided),
            "threshold": None,
        }

    def unseen(self, backbone: Backbone, seed: int) -> Figures:
        """Train without HELD_OUT; show 100 training pictures of each of its classes beside the vehicles' test ones."""
        base, _ = split_off(self._train.without(HELD_OUT))
        fitted = self.fit(backbone, base, dataset.empty(), imagenet_head(VEHICLES), seed)
        strangers = sample(self._train.of(HELD_OUT), 100, 0)
        tests = self._test.of(VEHICLES)
        return {
            "unseen classes": fitted.figures(concatenate([tests, strangers])),
            "unseen vehicles": fitted.figures(concatenate([tests, strangers.of(UNSEEN_VEHICLES)])),
        }

    def four(self, backbone: Backbone, seed: int) -> Figures:
        """Two more vehicles by configuration alone, judged on the official test pictures."""
        base, _ = split_off(self._train)
        fitted = self.fit(backbone, base, dataset.empty(), load_initial(FOUR, IMAGENET).head, seed)
        return fitted.figures(concatenate([self._test.of(FOUR), sample(self._test.without(FOUR), 20, 0)]))


def imagenet_head(vehicles: tuple[str, ...]) -> Head:
    """Return the head that knows what ImageNet knows and nothing else."""
    count = len(vehicles) + 1
    groups = tuple(IMAGENET[name] for name in vehicles)
    return Head((*vehicles, OTHER), groups, np.zeros((count, 1280)), np.zeros(count))


def summarised(runs: Mapping[int, Mapping[str, Figures]]) -> dict[str, Figures]:
    """Return, for each measurement and figure, the mean over the seeds and the values behind it."""
    result: dict[str, Figures] = {}
    for name in dict.fromkeys(name for run in runs.values() for name in run):
        parts = {seed: run[name] for seed, run in runs.items() if isinstance(run.get(name), dict)}
        result[name] = {}
        for figure in dict.fromkeys(key for part in parts.values() for key in part):
            values = {seed: part[figure] for seed, part in parts.items() if part.get(figure) is not None}
            numbers = [value for value in values.values() if isinstance(value, int | float)]
            if numbers:
                result[name][figure] = {"mean": float(np.mean(numbers)), "seeds": values}
    return result


def page(summary: Mapping[str, Figures]) -> str:
    """Return the figures as Markdown: the mean over the seeds, and in brackets each seed's."""
    shown = ("accuracy", "auroc", "ece", "threshold", "decided", "wrong", "others_accepted", "decided_at_1_percent")
    lines = [
        "# Figures",
        "",
        "Mean over the seeds, in brackets each seed's. Made by `python -m training.research.study`.",
        "",
        f"| measured on | {' | '.join(name.replace('_', ' ') for name in shown)} |",
        f"|---|{'---|' * len(shown)}",
    ]
    for name, row in summary.items():
        if not any(figure in row for figure in shown):
            continue
        cells = []
        for figure in shown:
            found = row.get(figure)
            if not found or np.isnan(found["mean"]):
                cells.append("")
                continue
            seeds = " ".join(f"{value:.3f}" for value in found["seeds"].values())
            cells.append(f"{found['mean']:.3f} ({seeds})" if len(found["seeds"]) > 1 else f"{found['mean']:.3f}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def draw_label_curve(summary: Mapping[str, Figures], path: Path) -> None:
    """Draw how accuracy and the share decided on street photos grow with the number of labelled ones."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    rows = [(name.removesuffix(" labels"), row) for name, row in summary.items() if name.endswith(" labels")]
    if not rows:
        return
    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    for key, label, style in (
        ("accuracy", "accuracy, vehicle against vehicle", "o-"),
        ("decided", "decided without a person", "s--"),
    ):
        values = [row[key]["mean"] for _, row in rows]
        spread = [list(row[key]["seeds"].values()) for _, row in rows]
        axes.plot(range(len(rows)), values, style, label=label)
        axes.fill_between(range(len(rows)), [min(v) for v in spread], [max(v) for v in spread], alpha=0.15)
    axes.set_xticks(range(len(rows)), [name for name, _ in rows])
    axes.set(
        title="What labels of street photos are worth (mean and range of the seeds)",
        xlabel="labelled street photos in the retraining",
        ylabel="share of the other street vehicles",
        ylim=(0.8, 1.0),
    )
    axes.grid(axis="y", alpha=0.3)
    axes.legend(loc="lower right", frameon=False)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def _dataset(pictures: list[NDArray[np.uint8]]) -> Dataset:
    return Dataset(pictures, np.full(len(pictures), OTHER))


def main() -> int:
    """Measure what is asked for, write the figures; return the exit status."""
    parser = argparse.ArgumentParser(description="Measure every figure we state about the model.")
    parser.add_argument("--data", type=Path, default=Path("build/data"))
    parser.add_argument("--street", type=Path, help="a folder of class folders with street photos")
    parser.add_argument("--photos", type=Path, help="a folder of class folders with other real photos")
    parser.add_argument("--fold-backbones", type=Path, help="a folder with fold0.onnx ... fold4.onnx")
    parser.add_argument("--blind-backbone", type=Path, help="a backbone that never saw the held-out classes")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", default=["official", "labelled", "folds", "unseen", "four"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("build/study"))
    parser.add_argument("--out", type=Path, default=Path("docs/model"))
    arguments = parser.parse_args()
    study = Study(
        arguments.folder,
        dataset.load(arguments.data / "train"),
        dataset.load(arguments.data / "test"),
        Recipe(),
        Policy(),
    )
    shipped = load_backbone(BACKBONE_FILE, arguments.threads)
    street = photos_in(arguments.street) if arguments.street else (dataset.empty(), [])
    real = photos_in(arguments.photos)[0] if arguments.photos else dataset.empty()
    kept = arguments.out / "figures.json"
    runs: dict[int, dict[str, Figures]] = {
        int(seed): run for seed, run in (json.loads(kept.read_text())["runs"].items() if kept.is_file() else ())
    }
    if kept.is_file() and json.loads(kept.read_text())["backbone"] != shipped.digest:
        runs = {}
    for seed in arguments.seeds:
        run = runs.setdefault(seed, {})
        begun = time.monotonic()
        if "official" in arguments.only:
            run.update(study.official(shipped, seed, street, real))
        if "labelled" in arguments.only:
            run.update(dict(study.labelled(shipped, seed, street)))
        if "four" in arguments.only:
            run["four vehicles"] = study.four(shipped, seed)
        if "unseen" in arguments.only and arguments.blind_backbone:
            run.update(study.unseen(load_backbone(arguments.blind_backbone, arguments.threads), seed))
        if "folds" in arguments.only and arguments.fold_backbones:
            backbones = {
                number: load_backbone(arguments.fold_backbones / f"fold{number}.onnx", arguments.threads)
                for number in range(FOLDS)
                if (arguments.fold_backbones / f"fold{number}.onnx").is_file()
            }
            run["5-fold cross-validation"] = study.folds(backbones, seed)
        study.save()
        print(f"seed {seed}: {time.monotonic() - begun:.0f} s", flush=True)
        arguments.out.mkdir(parents=True, exist_ok=True)
        summary = summarised(runs)
        kept.write_text(json.dumps({"backbone": shipped.digest, "runs": runs, "summary": summary}, indent=1) + "\n")
        (arguments.out / "figures.md").write_text(page(summary))
        draw_label_curve(summary, arguments.out / "labels.png")
    print((arguments.out / "figures.md").read_text())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
