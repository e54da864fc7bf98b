"""Fine-tune an ImageNet network on small images, and average the weights to keep its accuracy on large ones.

All layers except ImageNet's head are fine-tuned on CIFAR-100 to classify vehicles against everything else, with the
log-probabilities of ImageNet's head as a prior, as in training.head. Then the weights are averaged with those before
fine-tuning (WiSE-FT: Wortsman et al., "Robust fine-tuning of zero-shot models", 2022).
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
from training.head import MIN_LOG_PROBABILITY, Groups
from training.research.efficientnet import FEATURES, EfficientNetLite0

StepCallback = Callable[[int, int, float], None]
"""Called after each step with (step from 1, number of steps, loss)."""


@dataclass(frozen=True)
class FinetuneRecipe:
    """The hyperparameters of the fine-tuning; the defaults made the backbone in this repository.

    AdamW with linear warm-up and cosine decay. Progressive resizing: images have `initial_side` pixels for the fraction
    `initial_fraction` of the steps, then `side`. `auxiliary_loss_weight` is the weight of the cross-entropy over all
    classes. `interpolation` is the weight of the fine-tuned parameters in the average (alpha of WiSE-FT).
    """

    steps: int = 300
    vehicles_per_batch: int = 22
    others_per_batch: int = 26
    learning_rate: float = 3e-4
    head_learning_rate: float = 3e-3
    weight_decay: float = 0.01
    auxiliary_loss_weight: float = 0.5
    warmup_steps: int = 20
    initial_side: int = 96
    initial_fraction: float = 0.6
    side: int = 128
    interpolation: float = 0.6


def finetune(
    network: EfficientNetLite0,
    data: Dataset,
    vehicles: tuple[str, ...],
    groups: Groups,
    recipe: FinetuneRecipe,
    seed: int,
    on_step: StepCallback = lambda *_: None,
) -> EfficientNetLite0:
    """Return a copy of `network` fine-tuned on `data`, images of 32 x 32 pixels, before the weights are averaged.

    `groups` are the ImageNet classes of each vehicle. The statistics of batch normalisation and the weights of
    ImageNet's head are frozen.
    """
    torch.manual_seed(seed)
    generator = np.random.default_rng(seed)
    pixels = torch.from_numpy(np.stack(data.images)).permute(0, 3, 1, 2)
    classes = [*vehicles, *sorted(set(data.labels) - set(vehicles))]
    target = torch.from_numpy(np.array([classes.index(label) for label in data.labels]))
    is_vehicle = np.isin(data.labels, list(vehicles))
    vehicle_rows, other_rows = np.flatnonzero(is_vehicle), np.flatnonzero(~is_vehicle)

    model = deepcopy(network).eval().to(memory_format=torch.channels_last)
    model._fc.requires_grad_(False)
    head = nn.Linear(FEATURES, len(classes))
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in trainable if p.ndim > 1], "weight_decay": recipe.weight_decay},
            {"params": [p for p in trainable if p.ndim == 1], "weight_decay": 0.0},
            {"params": head.parameters(), "lr": recipe.head_learning_rate, "weight_decay": 0.0},
        ],
        lr=recipe.learning_rate,
    )
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _lr_schedule(step, recipe))
    for step in range(recipe.steps):
        side = recipe.initial_side if step < recipe.initial_fraction * recipe.steps else recipe.side
        rows = np.concatenate([
            generator.choice(vehicle_rows, recipe.vehicles_per_batch, replace=False),
            generator.choice(other_rows, recipe.others_per_batch, replace=False),
        ])  # fmt: skip
        images = augment(pixels[torch.from_numpy(rows)].float(), side, generator)
        features = model.features(images)
        logits, truth = head(features), target[torch.from_numpy(rows)]
        combined = _log_prior(model.logits(features), groups) + vehicle_logits(logits, len(vehicles))
        loss = functional.cross_entropy(combined, truth.clamp(max=len(vehicles)))
        loss = loss + recipe.auxiliary_loss_weight * functional.cross_entropy(logits, truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        on_step(step + 1, recipe.steps, loss.item())
    return model.requires_grad_(True).eval()


@torch.no_grad()
def interpolate_weights(before: EfficientNetLite0, after: EfficientNetLite0, weight: float) -> EfficientNetLite0:
    """Return the network whose parameters are `before` + `weight` * (`after` - `before`)."""
    old, new = before.state_dict(), after.state_dict()
    result = deepcopy(before)
    result.load_state_dict({
        name: torch.lerp(value, new[name], weight) if value.is_floating_point() else value
        for name, value in old.items()
    })  # fmt: skip
    return result.eval()


def vehicle_logits(logits: Tensor, vehicles: int) -> Tensor:
    """Return (N, vehicles + 1): the logits of the vehicles, then the log-sum-exp of all others as `other`."""
    return torch.cat([logits[:, :vehicles], logits[:, vehicles:].logsumexp(dim=1, keepdim=True)], dim=1)


def augment(images: Tensor, side: int, generator: np.random.Generator) -> Tensor:
    """Return images (N, 3, 32, 32), 0...255, as (N, 3, side, side), randomly augmented.

    Random affine transform and horizontal flip, brightness and contrast, grey scale, noise and downscaling.
    """
    count, _, height, width = images.shape

    def uniform(low: float, high: float) -> Tensor:
        return torch.from_numpy(generator.uniform(low, high, count).astype(np.float32))

    def random_mask(probability: float) -> Tensor:
        return uniform(0, 1) < probability

    angle = uniform(-0.12, 0.12) * random_mask(0.5)
    scale, stretch = torch.exp(uniform(math.log(0.7), math.log(1.08))), torch.exp(uniform(-0.15, 0.15))
    flip = torch.where(random_mask(0.5), -1.0, 1.0)
    max_shift = (1 - scale).clamp(min=0) + 0.08
    scale_x, scale_y = scale * stretch, scale / stretch
    rows = (
        torch.stack([flip * scale_x * angle.cos(), -scale_y * angle.sin(), uniform(-1, 1) * max_shift], dim=1),
        torch.stack([flip * scale_x * angle.sin(), scale_y * angle.cos(), uniform(-1, 1) * max_shift], dim=1),
    )
    is_downscaled = random_mask(0.25)
    if is_downscaled.any():
        low_side = int(generator.integers(18, 30))
        small = functional.interpolate(images[is_downscaled], low_side, mode="bilinear", antialias=True)
        images = images.clone()
        images[is_downscaled] = functional.interpolate(small, (height, width), mode="bicubic")
    grid = functional.affine_grid(torch.stack(rows, dim=1), [count, 3, side, side], align_corners=False)
    images = functional.grid_sample(images, grid, mode="bicubic", padding_mode="reflection", align_corners=False)
    per_image = (slice(None), None, None, None)
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    contrast, brightness = torch.exp(uniform(-0.35, 0.35))[per_image], torch.exp(uniform(-0.5, 0.3))[per_image]
    images = ((images - mean) * contrast + mean) * brightness
    images = torch.where(random_mask(0.05)[per_image], images.mean(dim=1, keepdim=True), images)
    images = images + torch.randn_like(images) * (uniform(0, 8) * random_mask(0.3))[per_image]
    return images.clamp(0, 255).contiguous(memory_format=torch.channels_last)


def _lr_schedule(step: int, recipe: FinetuneRecipe) -> float:
    return min(1.0, (step + 1) / recipe.warmup_steps) * 0.5 * (1 + math.cos(math.pi * step / recipe.steps))


def _log_prior(imagenet: Tensor, groups: Groups) -> Tensor:
    log_probabilities = imagenet.log_softmax(dim=1)
    grouped = [number for group in groups for number in group]
    is_other = torch.ones(log_probabilities.shape[1], dtype=torch.bool)
    is_other[grouped] = False
    columns = [log_probabilities[:, list(group)].logsumexp(dim=1) for group in groups]
    return torch.stack([*columns, log_probabilities[:, is_other].logsumexp(dim=1)], dim=1).clamp(
        min=MIN_LOG_PROBABILITY
    )
