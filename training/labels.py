"""Photos that people labelled: the manifest of a snapshot and the folder of its photos.

The manifest lists `photos`, each with `photo_id`, `file`, `label` and `use`, which is `train` or `evaluate`. No model
is trained on the photos for `evaluate`.
"""

import json
from pathlib import Path

import numpy as np

from training.dataset import Dataset, empty
from training.images import downscale
from training.photo_errors import PhotoError

MANIFEST = "manifest.json"


def load_labelled(snapshot: Path, photos: Path, use: str) -> Dataset:
    """Return the labelled photos of one `use`; may be empty.

    A photo that cannot be decoded is skipped with a log line. Raises FileNotFoundError when the manifest, or a photo
    that it lists, is missing.
    """
    listed = json.loads((snapshot / MANIFEST).read_text(encoding="utf-8"))["photos"]
    images, labels = [], []
    for photo in (entry for entry in listed if entry["use"] == use):
        try:
            images.append(downscale((photos / photo["file"]).read_bytes()))
            labels.append(photo["label"])
        except PhotoError as error:
            print(f"labelled photo {photo['photo_id']} is skipped: {error}", flush=True)
    return Dataset(images, np.array(labels, dtype=np.str_)) if images else empty()
