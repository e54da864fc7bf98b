"""Fine-tune the backbone on the configured vehicles, with photos of everything else shown as what they are: others.

Outlier exposure: Hendrycks et al., "Deep Anomaly Detection with Outlier Exposure", 2019.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from training.augment import Augmentation, augment
from training.backbone import Backbone
from training.dataset import Dataset, concatenate, targets
from training.descent import Average, Descent
from training.drawn import JUNK, junk
from training.metrics import Floats, Ints
from training.network import Network, fast_type, to_tensor, vehicle_logits


@dataclass(frozen=True)
class Recipe:
    """The hyperparameters of fine-tuning; the defaults are those that ship."""

    epochs: int = 16
    vehicles_per_batch: int = 32
    others_per_batch: int = 32
    rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    smoothing: float = 0.0
    """None: with 0.05, confidence ranked errors worse (area under risk-coverage 0.0144, not 0.0120)."""
    all_way: float = 1.0
    junk_share: float = 0.06
    average: float = 0.985
    """Decay of the averaged weights, once training has taken 657 steps; Average starts with a lower one."""
    frozen_blocks: int = 1
    augmentation: Augmentation = field(default_factory=Augmentation)


EpochDone = Callable[[int, int, float, float], None]
"""Called after each epoch with (epoch from 1, epochs, mean loss, accuracy on the vehicles trained on)."""


def fine_tune(
    data: Dataset,
    vehicles: tuple[str, ...],
    backbone: Backbone | None,
    recipe: Recipe,
    seed: int,
    done: EpochDone = lambda *_: None,
) -> Network:
    """Return a network trained on `data`: outputs are `vehicles`, then one per other label, then junk.

    `backbone` None starts from random weights with a stem whitened on `data`. Not meant to be repeated bit by bit on
    another processor, but on the same one the seed decides everything.
    """
    torch.manual_seed(seed)
    generator = np.random.default_rng(seed)
    ours, others = data.of(vehicles), data.without(vehicles)
    others = concatenate([others, junk(max(64, min(2000, len(ours))), seed)])
    kinds = [*sorted(set(others.labels) - {JUNK}), JUNK]
    network = _start(vehicles, kinds, ours, backbone)
    our_target = torch.from_numpy(targets(ours, vehicles))
    kind_of = {name: i for i, name in enumerate(kinds)}
    other_kind = np.array([kind_of[str(name)] for name in others.labels])
    other_target = torch.from_numpy(other_kind + len(vehicles))
    chance = _chances(other_kind, len(kinds), recipe.junk_share)

    network.blocks[: recipe.frozen_blocks].requires_grad_(False)
    per_epoch = max(1, len(ours) // recipe.vehicles_per_batch)
    total = per_epoch * recipe.epochs
    optimizer = torch.optim.SGD(
        [parameter for parameter in network.parameters() if parameter.requires_grad],
        lr=recipe.rate,
        momentum=recipe.momentum,
        nesterov=True,
        weight_decay=recipe.weight_decay,
    )
    descent = Descent(network, [optimizer], total, warm=1 / 6)
    averaged = Average(network, recipe.average)
    for epoch in range(1, recipe.epochs + 1):
        network.train()
        order = generator.permutation(len(ours))
        losses, right = [], 0
        for step in range(per_epoch):
            mine = order[step * recipe.vehicles_per_batch : (step + 1) * recipe.vehicles_per_batch]
            foreign = generator.choice(len(others), recipe.others_per_batch, p=chance)
            images = np.concatenate([ours.images[mine], others.images[foreign]])
            target = torch.cat([our_target[mine], other_target[foreign]])
            photos = augment(to_tensor(images), recipe.augmentation, generator)
            with torch.autocast("cpu", fast_type(), enabled=fast_type() != torch.float32):
                logits = network(photos)
            logits = logits.float()
            three_way = functional.cross_entropy(
                vehicle_logits(logits, len(vehicles)),
                target.clamp(max=len(vehicles)),
                label_smoothing=recipe.smoothing,
            )
            all_way = functional.cross_entropy(logits, target, label_smoothing=recipe.smoothing)
            loss = three_way + recipe.all_way * all_way
            descent.step(loss)
            averaged.update(network)
            losses.append(loss.item())
            right += int((logits[: len(mine)].argmax(dim=1) == target[: len(mine)]).sum())
        done(epoch, recipe.epochs, float(np.mean(losses)), right / (per_epoch * recipe.vehicles_per_batch))
    averaged.network.round_to_half()
    return averaged.network.eval()


@torch.no_grad()
def predict(network: Network, images: NDArray[np.uint8], vehicles: int) -> Floats:
    """Return the logits (N, vehicles + 1) of images uint8 (N, SIDE, SIDE, 3), each averaged with its mirror image."""
    network.eval()
    parts = []
    for start in range(0, len(images), 256):
        photos = to_tensor(images[start : start + 256])
        both = vehicle_logits(network(torch.cat([photos, photos.flip(3)])), vehicles)
        parts.append((both[: len(photos)] + both[len(photos) :]) / 2)
    return torch.cat(parts).double().numpy() if parts else np.zeros((0, vehicles + 1))


def _start(vehicles: tuple[str, ...], kinds: list[str], ours: Dataset, backbone: Backbone | None) -> Network:
    network = Network(len(vehicles) + len(kinds))
    if backbone is None:
        network.whiten(to_tensor(ours.images[:2000]))
        return network
    backbone.load_into(network, [*vehicles, *kinds])
    return network


def _chances(kind: Ints, kinds: int, junk_share: float) -> Floats:
    """Return how likely each outlier is drawn: every kind alike, JUNK (the last kind) as `junk_share` says."""
    counts = np.bincount(kind, minlength=kinds)
    share = np.full(kinds, (1 - junk_share) / max(1, kinds - 1))
    share[-1] = junk_share if kinds > 1 else 1.0
    chance: Floats = (share / counts)[kind]
    chance /= chance.sum()
    return chance
