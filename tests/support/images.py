"""Photos to upload, and drawn data sets to train on."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from operate.synthetic_photos import synthetic_photos
from training.dataset import Dataset


def png(image: Any) -> bytes:
    """Return an array of pixels as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def jpeg(width: int = 640, height: int = 480) -> bytes:
    """Return a JPEG file of a gradient."""
    file = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).convert("RGB").save(file, "JPEG")
    return file.getvalue()


def enlarge(photo: bytes, side: int) -> bytes:
    """Return the photo as a large PNG file: side x side pixels with random noise."""
    pixels = np.asarray(Image.open(io.BytesIO(photo)).convert("RGB").resize((side, side)), dtype=np.int16)
    noise = np.random.default_rng(0).integers(-6, 7, pixels.shape, dtype=np.int16)
    file = io.BytesIO()
    Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8)).save(file, "PNG", compress_level=1)
    return file.getvalue()


def png_of_megapixels(megapixels: int) -> bytes:
    """Return a small PNG file with many pixels of one colour."""
    file = io.BytesIO()
    Image.new("1", (10_000, megapixels * 100)).save(file, "PNG")
    return file.getvalue()


def drawn_dataset(bicycles: int, motorcycles: int, others: int, seed: int) -> Dataset:
    """Return drawn photos: the given numbers of bicycles and motorcycles, and `others` of each of two other classes."""
    drawn = synthetic_photos(max(bicycles, motorcycles, others), seed)
    counts = {"bicycle": bicycles, "motorcycle": motorcycles, "house": others, "maple_tree": others}
    return drawn[np.concatenate([np.flatnonzero(drawn.labels == name)[:count] for name, count in counts.items()])]


def save_dataset(folder: Path, data: Dataset) -> Path:
    """Write a data set below `folder` as `make stage` does; returns the folder of the training data."""
    data.save(folder / "train" / "images.npz")
    return folder / "train"
