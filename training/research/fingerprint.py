"""Keys for results on disk, which change with everything that the results depend on."""

import hashlib
import json
from dataclasses import asdict

from training.dataset import Dataset


def fingerprint(*values: object) -> str:
    """Return a hash of 16 hexadecimal digits that changes when any of `values` does.

    Values are dataclasses of plain values, such as recipes, and JSON values.
    """
    content = json.dumps(values, sort_keys=True, default=asdict)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def dataset_digest(data: Dataset) -> str:
    """Return the SHA-256 of all pixels and labels, in hexadecimal."""
    digest = hashlib.sha256()
    for image, label in zip(data.images, data.labels, strict=True):
        digest.update(f"{image.shape} {label}".encode())
        digest.update(image.tobytes())
    return digest.hexdigest()
