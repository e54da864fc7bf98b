"""Measure every figure stated about the model: `python -m training.research.study --data build/data --street <folder>`.

Writes docs/model/figures.json, figures.md and labels.png. The experiments, for each seed, which draws the sample of the
base data, the folds and the order of labels:

- official: trained on the training images, measured on the official test images, street photos and other real photos;
- labelled: the same with some of the street photos labelled, measured on the others;
- folds: 5-fold cross-validation over all images of the vehicles, with a backbone per fold;
- unseen: backbone and head trained without UNSEEN_CLASSES, measured on those classes;
- four: a model of four vehicles.

Figures of experiments and seeds that are not measured again are kept from the last run, unless recipe, policy or
backbone has changed.
"""

import argparse
import time
from pathlib import Path

from training import dataset
from training.backbone import BACKBONE_FILE, load_backbone
from training.classifier import Recipe
from training.policy import Policy
from training.research.experiments import N_FOLDS, Experiments, read_photos
from training.research.fingerprint import fingerprint
from training.research.study_report import read_runs, write_report

EXPERIMENTS = ("official", "labelled", "folds", "unseen", "four")


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure every figure stated about the model.")
    parser.add_argument("--data", type=Path, default=Path("build/data"))
    parser.add_argument("--street", type=Path, help="a folder of class folders with street photos")
    parser.add_argument("--photos", type=Path, help="a folder of class folders with other real photos")
    parser.add_argument("--fold-backbones", type=Path, help="a folder with fold0.onnx ... fold4.onnx")
    parser.add_argument("--unseen-backbone", type=Path, help="a backbone trained without the unseen classes")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", choices=EXPERIMENTS, default=EXPERIMENTS)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("build/study"), help="where features are cached")
    parser.add_argument("--out", type=Path, default=Path("docs/model"))
    return parser.parse_args()


def main() -> int:
    """Run the experiments and write the figures; return the exit status."""
    arguments = _parse_arguments()
    recipe, policy = Recipe(), Policy()
    train, test = dataset.load(arguments.data / "train"), dataset.load(arguments.data / "test")
    experiments = Experiments(arguments.folder, train, test, recipe, policy)
    backbone = load_backbone(BACKBONE_FILE, arguments.threads)
    street = read_photos(arguments.street) if arguments.street else (dataset.empty(), [])
    real = read_photos(arguments.photos)[0] if arguments.photos else dataset.empty()
    key = fingerprint(recipe, policy, backbone.digest)
    runs = read_runs(arguments.out, key)
    for seed in arguments.seeds:
        run = runs.setdefault(seed, {})
        start_s = time.monotonic()
        if "official" in arguments.only:
            run.update(experiments.measure_official(backbone, seed, street, real))
        if "labelled" in arguments.only:
            run.update(dict(experiments.measure_labelled(backbone, seed, street)))
        if "four" in arguments.only:
            run["four vehicles"] = experiments.measure_four_vehicles(backbone, seed)
        if "unseen" in arguments.only and arguments.unseen_backbone:
            run.update(experiments.measure_unseen(load_backbone(arguments.unseen_backbone, arguments.threads), seed))
        if "folds" in arguments.only and arguments.fold_backbones:
            files = {number: arguments.fold_backbones / f"fold{number}.onnx" for number in range(N_FOLDS)}
            backbones = {n: load_backbone(file, arguments.threads) for n, file in files.items() if file.is_file()}
            run["5-fold cross-validation"] = experiments.cross_validate(backbones, seed)
        experiments.save_features()
        print(f"seed {seed}: {time.monotonic() - start_s:.0f} s", flush=True)
        write_report(arguments.out, runs, key, backbone.digest)
    print((arguments.out / "figures.md").read_text())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
