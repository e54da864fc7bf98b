"""Helpers for tests of training: a recipe that trains within a second, and photos as files."""

import io
import json
from pathlib import Path
from typing import Any

from PIL import Image

from operate.synthetic_photos import synthetic_photos
from training.classifier import Recipe

VEHICLES = ("bicycle", "motorcycle")
QUICK_RECIPE = Recipe(blank_images=10, n_folds=2)


def jpeg(image: Image.Image, **options: Any) -> bytes:
    """Return the image as a JPEG file."""
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    return file.getvalue()


def write_labelled_photos(folder: Path) -> None:
    """Write a snapshot and its photos to `snapshot` and `labelled` in `folder`, half for training; one is damaged."""
    (folder / "snapshot").mkdir()
    (folder / "labelled").mkdir()
    photos = synthetic_photos(2, seed=3)
    entries = []
    for number, (image, label) in enumerate(zip(photos.images, photos.labels, strict=True)):
        Image.fromarray(image).save(folder / "labelled" / f"{number}.png")
        use = "evaluate" if number % 2 else "train"
        entries.append({"photo_id": str(number), "file": f"{number}.png", "label": str(label), "use": use})
    (folder / "labelled" / "broken.png").write_bytes(b"no photo")
    entries.append({"photo_id": "broken", "file": "broken.png", "label": "bicycle", "use": "train"})
    (folder / "snapshot" / "manifest.json").write_text(json.dumps({"photos": entries}))
