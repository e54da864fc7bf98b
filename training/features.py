"""A cache of backbone features, passed from one training job to the next.

The features of an image are kept under a hash of its pixels after decoding and downscaling (`image_key`), without a
photo id, a name or a label. A job saves only the features that it used, so those of a photo that is in no snapshot any
more disappear with the next training. To remove them earlier:

    python -m training.features remove --cache <output.tar.gz or features.npz> --photo <file> [--photo <file> ...]
"""

import argparse
import hashlib
import io
import os
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.backbone import BATCH_SIZE, Backbone, Floats32
from training.images import PREPROCESSING, Pixels, downscale
from training.photo_errors import PhotoError

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


def feature_keys(photo: bytes) -> frozenset[str]:
    """Return the keys under which a cache may hold the features of a photo, given as the bytes of its file.

    The file must be the one that was trained on: another file of the same picture has other pixels. Raises the errors
    of training.decoder.
    """
    return frozenset({image_key(downscale(photo))})


def remove_features(content: bytes, keys: Collection[str]) -> tuple[bytes, int]:
    """Return a cache, the bytes of CACHE_NAME or of an OUTPUT_ARCHIVE, without the rows of `keys`, and their number.

    Other files in the archive are kept. When no row is removed the bytes are the same. Raises ValueError when the
    content is neither.
    """
    if zipfile.is_zipfile(io.BytesIO(content)):
        return _remove_rows(content, keys)
    removed, written = 0, io.BytesIO()
    try:
        with (
            tarfile.open(fileobj=io.BytesIO(content)) as source,
            tarfile.open(fileobj=written, mode="w:gz") as target,
        ):
            for member in source:
                file = source.extractfile(member) if member.isfile() else None
                data = file.read() if file else b""
                if Path(member.name).name == CACHE_NAME and file:
                    data, count = _remove_rows(data, keys)
                    member.size = len(data)
                    removed += count
                target.addfile(member, io.BytesIO(data) if file else None)
    except (tarfile.TarError, EOFError, OSError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f"the cache is neither {CACHE_NAME} nor {OUTPUT_ARCHIVE}: {error}") from error
    return (written.getvalue(), removed) if removed else (content, 0)


def _remove_rows(content: bytes, keys: Collection[str]) -> tuple[bytes, int]:
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        is_kept = ~np.isin(arrays["keys"], list(keys))
        if is_kept.all():
            return content, 0
        written = io.BytesIO()
        rows = {name: arrays[name][is_kept] for name in ("keys", "features", "logits")}
        np.savez(written, origin=arrays["origin"], **rows)
    return written.getvalue(), int((~is_kept).sum())


def main() -> int:
    """Remove the features of photos from a cache file; return the exit status."""
    parser = argparse.ArgumentParser(description="Remove the features of photos from a cache.")
    commands = parser.add_subparsers(dest="command", required=True)
    remove = commands.add_parser("remove", help="remove the features of the given photos")
    remove.add_argument("--cache", type=Path, required=True)
    remove.add_argument("--photo", type=Path, action="append", required=True)
    arguments = parser.parse_args()
    try:
        keys = frozenset().union(*(feature_keys(photo.read_bytes()) for photo in arguments.photo))
        content, removed = remove_features(arguments.cache.read_bytes(), keys)
        if removed:
            with tempfile.NamedTemporaryFile(dir=arguments.cache.parent, delete=False) as file:
                file.write(content)
            os.replace(file.name, arguments.cache)
    except (OSError, ValueError, PhotoError) as error:
        print(f"no features were removed: {error}", file=sys.stderr)
        return 1
    print(f"the features of {removed} images were removed from {arguments.cache.name}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
