"""Conditions a model is tried under: damaged photos, pictures of nothing, and test images it has nearly seen before."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from training.images import SIDE, prepare

Images = NDArray[np.uint8]

LARGE = 512
_NEAR = 0.8  # looked at by eye: above it, pairs show the same object on the same ground


def blurred(image: Images, sigma: float = 1.0) -> Images:
    """Return the image (SIDE, SIDE, 3) under a Gaussian blur of `sigma` pixels."""
    offsets = np.arange(-4, 5)
    kernel = np.exp(-0.5 * (offsets / sigma) ** 2)
    kernel /= kernel.sum()
    result = image.astype(np.float64)
    for axis in (0, 1):
        padding = [(4, 4) if a == axis else (0, 0) for a in range(3)]
        padded = np.pad(result, padding, mode="reflect")
        windows = np.stack([np.take(padded, range(i, i + SIDE), axis=axis) for i in range(len(kernel))])
        result = np.tensordot(kernel, windows, axes=1)
    return _levels(result)


def darkened(image: Images, factor: float = 0.25) -> Images:
    """Return the image with its brightness multiplied by `factor`."""
    return _levels(image * factor)


def compressed(image: Images, quality: int = 30) -> Images:
    """Return the image after JPEG compression."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def rotated(image: Images, degrees: float = 20.0) -> Images:
    """Return the image turned about its middle; the corners become black."""
    return np.asarray(Image.fromarray(image).rotate(degrees, Image.Resampling.BILINEAR))


def through_large_jpeg(image: Images) -> Images:
    """Return the image enlarged to LARGE pixels, saved as a JPEG file and read back as a photo."""
    file = io.BytesIO()
    Image.fromarray(image).resize((LARGE, LARGE), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    return prepare(file.getvalue())


DAMAGES: dict[str, Callable[[Images], Images]] = {
    "blur sigma 1": blurred,
    "brightness x0.25": darkened,
    "JPEG quality 30": compressed,
    "20 degrees left": rotated,
    "20 degrees right": lambda image: rotated(image, -20.0),
    "512-pixel round trip": through_large_jpeg,
}


def damaged(images: Images, damage: Callable[[Images], Images]) -> Images:
    """Return every image (N, SIDE, SIDE, 3) damaged."""
    return np.stack([damage(image) for image in images])


def nothings(each: int = 100, seed: int = 1234) -> dict[str, Images]:
    """Return pictures of nothing by kind, made as photos and prepared as photos are; not with the code of training."""
    generator = np.random.default_rng(seed)
    side = 256
    kinds: dict[str, list[Images]] = {name: [] for name in ("noise", "black", "white", "flat", "text")}
    for i in range(each):
        small = int(generator.choice([32, 64, side]))
        noise = generator.integers(0, 256, (small, small, 3 if i % 2 else 1), dtype=np.uint8)
        kinds["noise"].append(_photo(np.broadcast_to(noise, (small, small, 3))))
        for name, base in (("black", 0), ("white", 255)):
            spread = generator.normal(0, i % 5, (side, side, 3))
            kinds[name].append(_photo(_levels(base + spread)))
        colour = generator.integers(0, 256, 3)
        kinds["flat"].append(_photo(_levels(np.broadcast_to(colour, (side, side, 3)).astype(np.float64))))
        kinds["text"].append(_photo(_page(generator, side)))
    return {name: np.stack(pictures) for name, pictures in kinds.items()}


def near_duplicates(images: Images, known: Images) -> NDArray[np.bool_]:
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


def _normal(images: Images) -> NDArray[np.float32]:
    flat = images.reshape(len(images), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True) + 1e-6
    return flat


def _page(generator: np.random.Generator, side: int) -> Images:
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


def _photo(pixels: NDArray[np.uint8]) -> Images:
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "PNG")
    return prepare(file.getvalue())


def _levels(values: NDArray[np.floating[Any]]) -> Images:
    levels: Images = values.clip(0, 255).round().astype(np.uint8)
    return levels
