"""A cache of backbone features, passed from one training job to the next.

The features of an image are kept under a hash of its pixels after decoding and downscaling (`image_key`), without a
photo id, a name or a label. A job saves only the features that it used, so those of a photo that is in no snapshot any
more are not in the next cache.
"""

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.backbone import BATCH_SIZE, Backbone, Floats32
from training.images import PREPROCESSING, Pixels

CACHE_NAME = "features.npz"
OUTPUT_ARCHIVE = "output.tar.gz"
"""The archive of a training job's output folder, which SageMaker creates."""

MAX_BYTES = 2_000_000_000
ProgressCallback = Callable[[int, int], None]
"""Called with (images done, images in all)."""


class FeatureCache:
    """Features and ImageNet logits of each view of an image, in half precision, keyed by the image's pixels.

    `computed` counts the images that were not in the cache.
    """

    def __init__(self, backbone: Backbone, folder: Path | None = None) -> None:
        """Read the caches of earlier jobs below `folder`, as CACHE_NAME or in an OUTPUT_ARCHIVE.

        A cache of another backbone, or of another preprocessing, is not used.
        """
        self._backbone = backbone
        self._origin = f"{backbone.digest} {PREPROCESSING}"
        self._cached: dict[str, tuple[NDArray[np.float16], NDArray[np.float16]]] = {}
        self._used: set[str] = set()
        self.computed = 0
        for path in sorted(folder.rglob(CACHE_NAME)) if folder else ():
            self._read(path)
        for path in sorted(folder.rglob(OUTPUT_ARCHIVE)) if folder else ():
            self._read_archive(path)

    def get(self, images: list[Pixels], on_progress: ProgressCallback = lambda *_: None) -> tuple[Floats32, Floats32]:
        """Return features (N, VIEWS, D) and ImageNet's logits (N, VIEWS, 1000), rounded to half precision.

        Images that are not in the cache are computed and added.
        """
        keys = [image_key(image) for image in images]
        missing = [index for index, key in enumerate(keys) if key not in self._cached]
        for start in range(0, len(missing), BATCH_SIZE):
            batch = missing[start : start + BATCH_SIZE]
            features, logits = self._backbone.resize_and_extract([images[index] for index in batch])
            for index, feature, logit in zip(
                batch, features.astype(np.float16), logits.astype(np.float16), strict=True
            ):
                self._cached[keys[index]] = (feature, logit)
            on_progress(min(start + BATCH_SIZE, len(missing)), len(missing))
        self.computed += len(missing)
        self._used.update(keys)
        if not keys:
            return self._backbone.resize_and_extract([])
        found = [self._cached[key] for key in keys]
        return (
            np.stack([feature for feature, _ in found]).astype(np.float32),
            np.stack([logit for _, logit in found]).astype(np.float32),
        )

    def save(self, folder: Path) -> None:
        """Write the entries that were used to CACHE_NAME in `folder`; write no file when none was used."""
        if not self._used:
            return
        folder.mkdir(parents=True, exist_ok=True)
        keys = sorted(self._used)
        np.savez(
            folder / CACHE_NAME,
            origin=np.array(self._origin),
            keys=np.array(keys),
            features=np.stack([self._cached[key][0] for key in keys]),
            logits=np.stack([self._cached[key][1] for key in keys]),
        )

    def _read_archive(self, path: Path) -> None:
        """Read the cache in a job's output. A damaged archive is skipped: its features are computed again."""
        try:
            with tarfile.open(path) as tar:
                for member in tar:
                    if Path(member.name).name == CACHE_NAME and member.isfile() and member.size <= MAX_BYTES:
                        file = tar.extractfile(member)
                        self._read(io.BytesIO(file.read()) if file else path)
        except (tarfile.TarError, OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
            print(f"cached features in {path.name} cannot be read and are computed again: {error}", flush=True)

    def _read(self, file: Path | io.BytesIO) -> None:
        with np.load(file, allow_pickle=False) as arrays:
            if "origin" not in arrays or str(arrays["origin"]) != self._origin:
                return
            features, logits = arrays["features"], arrays["logits"]
            for index, key in enumerate(arrays["keys"]):
                self._cached[str(key)] = (features[index], logits[index])


def image_key(image: Pixels) -> str:
    """Return the key of an image's features: 40 hexadecimal digits of SHA-256 over its size and pixels."""
    height, width, _ = image.shape
    digest = hashlib.sha256(f"{height}x{width}".encode())
    digest.update(image.tobytes())
    return digest.hexdigest()[:40]
