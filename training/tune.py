"""Compare recipes of fine-tuning on folds of the training images alone: `python -m training.tune name=value ...`.

Each argument changes one number of the recipe. The test images play no part, what the
study states is not what was tuned.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from training import dataset, metrics, trials
from training.backbone import Backbone, load_backbone
from training.classifier import learn
from training.dataset import Dataset, concatenate, targets
from training.fit import Recipe
from training.study import VEHICLES


def changed(recipe: Recipe, changes: Sequence[str]) -> Recipe:
    """Return the recipe with changes such as `epochs=10` or `erased=0.1` applied.

    Raises ValueError for a name that is a number neither of the recipe nor of its augmentation.
    """
    for change in changes:
        name, _, value = change.partition("=")
        places = (recipe, recipe.augmentation)
        part = next((place for place in places if isinstance(getattr(place, name, None), int | float)), None)
        if part is None:
            raise ValueError(f"a recipe has no number called {name!r}")
        part = replace(part, **{name: type(getattr(part, name))(float(value))})
        recipe = part if isinstance(part, Recipe) else replace(recipe, augmentation=part)
    return recipe


def compare(
    ours: Dataset, others: Dataset, backbone: Backbone, recipe: Recipe, folds: Sequence[int], seed: int
) -> dict[str, float]:
    """Return pooled figures over `folds` (of five) of the training images."""
    fold = dataset.folds(ours, 5, seed=77)
    rows: list[dict[str, float]] = []
    for i in folds:
        known, strange = dataset.split(others, 0.15, seed=i, most=12)
        classifier = learn(concatenate([ours[fold != i], known]), VEHICLES, backbone, recipe, seed)
        judged = ours[fold == i]
        truth = targets(judged, VEHICLES)
        plain = classifier.probabilities(judged.images)
        everything = np.concatenate([plain, classifier.probabilities(strange.images)])
        all_truth = np.concatenate([truth, np.full(len(strange), len(VEHICLES))])
        at = metrics.at_threshold(everything, all_truth, classifier.threshold)
        row = {
            "accuracy": metrics.accuracy(plain, truth),
            "nll": float(-np.log(plain[np.arange(len(truth)), truth] + 1e-9).mean()),
            "ece": metrics.ece(plain, truth),
            "auroc": metrics.auroc(everything, all_truth),
            "threshold": classifier.threshold,
            "temperature": classifier.calibration.temperature,
            "coverage": at.coverage,
            "error": at.error_accepted,
            "others": at.other_accepted,
            "cpu_s": classifier.cpu_s,
        }
        for name, damage in trials.DAMAGES.items():
            worse = classifier.probabilities(trials.damaged(judged.images, damage))
            row[name] = metrics.accuracy(worse, truth)
            row[f"{name}, error"] = metrics.at_threshold(worse, truth, classifier.threshold).error_accepted
        rows.append(row)
    return {name: round(float(np.nanmean([row[name] for row in rows])), 4) for name in rows[0]}


def main() -> int:
    """Compare one recipe and append its figures to a file; return the exit status."""
    parser = argparse.ArgumentParser(description="Try a recipe on folds of the training images.")
    parser.add_argument("changes", nargs="*")
    parser.add_argument("--data", type=Path, default=Path("build/data/train"))
    parser.add_argument("--backbone", type=Path)
    parser.add_argument("--folds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("build/tuning.jsonl"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data = dataset.load(arguments.data)
    backbone = load_backbone(arguments.backbone) if arguments.backbone else load_backbone()
    if backbone is None:
        parser.error("there is no backbone to fine-tune")
    recipe = changed(Recipe(), arguments.changes)
    figures = compare(data.of(VEHICLES), data.without(VEHICLES), backbone, recipe, arguments.folds, arguments.seed)
    line = json.dumps({"changes": arguments.changes, "folds": arguments.folds, "seed": arguments.seed, **figures})
    print(line)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    with arguments.out.open("a") as file:
        file.write(line + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
