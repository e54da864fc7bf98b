"""Random changes that leave a photo's subject what it is: position, light, and what cameras and uploads do."""

import io
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from training.images import SIDE


@dataclass(frozen=True)
class Augmentation:
    """Shares are the share of photos in a batch that a change is applied to."""

    shift: int = 4
    warped: float = 0.45
    rotation_deg: float = 25.0
    zoom: float = 0.2
    recoloured: float = 0.35
    blurred: float = 0.2
    compressed: float = 0.25
    resampled: float = 0.08
    noisy: float = 0.05
    erased: float = 0.1
    erased_side: int = 10


def augment(photos: Tensor, how: Augmentation, generator: np.random.Generator) -> Tensor:
    """Return changed copies of photos (N, 3, SIDE, SIDE), float 0...255."""
    photos = _warp(_crop_and_mirror(photos, how.shift, generator), how, generator)
    photos = _recolour(photos, how.recoloured, generator)
    photos = _blur(photos, how.blurred, generator)
    photos = _through_pillow(photos, how, generator)
    noisy = _chosen(len(photos), how.noisy, generator)
    if len(noisy):
        deviation = float(generator.uniform(3, 20))
        photos[noisy] += torch.from_numpy(generator.normal(0, deviation, (len(noisy), 3, SIDE, SIDE))).float()
    return _erase(photos.clamp_(0, 255), how, generator)


Sides = tuple[tuple[float, int], ...]
"""Until which share of all steps photos are shrunk to which side. Early steps are cheaper so, and worth as much."""


def shrunk(photos: Tensor, sides: Sides, progress: float) -> Tensor:
    """Return photos (N, 3, SIDE, SIDE) at the side (N, 3, side, side) for `progress` in [0, 1) through the training."""
    side = next((side for until, side in sides if progress < until), SIDE)
    if side == SIDE:
        return photos
    return functional.interpolate(photos, size=(side, side), mode="bilinear", antialias=True)


def mixed(photos: Tensor, share: float, generator: np.random.Generator) -> tuple[Tensor, Tensor, float]:
    """Lay a square of another photo over each one, for `share` of all calls; else change nothing.

    Returns the photos (N, 3, SIDE, SIDE), whose square each one carries (N,), and which part of its area that is.
    Reference: Yun et al., "CutMix", 2019.
    """
    others = torch.arange(len(photos))
    if not share or generator.random() >= share:
        return photos, others, 0.0
    others = torch.from_numpy(generator.permutation(len(photos)))
    side = round(SIDE * float(np.sqrt(generator.random())))
    top, left = (int(corner) for corner in generator.integers(0, SIDE - side + 1, 2))
    square = (slice(None), slice(None), slice(top, top + side), slice(left, left + side))
    photos = photos.clone()
    photos[square] = photos[others][square]
    return photos, others, side**2 / SIDE**2


def _chosen(count: int, share: float, generator: np.random.Generator) -> Tensor:
    return torch.from_numpy(np.flatnonzero(generator.random(count) < share))


def _uniform(generator: np.random.Generator, low: float, high: float, count: int) -> Tensor:
    return torch.from_numpy(generator.uniform(low, high, count)).float()


def _crop_and_mirror(photos: Tensor, shift: int, generator: np.random.Generator) -> Tensor:
    count = len(photos)
    mirrored = torch.from_numpy(generator.random(count) < 0.5)
    photos = torch.where(mirrored[:, None, None, None], photos.flip(3), photos)
    padded = functional.pad(photos, (shift,) * 4, mode="reflect")
    top, left = (torch.from_numpy(generator.integers(0, 2 * shift + 1, count)) for _ in range(2))
    rows = (top[:, None] + torch.arange(SIDE))[:, None, :, None]
    columns = (left[:, None] + torch.arange(SIDE))[:, None, None, :]
    return padded[torch.arange(count)[:, None, None, None], torch.arange(3)[None, :, None, None], rows, columns]


def _warp(photos: Tensor, how: Augmentation, generator: np.random.Generator) -> Tensor:
    chosen = _chosen(len(photos), how.warped, generator)
    if not len(chosen):
        return photos
    n = len(chosen)
    angle = torch.deg2rad(_uniform(generator, -how.rotation_deg, how.rotation_deg, n))
    size = torch.exp(_uniform(generator, -how.zoom, how.zoom, n))
    stretch = torch.exp(_uniform(generator, -how.zoom, how.zoom, n))
    matrix = torch.zeros(n, 2, 3)
    matrix[:, 0, 0], matrix[:, 0, 1] = angle.cos() * size * stretch, -angle.sin() * size * stretch
    matrix[:, 1, 0], matrix[:, 1, 1] = angle.sin() * size / stretch, angle.cos() * size / stretch
    grid = functional.affine_grid(matrix, [n, 3, SIDE, SIDE], align_corners=False)
    # Corners outside the photo: its edge repeated, its mirror image or black, as photo tools do.
    edge = ("border", "reflection", "zeros")[int(generator.integers(3))]
    photos[chosen] = functional.grid_sample(photos[chosen], grid, padding_mode=edge, align_corners=False)
    return photos


def _recolour(photos: Tensor, share: float, generator: np.random.Generator) -> Tensor:
    chosen = _chosen(len(photos), share, generator)
    if not len(chosen):
        return photos
    n, some = len(chosen), photos[chosen]
    grey = some.mean(dim=1, keepdim=True)
    saturation = _uniform(generator, 0.0, 1.6, n)[:, None, None, None]
    some = grey + (some - grey) * saturation
    middle = some.mean(dim=(1, 2, 3), keepdim=True)
    some = middle + (some - middle) * torch.exp(_uniform(generator, -0.7, 0.4, n))[:, None, None, None]
    light = torch.exp(_uniform(generator, np.log(0.2), np.log(1.6), n))[:, None, None, None]
    photos[chosen] = (some.clamp(0, 255) * light).clamp(0, 255).round()  # dark photos keep few levels
    return photos


def _blur(photos: Tensor, share: float, generator: np.random.Generator) -> Tensor:
    chosen = _chosen(len(photos), share, generator)
    if not len(chosen):
        return photos
    offsets = torch.arange(-3, 4).float()
    kernel = torch.exp(-0.5 * (offsets / float(generator.uniform(0.4, 1.3))) ** 2)
    kernel = (kernel / kernel.sum()).expand(3, 1, 1, 7)
    some = functional.pad(photos[chosen], (3, 3, 3, 3), mode="reflect")
    some = functional.conv2d(some, kernel, groups=3)
    photos[chosen] = functional.conv2d(some, kernel.transpose(2, 3), groups=3)
    return photos


def _through_pillow(photos: Tensor, how: Augmentation, generator: np.random.Generator) -> Tensor:
    for index in _chosen(len(photos), how.compressed + how.resampled, generator).tolist():
        levels = photos[index].permute(1, 2, 0).clamp(0, 255).round().to(torch.uint8).contiguous().numpy()
        picture = Image.fromarray(levels)
        if generator.random() * (how.compressed + how.resampled) < how.compressed:
            file = io.BytesIO()
            picture.save(file, "JPEG", quality=int(generator.integers(15, 90)))
            picture = Image.open(file)
        else:
            side = int(generator.choice([20, 24, 28, 48, 64, 100]))
            ways = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS, Image.Resampling.BOX)
            there, back = (ways[i] for i in generator.integers(0, len(ways), 2))
            picture = picture.resize((side, side), there).resize((SIDE, SIDE), back)
        photos[index] = torch.from_numpy(np.array(picture)).permute(2, 0, 1).float()
    return photos


def _erase(photos: Tensor, how: Augmentation, generator: np.random.Generator) -> Tensor:
    for index in _chosen(len(photos), how.erased, generator).tolist():
        top, left = generator.integers(0, SIDE - how.erased_side, 2)
        colour = torch.from_numpy(generator.uniform(0, 255, 3)).float()[:, None, None]
        photos[index, :, top : top + how.erased_side, left : left + how.erased_side] = colour
    return photos
