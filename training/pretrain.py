"""Pretrain the backbone on everything but our vehicles: `python -m training.pretrain --data build/data/train`.

Run once per release of the training code; the result is kept in the repository. The configured vehicles and all test
images are left out, so that cross-validation over all images of the vehicles stays honest.
"""

import argparse
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from training import dataset
from training.augment import Augmentation, Sides, augment, mixed, shrunk
from training.backbone import BACKBONE_FILE, Backbone, load_backbone
from training.dataset import Dataset, concatenate
from training.descent import Average, Descent
from training.drawn import JUNK, junk
from training.muon import Muon
from training.network import Network, fast_type, to_tensor

NEVER_SEEN = ("bicycle", "motorcycle")


@dataclass(frozen=True)
class Recipe:
    """The hyperparameters of pretraining; the defaults made the backbone that ships."""

    epochs: int = 64
    batch: int = 256
    turn: float = 0.05
    """Learning rate of the convolutions (training.muon); `rate` is that of head and normalisations."""
    rate: float = 0.15
    momentum: float = 0.85
    weight_decay: float = 5e-4
    smoothing: float = 0.0
    mixed: float = 0.5
    """Share of the batches whose photos carry a square of each other."""
    taught: float = 0.5
    """How much of the target is what the teacher says, where there is one, instead of the label."""
    junk_images: int = 500
    average: float = 0.98
    sides: Sides = ((0.3, 20), (0.65, 24))
    augmentation: Augmentation = field(
        default_factory=lambda: Augmentation(
            warped=0.2, recoloured=0.2, blurred=0.07, compressed=0.07, resampled=0.05, noisy=0.03, erased=0.2
        )
    )


TEACHER = Recipe(epochs=40, smoothing=0.1, mixed=0.0)


def pretrain(data: Dataset, recipe: Recipe, seed: int, teacher: Backbone | None = None) -> Backbone:
    """Return a backbone that tells apart the labels of `data` and junk; prints a line per epoch.

    `teacher` is an earlier backbone for the same classes: what it takes each photo for becomes part of the target.
    Reference: Furlanello et al., "Born-Again Neural Networks", 2018. Raises ValueError when its classes are others.
    """
    torch.manual_seed(seed)
    generator = np.random.default_rng(seed)
    data = concatenate([data, junk(recipe.junk_images, seed)])
    classes = (*tuple(sorted(set(data.labels.tolist()) - {JUNK})), JUNK)
    place = {name: i for i, name in enumerate(classes)}
    truth = torch.eye(len(classes))[[place[str(name)] for name in data.labels]]
    if teacher and teacher.classes != classes:
        raise ValueError("the teacher was trained on other classes than there are now; pretrain one on the same data")
    taught = _network(teacher) if teacher else None
    network = Network(len(classes))
    network.whiten(to_tensor(data.images[generator.permutation(len(data))[:5000]]))
    per_epoch = len(data) // recipe.batch
    total = per_epoch * recipe.epochs
    norms = [parameter for parameter in network.blocks.parameters() if parameter.ndim == 1]
    groups: list[dict[str, Any]] = [
        {"params": network.head.parameters(), "weight_decay": recipe.weight_decay},
        {"params": norms},
    ]
    rest = torch.optim.SGD(groups, lr=recipe.rate, momentum=recipe.momentum, nesterov=True)
    descent = Descent(network, [Muon(network.convolutions(), recipe.turn), rest], total, warm=0.125, start=0.2)
    averaged = Average(network, recipe.average)
    begun, cpu = time.monotonic(), time.process_time()
    for epoch in range(1, recipe.epochs + 1):
        network.train()
        order, losses, right = generator.permutation(len(data)), [], 0
        for step in range(per_epoch):
            chosen = order[step * recipe.batch : (step + 1) * recipe.batch]
            photos = augment(to_tensor(data.images[chosen]), recipe.augmentation, generator)
            photos, others, part = mixed(photos, recipe.mixed, generator)
            photos = shrunk(photos, recipe.sides, ((epoch - 1) * per_epoch + step) / total)
            target = (1 - part) * truth[chosen] + part * truth[chosen[others.numpy()]]
            target = (1 - recipe.smoothing) * target + recipe.smoothing / len(classes)
            with torch.autocast("cpu", fast_type(), enabled=fast_type() != torch.float32):
                logits = network(photos)
                if taught:
                    with torch.no_grad():
                        said = taught(photos).float().softmax(dim=1)
                    target = (1 - recipe.taught) * target + recipe.taught * said
            logits = logits.float()
            loss = functional.cross_entropy(logits, target)
            descent.step(loss)
            averaged.update(network)
            losses.append(loss.item())
            right += int((logits.argmax(dim=1) == target.argmax(dim=1)).sum())
        print(
            f"epoch {epoch}/{recipe.epochs} loss={np.mean(losses):.4f} "
            f"accuracy={right / (per_epoch * recipe.batch):.4f} "
            f"{time.monotonic() - begun:.0f} s, {time.process_time() - cpu:.0f} CPU seconds",
            flush=True,
        )
    about = {
        "seed": str(seed),
        "epochs": str(recipe.epochs),
        "images": str(len(data)),
        "cpu_s": f"{time.process_time() - cpu:.0f}",
        "teacher": " ".join(f"{key}={value}" for key, value in teacher.about.items()) if teacher else "none",
        "made_by": "python -m training.pretrain",
    }
    return Backbone(averaged.network.state_dict(), classes, about)


@torch.no_grad()
def accuracy(backbone: Backbone, data: Dataset) -> float:
    """Return the share of `data` that the backbone's own head names right; labels it does not know are left out."""
    network = _network(backbone)
    known = data.of(backbone.classes)
    right = 0
    for start in range(0, len(known), 256):
        photos = to_tensor(known.images[start : start + 256])
        named = np.array(backbone.classes)[(network(photos) + network(photos.flip(3))).argmax(dim=1).numpy()]
        right += int((named == known.labels[start : start + 256]).sum())
    return right / max(1, len(known))


def _network(backbone: Backbone) -> Network:
    network = Network(len(backbone.classes))
    backbone.load_into(network, backbone.classes)
    return network.eval()


def main() -> int:
    """Pretrain and write the backbone; return the exit status."""
    parser = argparse.ArgumentParser(description="Pretrain the backbone on everything but our vehicles.")
    parser.add_argument("--data", type=Path, default=Path("build/data/train"))
    parser.add_argument("--test", type=Path, help="a folder of test images to report the accuracy on; never trained on")
    parser.add_argument("--out", type=Path, default=BACKBONE_FILE)
    parser.add_argument("--epochs", type=int, default=Recipe().epochs)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--teacher", type=Path, help="learn from this one instead of training a teacher first")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--hold-out", nargs="*", default=[], help="further classes that it must not see")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    data = dataset.load(arguments.data).without({*NEVER_SEEN, *arguments.hold_out})
    teacher = load_backbone(arguments.teacher) if arguments.teacher else pretrain(data, TEACHER, arguments.seed)
    if teacher is None:
        parser.error(f"there is no {arguments.teacher} to learn from")
    backbone = pretrain(data, Recipe(epochs=arguments.epochs), arguments.seed, teacher)
    backbone.save(arguments.out)
    print(f"wrote {arguments.out.name}: {arguments.out.stat().st_size / 1e6:.2f} MB, {len(backbone.classes)} classes")
    if arguments.test:
        print(f"accuracy on the test images of its classes: {accuracy(backbone, dataset.load(arguments.test)):.4f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
