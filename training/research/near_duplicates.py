"""Measure the thresholds of training.near_duplicates: `python -m training.research.near_duplicates --photos <folder>`.

Prints, for each change of a photo, the largest Hamming distance and the smallest explained variance between the photo
and the changed one; the largest explained variance between different photos; the errors of `group_same_pictures`; how
often two vehicles that are pasted at the same place of the same photo count as the same picture; and the time for
photos of a fixed camera.
"""

import argparse
import io
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from training.dataset import Dataset
from training.images import Pixels, downscale
from training.near_duplicates import MAX_HAMMING, Fingerprint, explained_variances, group_same_pictures
from training.research.experiments import VEHICLES, read_photos


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
    prints = [Fingerprint.of(image) for image in photos.images]
    images, original = list(photos.images), list(range(len(photos)))
    for name, change in CHANGES.items():
        changed = [downscale(change(Image.fromarray(image))) for image in photos.images]
        pairs = list(zip(prints, map(Fingerprint.of, changed), strict=True))
        distance = max(_distance(*pair) for pair in pairs)
        explained = min(_explained(*pair) for pair in pairs)
        print(f"{name}: Hamming distance at most {distance}, explained variance at least {explained:.4f}", flush=True)
        images += changed
        original += range(len(photos))
    different = [
        _explained(first, second)
        for number, first in enumerate(prints)
        for second in prints[:number]
        if _distance(first, second) <= MAX_HAMMING
    ]
    print(f"different photos: {len(different)} candidates, explained variance at most {max(different):.4f}")
    start_s = time.process_time()
    group = group_same_pictures(images)
    seconds = time.process_time() - start_s
    print(f"{np.sum(group != np.array(original))} of {len(images)} photos in a wrong group, {seconds:.1f} CPU seconds")
    for width in (0.1, 0.14, 0.2, 0.25, 0.3):
        pairs_of_images = paste_pairs(photos, width)
        same = sum(len(set(group_same_pictures(list(pair)).tolist())) == 1 for pair in pairs_of_images)
        print(f"{width**2:.0%} of the area replaced: the same picture in {same} of {len(pairs_of_images)} pairs")
    for count in (500, 2000):
        fixed = photos_of_fixed_camera(count)
        start_s = time.process_time()
        groups = len(set(group_same_pictures(fixed).tolist()))
        seconds = time.process_time() - start_s
        print(f"{count} photos of a fixed camera: {groups} pictures, {seconds:.1f} CPU seconds", flush=True)
    return 0


def paste_pairs(photos: Dataset, width: float) -> list[tuple[Pixels, Pixels]]:
    """Return pairs of a bicycle and a motorcycle, `width` of the photo wide, at the same place of the same photo."""
    backgrounds = photos.without_labels(VEHICLES).images[:40]
    vehicles = list(zip(*(photos.with_labels([name]).images[:6] for name in VEHICLES), strict=True))
    pairs = []
    for number, background in enumerate(backgrounds):
        for pair in vehicles[number % 2 :: 2]:
            first, second = (_paste(background, vehicle, width) for vehicle in pair)
            pairs.append((first, second))
    return pairs


def photos_of_fixed_camera(count: int) -> list[Pixels]:
    """Return photos that share a background: all are candidates of each other, and none shows the same picture."""
    generator = np.random.default_rng(0)

    def blobs(cells: int) -> NDArray[np.float64]:
        levels = generator.normal(128, 50, (cells, cells)).clip(0, 255).astype(np.uint8)
        return np.asarray(Image.fromarray(levels).resize((256, 256), Image.Resampling.BICUBIC), dtype=np.float64)

    background = blobs(9)
    frames = ((background + (blobs(7) - 128) * 0.4).clip(0, 255).astype(np.uint8) for _ in range(count))
    return [np.repeat(frame[..., None], 3, axis=2) for frame in frames]


def _paste(background: Pixels, vehicle: Pixels, width: float) -> Pixels:
    image = Image.fromarray(background).resize((256, 192))
    size = int(256 * width), int(192 * width)
    image.paste(Image.fromarray(vehicle).resize(size), (128 - size[0] // 2, min(150 - size[1] // 2, 192 - size[1])))
    return np.asarray(image)


def _distance(first: Fingerprint, second: Fingerprint) -> int:
    return int(np.bitwise_count(first.hash ^ second.hash))


def _explained(first: Fingerprint, second: Fingerprint) -> float:
    return float(explained_variances(first, [second])[0])


if __name__ == "__main__":
    raise SystemExit(main())
