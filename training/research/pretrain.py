"""Create the backbone and the initial head from ImageNet's weights and CIFAR-100: `make pretrain`, about ten minutes.

Neither test images nor the holdout are used. Images of the base data whose hash fraction (see training.holdout) is
below MIN_TRAINING_HASH are not used for the backbone, because a retraining calibrates on them.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from training import dataset
from training.backbone import BACKBONE_FILE, load_backbone
from training.baseline import build_baseline
from training.blank_images import generate_blank_images
from training.calibrate import calibrate, choose_operating_point, estimate_operating_points, mixture_weights
from training.classifier import Recipe, sample_weights
from training.dataset import Dataset, concatenate, targets
from training.features import FeatureCache
from training.fit import fit_head
from training.head import Head
from training.holdout import hash_fractions, split_holdout
from training.initial_head import (
    INITIAL_BASELINE_FILE,
    INITIAL_HEAD_FILE,
    load_initial_head,
    save_initial_head,
)
from training.policy import configured_policy
from training.research.efficientnet import FEATURES, EfficientNetLite0, load_imagenet_network
from training.research.export import export
from training.research.finetune import FinetuneRecipe, finetune, interpolate_weights
from training.research.fingerprint import dataset_digest, fingerprint
from training.vehicles import OTHER, configured_vehicles, imagenet_classes

MIN_TRAINING_HASH = 0.4
SIDE = 192
"""Width and height of the model's input, in pixels."""


def create_backbone(finetuned: EfficientNetLite0, path: Path, recipe: FinetuneRecipe) -> None:
    """Average the weights of `finetuned` with ImageNet's and write the backbone to `path`."""
    metadata = {
        "side": SIDE,
        "seen_from": MIN_TRAINING_HASH,
        "weights": "EfficientNet-Lite0, ImageNet",
        "blend": recipe.interpolation,
    }
    export(interpolate_weights(load_imagenet_network(), finetuned, recipe.interpolation), path, metadata)


def create_initial_head(data: Dataset, backbone_file: Path, path: Path, seed: int = 0) -> None:
    """Fit the initial head on the images that the backbone was trained on, and calibrate it on the others.

    A retraining, whose head starts from this one, trains on the others too.
    """
    vehicles, groups, policy, recipe = configured_vehicles(), imagenet_classes(), configured_policy(), Recipe()
    cache = FeatureCache(load_backbone(backbone_file))
    base, _ = split_holdout(data)
    is_for_calibration = hash_fractions(base) < MIN_TRAINING_HASH
    training_set = concatenate([
        base[~is_for_calibration].with_labels(vehicles),
        dataset.sample(base[~is_for_calibration].without_labels(vehicles), recipe.max_per_other_class, seed),
        generate_blank_images(recipe.blank_images, seed),
    ])  # fmt: skip
    calibration_set = concatenate([
        base[is_for_calibration].with_labels(vehicles),
        dataset.sample(base[is_for_calibration].without_labels(vehicles), recipe.max_per_other_class, seed),
    ])  # fmt: skip
    truth = targets(training_set, vehicles)
    weights = sample_weights(truth, np.zeros(len(truth), dtype=bool), len(vehicles), 1.0)
    start = Head(
        (*vehicles, OTHER),
        tuple(groups[name] for name in vehicles),
        np.zeros((len(vehicles) + 1, FEATURES)),
        np.zeros(len(vehicles) + 1),
    )
    features, logits = (views[:, :1] for views in cache.get(training_set.images))
    head = fit_head(start, features, logits, truth, weights, recipe.l2_penalty / len(truth))
    calibration_logits = head.logits(*cache.get(calibration_set.images))
    calibration_truth = targets(calibration_set, vehicles)
    point = choose_operating_point(
        estimate_operating_points(calibration_logits, calibration_truth, policy, seed), policy
    )
    calibration = calibrate(calibration_logits, calibration_truth, policy)
    save_initial_head(path, head, calibration, point.threshold)
    save_initial_baseline(calibration_set, cache, path)
    print(
        f"initial head: fitted on {len(training_set)} images, calibrated on {len(calibration_set)} others, "
        f"threshold {point.threshold:.3f}"
    )


def save_initial_baseline(calibration_set: Dataset, cache: FeatureCache, path: Path) -> None:
    """Write the baseline of the initial head in `path`, on its calibration set, to initial_baseline.json beside it."""
    vehicles, policy = configured_vehicles(), configured_policy()
    initial = load_initial_head(vehicles, imagenet_classes(), path)
    baseline = build_baseline(
        initial.calibration.probabilities(initial.head.logits(*cache.get(calibration_set.images))),
        mixture_weights(targets(calibration_set, vehicles), len(vehicles), policy.others_share),
        initial.threshold,
        initial.head.classes,
        calibration_set.images,
        SIDE,
    )
    path.with_name(INITIAL_BASELINE_FILE.name).write_text(json.dumps(baseline, indent=2) + "\n", encoding="utf-8")


def load_or_finetune(data: Dataset, recipe: FinetuneRecipe, seed: int, folder: Path) -> EfficientNetLite0:
    """Return the ImageNet network fine-tuned on `data`; an earlier result for the same recipe is read from `folder`.

    The file's name is the fingerprint of recipe, seed, vehicles and data.
    """
    training_set = data[hash_fractions(data) >= MIN_TRAINING_HASH]
    vehicles, groups = configured_vehicles(), imagenet_classes()
    # The weights are averaged after the fine-tuning, so the interpolation does not change it.
    key = fingerprint(replace(recipe, interpolation=1.0), seed, vehicles, groups, dataset_digest(training_set))
    file = folder / f"finetuned-{key}.pt"
    if file.is_file():
        print(f"fine-tuned weights: {file}", flush=True)
        network = load_imagenet_network()
        network.load_state_dict(torch.load(file, weights_only=True))
        return network
    named = tuple(groups[name] for name in vehicles)
    network = finetune(load_imagenet_network(), training_set, vehicles, named, recipe, seed, _step_printer())
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(network.state_dict(), file)
    return network


def _step_printer() -> Callable[[int, int, float], None]:
    start_s = time.monotonic()

    def print_step(step: int, steps: int, loss: float) -> None:
        if step % 10 == 0 or step == steps:
            print(f"step {step}/{steps} loss={loss:.3f} {time.monotonic() - start_s:.0f} s", flush=True)

    return print_step


def main() -> int:
    """Fine-tune, average the weights, export, fit the initial head; return the exit status."""
    default = FinetuneRecipe()
    parser = argparse.ArgumentParser(description="Create the backbone and the initial head.")
    parser.add_argument("--data", type=Path, default=Path("build/data/train"))
    parser.add_argument("--steps", type=int, default=default.steps)
    parser.add_argument("--interpolation", type=float, default=default.interpolation, help="weight of the fine-tuned")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0, help="0: PyTorch's default")
    parser.add_argument(
        "--folder", type=Path, default=Path("build/pretrain"), help="where fine-tuned weights are stored"
    )
    parser.add_argument("--out", type=Path, default=BACKBONE_FILE)
    parser.add_argument("--head", type=Path, default=INITIAL_HEAD_FILE)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    recipe = FinetuneRecipe(steps=arguments.steps, interpolation=arguments.interpolation)
    data = dataset.load(arguments.data)
    create_backbone(load_or_finetune(data, recipe, arguments.seed, arguments.folder), arguments.out, recipe)
    create_initial_head(data, arguments.out, arguments.head)
    print(f"written: {arguments.out} ({arguments.out.stat().st_size / 1e6:.1f} MB) and {arguments.head}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
