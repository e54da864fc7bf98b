"""Find, download and read the CIFAR-100 archive (A. Krizhevsky, "Learning Multiple Layers of Features", 2009)."""

import hashlib
import io
import os
import pickle
import tarfile
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from training.dataset import Dataset, from_array

ARCHIVE = "cifar-100-python.tar.gz"
OFFICIAL_URL = f"https://www.cs.toronto.edu/~kriz/{ARCHIVE}"
OFFICIAL_SHA256 = "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7"
"""Of the archive whose MD5 its authors publish, eb9058c3a382ffc7106e4002c42a8d85; source: keras.datasets.cifar100."""

DOWNLOAD_TIMEOUT_S = 20.0
SIDE = 32  # pixels


class ArchiveError(Exception):
    """The file is not a CIFAR-100 archive in the official layout; the message names it."""


def cached_archive() -> Path:
    """Return the path of the archive in the user's cache folder, whether it exists or not."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "scones-vehicles" / ARCHIVE


def download(target: Path, report: Callable[[str], None]) -> None:
    """Download the official archive to `target` and check its SHA-256; `report` is called with lines of progress.

    Raises OSError when the download fails or its checksum differs; then there is no file at `target`.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(f".{os.getpid()}.part")
    digest = hashlib.sha256()
    try:
        with urllib.request.urlopen(OFFICIAL_URL, timeout=DOWNLOAD_TIMEOUT_S) as response, partial.open("wb") as file:
            total, done, reported = int(response.headers.get("Content-Length") or 0), 0, 0
            while block := response.read(1 << 20):
                file.write(block)
                digest.update(block)
                done += len(block)
                if done - reported >= 16 << 20 or done == total:
                    report(f"data: downloading CIFAR-100 {done / 1e6:.0f} of {total / 1e6:.0f} MB")
                    reported = done
        if digest.hexdigest() != OFFICIAL_SHA256:
            raise urllib.error.URLError("the downloaded file has another checksum than the official one")
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def check_official(archive: Path) -> None:
    """Raise ArchiveError when `archive` is not the official one."""
    if sha256(archive) != OFFICIAL_SHA256:
        raise ArchiveError(
            f"{archive} is not the official CIFAR-100 archive: its SHA-256 differs. Delete it to download it again, or "
            "set CIFAR100_ARCHIVE to an archive that you trust"
        )


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read(archive: Path) -> tuple[Dataset, Dataset]:
    """Return the (training, test) images of an archive in the official layout, labelled by their fine names.

    Images are uint8 (32, 32, 3). Raises ArchiveError when the file has another layout.
    """
    try:
        with tarfile.open(archive) as tar:
            parts = {}
            for part in ("meta", "train", "test"):
                file = tar.extractfile(f"cifar-100-python/{part}")
                if file is None:
                    raise KeyError(part)
                parts[part] = _ArrayUnpickler(io.BytesIO(file.read()), encoding="bytes").load()
        names = np.array([name.decode() for name in parts["meta"][b"fine_label_names"]])
        train, test = (
            from_array(
                np.ascontiguousarray(part[b"data"].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)),
                names[np.asarray(part[b"fine_labels"], dtype=np.intp)],
            )
            for part in (parts["train"], parts["test"])
        )
    except (OSError, KeyError, EOFError, tarfile.TarError, pickle.UnpicklingError, ValueError) as error:
        raise ArchiveError(f"{archive.name} is not a CIFAR-100 archive in the official layout: {error}") from error
    return train, test


class _ArrayUnpickler(pickle.Unpickler):
    """Loads dictionaries of NumPy arrays and refuses every other object, because a pickle can run code."""

    _ALLOWED: ClassVar = {
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy._core.numeric", "_frombuffer"),
        ("numpy.core.numeric", "_frombuffer"),
        ("_codecs", "encode"),
    }

    def find_class(self, module: str, name: str) -> Any:
        """Return the class or function `name` of `module`. Raises UnpicklingError unless it is allowed."""
        if (module, name) not in self._ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} does not belong in a CIFAR-100 archive")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)
