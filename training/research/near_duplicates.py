"""Measure the thresholds of training.near_duplicates: `python -m training.research.near_duplicates --photos <folder>`.

Prints, for each change of a photo, the largest Hamming distance and the smallest explained variance between the photo
and the changed one; the largest explained variance between different photos; and the errors of `group_same_pictures`.
"""

import argparse
import io
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from training.images import Pixels, downscale
from training.near_duplicates import MAX_HAMMING, difference_hash, explained_variance, group_same_pictures
from training.research.experiments import read_photos


def encode(image: Image.Image, quality: int = 90, file_format: str = "JPEG") -> bytes:
    """Return the file of an image."""
    file = io.BytesIO()
    image.save(file, file_format, quality=quality)
    return file.getvalue()


def crop(image: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    """Return the image without these fractions of its width and height at its sides."""
    width, height = image.size
    box = (int(width * left), int(height * top), width - int(width * right), height - int(height * bottom))
    return image.crop(box)


def resize(image: Image.Image, ratio: float) -> Image.Image:
    """Return the image resized by `ratio`."""
    return image.resize((max(1, int(image.width * ratio)), max(1, int(image.height * ratio))))


CHANGES: dict[str, Callable[[Image.Image], bytes]] = {
    "JPEG quality 50": lambda image: encode(image, 50),
    "WebP quality 60": lambda image: encode(image, 60, "WEBP"),
    "half the size": lambda image: encode(resize(image, 0.5)),
    "brightness +5%": lambda image: encode(ImageEnhance.Brightness(image).enhance(1.05)),
    "brightness -5%": lambda image: encode(ImageEnhance.Brightness(image).enhance(0.95)),
    "2% cut off at right and bottom": lambda image: encode(crop(image, 0, 0, 0.02, 0.02)),
    "2% cut off at left and top": lambda image: encode(crop(image, 0.02, 0.02, 0, 0)),
    "all at once": lambda image: encode(
        resize(ImageEnhance.Brightness(crop(image, 0, 0, 0.02, 0.02)).enhance(1.05), 0.7), 70
    ),
}


def main() -> int:
    """Measure and print; return the exit status."""
    parser = argparse.ArgumentParser(description="Measure the thresholds of training.near_duplicates.")
    parser.add_argument("--photos", type=Path, required=True, help="a folder of class folders with .jpg photos")
    arguments = parser.parse_args()
    photos, _ = read_photos(arguments.photos)
    images, original = list(photos.images), list(range(len(photos)))
    for name, change in CHANGES.items():
        changed = [downscale(change(Image.fromarray(image))) for image in photos.images]
        pairs = list(zip(photos.images, changed, strict=True))
        distance = max(_distance(*pair) for pair in pairs)
        explained = min(max(explained_variance(a, b), explained_variance(b, a)) for a, b in pairs)
        print(f"{name}: Hamming distance at most {distance}, explained variance at least {explained:.4f}", flush=True)
        images += changed
        original += range(len(photos))
    different = [
        (max(explained_variance(first, second), explained_variance(second, first)), a, b)
        for a, first in enumerate(photos.images)
        for b, second in enumerate(photos.images[:a])
        if _distance(first, second) <= MAX_HAMMING
    ]
    print(f"different photos: {len(different)} candidates, explained variance at most {max(different)[0]:.4f}")
    start_s = time.process_time()
    group = group_same_pictures(images)
    seconds = time.process_time() - start_s
    print(f"{np.sum(group != np.array(original))} of {len(images)} photos in a wrong group, {seconds:.1f} CPU seconds")
    return 0


def _distance(first: Pixels, second: Pixels) -> int:
    return int(np.bitwise_count(difference_hash(first) ^ difference_hash(second)))


if __name__ == "__main__":
    raise SystemExit(main())
