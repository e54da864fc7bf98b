"""Inputs that measure robustness: corrupted photos (after Hendrycks and Dietterich, 2019) and blank photos."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from training.images import Pixels

UPSCALED_SIDE = 512  # pixels


def gaussian_blur(image: Pixels) -> Pixels:
    """Return the image after a Gaussian blur whose standard deviation is 1/100 of the shorter side."""
    radius = min(image.shape[:2]) / 100
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))


def adjust_brightness(image: Pixels, factor: float = 0.25) -> Pixels:
    """Return the image with its levels multiplied by `factor`."""
    return _levels(image * factor)


def jpeg_compress(image: Pixels, quality: int = 30) -> Pixels:
    """Return the image after JPEG compression."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def rotate(image: Pixels, degrees: float) -> Pixels:
    """Return the image rotated counter-clockwise about its centre; the corners become black."""
    return np.asarray(Image.fromarray(image).rotate(degrees, Image.Resampling.BILINEAR))


def upscale_and_compress(image: Pixels) -> Pixels:
    """Return the image resized to (UPSCALED_SIDE, UPSCALED_SIDE) and compressed as JPEG."""
    file = io.BytesIO()
    Image.fromarray(image).resize((UPSCALED_SIDE, UPSCALED_SIDE), Image.Resampling.BICUBIC).save(
        file, "JPEG", quality=90
    )
    return np.asarray(Image.open(file))


CORRUPTIONS: dict[str, Callable[[Pixels], Pixels]] = {
    "blur, 1/100 of the side": gaussian_blur,
    "brightness x0.25": adjust_brightness,
    "JPEG quality 30": jpeg_compress,
    "20 degrees left": lambda image: rotate(image, 20.0),
    "20 degrees right": lambda image: rotate(image, -20.0),
    "512-pixel round trip": upscale_and_compress,
}


def generate_blank_photos(count: int = 100, seed: int = 1234) -> dict[str, list[Pixels]]:
    """Return `count` photos without any object of each of five kinds, uint8 (256, 256, 3) or smaller.

    They are independent of training.blank_images, which training uses.
    """
    generator = np.random.default_rng(seed)
    side = 256
    kinds: dict[str, list[Pixels]] = {name: [] for name in ("noise", "black", "white", "flat", "text")}
    for i in range(count):
        small = int(generator.choice([32, 64, side]))
        noise = generator.integers(0, 256, (small, small, 3 if i % 2 else 1), dtype=np.uint8)
        kinds["noise"].append(np.ascontiguousarray(np.broadcast_to(noise, (small, small, 3))))
        for name, base in (("black", 0), ("white", 255)):
            kinds[name].append(_levels(base + generator.normal(0, i % 5, (side, side, 3))))
        colour = generator.integers(0, 256, 3)
        kinds["flat"].append(_levels(np.broadcast_to(colour, (side, side, 3)).astype(np.float64)))
        kinds["text"].append(_text(generator, side))
    return kinds


def _text(generator: np.random.Generator, side: int) -> Pixels:
    is_dark = generator.random() < 0.2
    image = Image.new("RGB", (side, side), "black" if is_dark else "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(size=float(generator.choice([12, 18, 28, 48])))
    words = ("invoice", "delivery", "order", "scones", "total", "bay", "42", "please", "sign", "here", "10:30", "Ltd")
    top = int(generator.integers(2, 20))
    while top < side:
        draw.text((8, top), " ".join(generator.choice(words, 9)), fill="white" if is_dark else "black", font=font)
        top += int(font.getbbox("Ag")[3]) + 4
    return np.asarray(image)


def _levels(values: NDArray[np.floating[Any]]) -> Pixels:
    levels: Pixels = values.clip(0, 255).round().astype(np.uint8)
    return levels
