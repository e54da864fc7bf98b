"""Helpers of the tests of training: a recipe that fits in a second, predictions, and photos as files."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from operate.synthetic_photos import synthetic_photos
from training.classifier import Recipe

VEHICLES = ("bicycle", "motorcycle")
QUICK_RECIPE = Recipe(blank_images=10, n_folds=2)

# Columns: bicycle, motorcycle, other.
PROBABILITIES = np.array(
    [
        [0.90, 0.05, 0.05],  # a bicycle, right
        [0.30, 0.60, 0.10],  # a bicycle taken for a motorcycle
        [0.10, 0.85, 0.05],  # a motorcycle, right
        [0.05, 0.25, 0.70],  # a motorcycle taken for something else
        [0.05, 0.05, 0.90],  # a house
        [0.75, 0.05, 0.20],  # a house taken for a bicycle
    ]
)
TRUTH = np.array([0, 0, 1, 1, 2, 2])


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
        entries.append(
            {"photo_id": str(number), "file": f"{number}.png", "label": str(label), "labelled_by": "ada", "use": use}
        )
    (folder / "labelled" / "broken.png").write_bytes(b"no photo")
    entries.append(
        {"photo_id": "broken", "file": "broken.png", "label": "bicycle", "labelled_by": "ada", "use": "train"}
    )
    (folder / "snapshot" / "manifest.json").write_text(json.dumps({"photos": entries}))
