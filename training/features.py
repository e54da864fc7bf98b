"""Features of pictures, computed once: kept by content and backbone, so that a retraining computes only new ones."""

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.backbone import BATCH, Backbone, Floats32
from training.images import PREPARATION, Pixels

FILE = "features.npz"
ARCHIVE = "output.tar.gz"
"""How SageMaker keeps what a training job left in its output folder."""

MOST_BYTES = 2_000_000_000
Done = Callable[[int, int], None]
"""Called with (pictures done, pictures in all)."""


class FeatureCache:
    """Features and ImageNet logits of each picture in each view, in half precision.

    `computed` counts the pictures that were not there.
    """

    def __init__(self, backbone: Backbone, folder: Path | None = None) -> None:
        self._backbone = backbone
        self._origin = f"{backbone.digest} {PREPARATION}"
        self._known: dict[str, tuple[NDArray[np.float16], NDArray[np.float16]]] = {}
        self._used: set[str] = set()
        self.computed = 0
        for path in sorted(folder.rglob(FILE)) if folder else ():
            self._read(path)
        for path in sorted(folder.rglob(ARCHIVE)) if folder else ():
            self._read_archive(path)

    def of(self, pictures: list[Pixels], done: Done = lambda *_: None) -> tuple[Floats32, Floats32]:
        """Return features (N, VIEWS, D) and ImageNet's logits (N, VIEWS, C), rounded to half precision."""
        keys = [self._key(picture) for picture in pictures]
        missing = [place for place, key in enumerate(keys) if key not in self._known]
        for start in range(0, len(missing), BATCH):
            places = missing[start : start + BATCH]
            features, logits = self._backbone.features_of([pictures[place] for place in places])
            for place, feature, logit in zip(
                places, features.astype(np.float16), logits.astype(np.float16), strict=True
            ):
                self._known[keys[place]] = (feature, logit)
            done(min(start + BATCH, len(missing)), len(missing))
        self.computed += len(missing)
        self._used.update(keys)
        if not keys:
            return self._backbone.features_of([])
        found = [self._known[key] for key in keys]
        return (
            np.stack([feature for feature, _ in found]).astype(np.float32),
            np.stack([logit for _, logit in found]).astype(np.float32),
        )

    def save(self, folder: Path) -> None:
        """Write what was used to FILE in `folder`, for the next retraining; nothing when nothing was."""
        if not self._used:
            return
        folder.mkdir(parents=True, exist_ok=True)
        keys = sorted(self._used)
        np.savez(
            folder / FILE,
            origin=np.array(self._origin),
            keys=np.array(keys),
            features=np.stack([self._known[key][0] for key in keys]),
            logits=np.stack([self._known[key][1] for key in keys]),
        )

    def _read_archive(self, path: Path) -> None:
        """Read what an earlier job kept. Features can be computed again: a damaged archive is named and left out."""
        try:
            with tarfile.open(path) as tar:
                for member in tar:
                    if Path(member.name).name == FILE and member.isfile() and member.size <= MOST_BYTES:
                        file = tar.extractfile(member)
                        self._read(io.BytesIO(file.read()) if file else path)
        except (tarfile.TarError, OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
            print(f"kept features in {path.name} cannot be read and are computed again: {error}", flush=True)

    def _read(self, file: Path | io.BytesIO) -> None:
        with np.load(file, allow_pickle=False) as arrays:
            if "origin" not in arrays or str(arrays["origin"]) != self._origin:
                return  # features of another network, or of pictures prepared otherwise, mean nothing here
            features, logits = arrays["features"], arrays["logits"]
            for place, key in enumerate(arrays["keys"]):
                self._known[str(key)] = (features[place], logits[place])

    @staticmethod
    def _key(picture: Pixels) -> str:
        height, width, _ = picture.shape
        digest = hashlib.sha256(f"{height}x{width}".encode())
        digest.update(picture.tobytes())
        return digest.hexdigest()[:40]
