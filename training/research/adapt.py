"""Adapt a network that knows ImageNet to small pictures, without losing what it knows of large ones.

All layers are fine-tuned on CIFAR-100 pictures, vehicles against everything else, with the logits of ImageNet's own
head as the prior of the answer, as in training.head. Then the weights are averaged with those from before, which keeps
most of what was learned and of what was known (Wortsman et al., "Robust fine-tuning of zero-shot models", 2022).
"""

import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from training.dataset import Dataset
from training.head import FLOOR, Groups
from training.research.efficientnet import FEATURES, EfficientNetLite0

StepDone = Callable[[int, int, float], None]
"""Called after each step with (step from 1, steps, loss)."""


@dataclass(frozen=True)
class Recipe:
    """The hyperparameters of the adaptation; the defaults are those that ship.

    `side` and `first_side` are pixels; pictures are shown at `first_side` for the first `first_part` of the steps.
    `blend` is the share of the adapted weights in the average with those from before.
    """

    steps: int = 300
    vehicles_per_batch: int = 22
    others_per_batch: int = 26
    learning_rate: float = 3e-4
    head_learning_rate: float = 3e-3
    weight_decay: float = 0.01
    all_classes_weight: float = 0.5
    warmup_steps: int = 20
    first_side: int = 96
    first_part: float = 0.6
    side: int = 128
    blend: float = 0.6


def adapt(
    network: EfficientNetLite0,
    data: Dataset,
    vehicles: tuple[str, ...],
    groups: Groups,
    recipe: Recipe,
    seed: int,
    done: StepDone = lambda *_: None,
) -> EfficientNetLite0:
    """Return `network` fine-tuned on `data` (pictures of 32 x 32 pixels), not yet averaged with what it was.

    Batch normalisation keeps its statistics, and ImageNet's head its weights.
    """
    torch.manual_seed(seed)
    generator = np.random.default_rng(seed)
    pixels = torch.from_numpy(np.stack(data.pictures)).permute(0, 3, 1, 2)
    kinds = [*vehicles, *sorted(set(data.labels) - set(vehicles))]
    target = torch.from_numpy(np.array([kinds.index(label) for label in data.labels]))
    is_vehicle = np.isin(data.labels, list(vehicles))
    ours, others = np.flatnonzero(is_vehicle), np.flatnonzero(~is_vehicle)

    student = deepcopy(network).eval().to(memory_format=torch.channels_last)
    student._fc.requires_grad_(False)
    head = nn.Linear(FEATURES, len(kinds))
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    trained = [parameter for parameter in student.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in trained if p.ndim > 1], "weight_decay": recipe.weight_decay},
            {"params": [p for p in trained if p.ndim == 1], "weight_decay": 0.0},
            {"params": head.parameters(), "lr": recipe.head_learning_rate, "weight_decay": 0.0},
        ],
        lr=recipe.learning_rate,
    )
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _lr_schedule(step, recipe))
    for step in range(recipe.steps):
        side = recipe.first_side if step < recipe.first_part * recipe.steps else recipe.side
        chosen = np.concatenate([
            generator.choice(ours, recipe.vehicles_per_batch, replace=False),
            generator.choice(others, recipe.others_per_batch, replace=False),
        ])  # fmt: skip
        photos = augment(pixels[torch.from_numpy(chosen)].float(), side, generator)
        features = student.features(photos)
        logits, truth = head(features), target[torch.from_numpy(chosen)]
        answer = _prior(student.logits(features), groups) + vehicle_logits(logits, len(vehicles))
        loss = functional.cross_entropy(answer, truth.clamp(max=len(vehicles)))
        loss = loss + recipe.all_classes_weight * functional.cross_entropy(logits, truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        done(step + 1, recipe.steps, loss.item())
    return student.requires_grad_(True).eval()


@torch.no_grad()
def blended(before: EfficientNetLite0, after: EfficientNetLite0, share: float) -> EfficientNetLite0:
    """Return the network whose weights are `share` of `after` and the rest of `before`."""
    old, new = before.state_dict(), after.state_dict()
    result = deepcopy(before)
    result.load_state_dict({
        name: torch.lerp(value, new[name], share) if value.is_floating_point() else value for name, value in old.items()
    })  # fmt: skip
    return result.eval()


def vehicle_logits(logits: Tensor, vehicles: int) -> Tensor:
    """Return (N, vehicles + 1): the vehicles' logits and, for `other`, the log-sum-exp of all the others."""
    return torch.cat([logits[:, :vehicles], logits[:, vehicles:].logsumexp(dim=1, keepdim=True)], dim=1)


def augment(pictures: Tensor, side: int, generator: np.random.Generator) -> Tensor:
    """Return pictures (N, 3, 32, 32), 0...255, as (N, 3, side, side): cropped, turned, mirrored, relit, blurred."""
    count, _, height, width = pictures.shape

    def uniform(low: float, high: float) -> Tensor:
        return torch.from_numpy(generator.uniform(low, high, count).astype(np.float32))

    def often(share: float) -> Tensor:
        return uniform(0, 1) < share

    angle = uniform(-0.12, 0.12) * often(0.5)
    scale, stretch = torch.exp(uniform(math.log(0.7), math.log(1.08))), torch.exp(uniform(-0.15, 0.15))
    mirror = torch.where(often(0.5), -1.0, 1.0)
    room = (1 - scale).clamp(min=0) + 0.08
    across, down = scale * stretch, scale / stretch
    rows = (
        torch.stack([mirror * across * angle.cos(), -down * angle.sin(), uniform(-1, 1) * room], dim=1),
        torch.stack([mirror * across * angle.sin(), down * angle.cos(), uniform(-1, 1) * room], dim=1),
    )
    coarse = often(0.25)
    if coarse.any():
        fewer = int(generator.integers(18, 30))
        small = functional.interpolate(pictures[coarse], fewer, mode="bilinear", antialias=True)
        pictures = pictures.clone()
        pictures[coarse] = functional.interpolate(small, (height, width), mode="bicubic")
    grid = functional.affine_grid(torch.stack(rows, dim=1), [count, 3, side, side], align_corners=False)
    photos = functional.grid_sample(pictures, grid, mode="bicubic", padding_mode="reflection", align_corners=False)
    column = (slice(None), None, None, None)
    mean = photos.mean(dim=(1, 2, 3), keepdim=True)
    contrast, brightness = torch.exp(uniform(-0.35, 0.35))[column], torch.exp(uniform(-0.5, 0.3))[column]
    photos = ((photos - mean) * contrast + mean) * brightness
    photos = torch.where(often(0.05)[column], photos.mean(dim=1, keepdim=True), photos)
    photos = photos + torch.randn_like(photos) * (uniform(0, 8) * often(0.3))[column]
    return photos.clamp(0, 255).contiguous(memory_format=torch.channels_last)


def _lr_schedule(step: int, recipe: Recipe) -> float:
    return min(1.0, (step + 1) / recipe.warmup_steps) * 0.5 * (1 + math.cos(math.pi * step / recipe.steps))


def _prior(imagenet: Tensor, groups: Groups) -> Tensor:
    logs = imagenet.log_softmax(dim=1)
    named = [number for group in groups for number in group]
    rest = torch.ones(logs.shape[1], dtype=torch.bool)
    rest[named] = False
    columns = [logs[:, list(group)].logsumexp(dim=1) for group in groups]
    return torch.stack([*columns, logs[:, rest].logsumexp(dim=1)], dim=1).clamp(min=FLOOR)
