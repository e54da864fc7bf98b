"""Conditions a model is tried under: damaged photos, pictures of nothing, and pictures it has nearly seen before."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from training.images import Pixels

LARGE = 512
_NEAR = 0.8  # looked at by eye: above it, pairs show the same object on the same ground


def blurred(picture: Pixels) -> Pixels:
    """Return the picture under a Gaussian blur whose deviation is 1/100 of its shorter side."""
    radius = min(picture.shape[:2]) / 100
    return np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(radius)))


def darkened(picture: Pixels, factor: float = 0.25) -> Pixels:
    """Return the picture with its brightness multiplied by `factor`."""
    return _levels(picture * factor)


def compressed(picture: Pixels, quality: int = 30) -> Pixels:
    """Return the picture after JPEG compression."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def rotated(picture: Pixels, degrees: float) -> Pixels:
    """Return the picture turned about its middle; the corners become black."""
    return np.asarray(Image.fromarray(picture).rotate(degrees, Image.Resampling.BILINEAR))


def through_large_jpeg(picture: Pixels) -> Pixels:
    """Return the picture enlarged to LARGE pixels and saved as a JPEG file."""
    file = io.BytesIO()
    Image.fromarray(picture).resize((LARGE, LARGE), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    return np.asarray(Image.open(file))


DAMAGES: dict[str, Callable[[Pixels], Pixels]] = {
    "blur, 1/100 of the side": blurred,
    "brightness x0.25": darkened,
    "JPEG quality 30": compressed,
    "20 degrees left": lambda picture: rotated(picture, 20.0),
    "20 degrees right": lambda picture: rotated(picture, -20.0),
    "512-pixel round trip": through_large_jpeg,
}


def blank_photos(each: int = 100, seed: int = 1234) -> dict[str, list[Pixels]]:
    """Return photos of nothing by kind; not made with the code of training."""
    generator = np.random.default_rng(seed)
    side = 256
    kinds: dict[str, list[Pixels]] = {name: [] for name in ("noise", "black", "white", "flat", "text")}
    for i in range(each):
        small = int(generator.choice([32, 64, side]))
        noise = generator.integers(0, 256, (small, small, 3 if i % 2 else 1), dtype=np.uint8)
        kinds["noise"].append(np.ascontiguousarray(np.broadcast_to(noise, (small, small, 3))))
        for name, base in (("black", 0), ("white", 255)):
            kinds[name].append(_levels(base + generator.normal(0, i % 5, (side, side, 3))))
        colour = generator.integers(0, 256, 3)
        kinds["flat"].append(_levels(np.broadcast_to(colour, (side, side, 3)).astype(np.float64)))
        kinds["text"].append(_page(generator, side))
    return kinds


def near_duplicates(images: NDArray[np.uint8], known: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return (N,): whether an image has a twin in `known`, also mirrored or shifted by one pixel.

    Twins are images whose pixels correlate by more than 0.8.
    """
    vectors = _normal(known)
    found = np.zeros(len(images), dtype=bool)
    for mirrored in (False, True):
        view = images[:, :, ::-1] if mirrored else images
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                shifted = np.roll(view, (dy, dx), axis=(1, 2))
                found |= (_normal(shifted) @ vectors.T).max(axis=1) > _NEAR
    return found


def _normal(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    flat = images.reshape(len(images), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True) + 1e-6
    return flat


def _page(generator: np.random.Generator, side: int) -> Pixels:
    dark = generator.random() < 0.2
    picture = Image.new("RGB", (side, side), "black" if dark else "white")
    pen = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=float(generator.choice([12, 18, 28, 48])))
    words = ("invoice", "delivery", "order", "scones", "total", "bay", "42", "please", "sign", "here", "10:30", "Ltd")
    top = int(generator.integers(2, 20))
    while top < side:
        pen.text((8, top), " ".join(generator.choice(words, 9)), fill="white" if dark else "black", font=font)
        top += int(font.getbbox("Ag")[3]) + 4
    return np.asarray(picture)


def _levels(values: NDArray[np.floating[Any]]) -> Pixels:
    levels: Pixels = values.clip(0, 255).round().astype(np.uint8)
    return levels
