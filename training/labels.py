"""Photos that people labelled: a snapshot's manifest beside the folder of its photos.

The manifest lists `photos`, each with `file`, `label` and `use`: `train`, or `evaluate` for those no model learns from.
"""

import json
from pathlib import Path

import numpy as np

from training.dataset import Dataset, empty
from training.images import PhotoError, shrink

MANIFEST = "manifest.json"


def load_labelled(snapshot: Path, photos: Path, use: str) -> Dataset:
    """Return the labelled photos of one `use`; may be empty.

    A photo that cannot be read is named and left out: a person labelled it, but there is nothing to learn from it.
    Raises FileNotFoundError when the manifest, or a photo it lists, is missing.
    """
    listed = json.loads((snapshot / MANIFEST).read_text(encoding="utf-8"))["photos"]
    pictures, labels = [], []
    for photo in (entry for entry in listed if entry["use"] == use):
        try:
            pictures.append(shrink((photos / photo["file"]).read_bytes()))
            labels.append(photo["label"])
        except PhotoError as error:
            print(f"labelled photo {photo['photo_id']} is left out: {error}", flush=True)
    return Dataset(pictures, np.array(labels, dtype=np.str_)) if pictures else empty()
