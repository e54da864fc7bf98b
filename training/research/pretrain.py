"""Make the backbone and the initial head: `make pretrain`, from ImageNet's weights and CIFAR-100, about ten minutes.

Never touches a test image, nor the holdout. The pictures of the base data whose position (training.holdout) is below
`SEEN_FROM` are not shown to the backbone: a retraining calibrates on them.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from training import dataset
from training.backbone import BACKBONE_FILE, load_backbone
from training.calibrate import calibrate, choose, operating_points
from training.classifier import Recipe as HeadRecipe
from training.classifier import picture_weights
from training.dataset import concatenate, targets
from training.drawn import blank_images
from training.features import FeatureCache
from training.fit import fit_head
from training.head import Head
from training.holdout import positions, split_off
from training.initial import HEAD_FILE, save_initial
from training.policy import configured_policy
from training.research.adapt import Recipe, adapt, blended
from training.research.efficientnet import EfficientNetLite0, imagenet_network
from training.research.export import export
from training.vehicles import OTHER, configured_vehicles, imagenet_classes

SEEN_FROM = 0.4
SIDE = 192
"""Width and height of what the model sees, in pixels."""


def make_backbone(adapted: EfficientNetLite0, path: Path, recipe: Recipe) -> None:
    """Average `adapted` with ImageNet's weights and write the backbone to `path`."""
    about = {"side": SIDE, "seen_from": SEEN_FROM, "weights": "EfficientNet-Lite0, ImageNet", "blend": recipe.blend}
    export(blended(imagenet_network(), adapted, recipe.blend), path, about)


def make_initial_head(data: dataset.Dataset, backbone_file: Path, path: Path, seed: int = 0) -> None:
    """Fit the head that a stage without any data starts with, on the pictures that the backbone was shown.

    It is calibrated on those that neither has seen; a retraining, whose head starts from this one, uses them too.
    """
    vehicles, groups, policy, recipe = configured_vehicles(), imagenet_classes(), configured_policy(), HeadRecipe()
    backbone = load_backbone(backbone_file)
    cache = FeatureCache(backbone)
    base, _ = split_off(data)
    unseen = positions(base) < SEEN_FROM
    fitting = concatenate([
        base[~unseen].of(vehicles),
        dataset.sample(base[~unseen].without(vehicles), recipe.others_each, seed),
        blank_images(recipe.blank_images, seed),
    ])  # fmt: skip
    held = concatenate([
        base[unseen].of(vehicles), dataset.sample(base[unseen].without(vehicles), recipe.others_each, seed)
    ])  # fmt: skip
    truth = targets(fitting, vehicles)
    weights = picture_weights(truth, np.zeros(len(truth), dtype=bool), len(vehicles), 1.0)
    named = tuple(groups[name] for name in vehicles)
    start = Head((*vehicles, OTHER), named, np.zeros((len(vehicles) + 1, 1280)), np.zeros(len(vehicles) + 1))
    features, logits = (views[:, :1] for views in cache.of(fitting.pictures))
    head = fit_head(start, features, logits, truth, weights, recipe.penalty / len(truth))
    answers, known = head.logits(*cache.of(held.pictures)), targets(held, vehicles)
    point = choose(operating_points(answers, known, policy, seed), policy)
    save_initial(path, head, calibrate(answers, known, policy), point.threshold)
    print(f"initial head: fitted on {len(fitting)} pictures; on {len(held)} others, threshold {point.threshold:.3f}")


def main() -> int:
    """Adapt, average, export, fit the initial head; return the exit status."""
    default = Recipe()
    parser = argparse.ArgumentParser(description="Make the backbone and the initial head.")
    parser.add_argument("--data", type=Path, default=Path("build/data/train"))
    parser.add_argument("--steps", type=int, default=default.steps)
    parser.add_argument("--blend", type=float, default=default.blend)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0, help="0: as many as PyTorch likes")
    parser.add_argument("--weights", type=Path, default=Path("build/pretrain/adapted.pt"), help="the adapted weights")
    parser.add_argument("--out", type=Path, default=BACKBONE_FILE)
    parser.add_argument("--head", type=Path, default=HEAD_FILE)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    recipe = Recipe(steps=arguments.steps, blend=arguments.blend)
    data = dataset.load(arguments.data)
    vehicles, groups = configured_vehicles(), imagenet_classes()
    begun = time.monotonic()

    def say(step: int, steps: int, loss: float) -> None:
        if step % 10 == 0 or step == steps:
            print(f"step {step}/{steps} loss={loss:.3f} {time.monotonic() - begun:.0f} s", flush=True)

    if arguments.weights.is_file():
        print(f"adapted weights: {arguments.weights} (remove it to adapt again)", flush=True)
        adapted = imagenet_network()
        adapted.load_state_dict(torch.load(arguments.weights, weights_only=True))
    else:
        shown = data[positions(data) >= SEEN_FROM]
        named = tuple(groups[name] for name in vehicles)
        adapted = adapt(imagenet_network(), shown, vehicles, named, recipe, arguments.seed, say)
        arguments.weights.parent.mkdir(parents=True, exist_ok=True)
        torch.save(adapted.state_dict(), arguments.weights)
    make_backbone(adapted, arguments.out, recipe)
    make_initial_head(data, arguments.out, arguments.head)
    print(f"written: {arguments.out} ({arguments.out.stat().st_size / 1e6:.1f} MB) and {arguments.head}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
