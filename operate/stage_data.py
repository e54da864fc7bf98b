"""Bring the training data into place: `python -m operate.stage_data --out build/data`.

Three sources, tried in this order: photos of one's own (TRAINING_PHOTOS), CIFAR-100 (CIFAR100_ARCHIVE, the cache in the
user's cache folder, the official download), and drawings of ours when there is neither archive nor network. Writes

    train/images.npz, train/about.json   what the `training` channel of a training job holds
    test/images.npz                      images no training step may see; the `test` channel
    photos/<class>/*.png                 some of the test images as photos, for trying the system
"""

import argparse
import hashlib
import io
import json
import os
import pickle
import shutil
import sys
import tarfile
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from training.dataset import Dataset, of_array
from training.drawn import drawn_photos
from training.images import PhotoError, shrink
from training.photo_folders import (
    LeftOut,
    PhotoFolderError,
    describe_counts,
    describe_left_out,
    find_photos,
    printable,
    read_class_folders,
    read_each,
)
from training.vehicles import OTHER, configured_vehicles

ARCHIVE = "cifar-100-python.tar.gz"
OFFICIAL_URL = f"https://www.cs.toronto.edu/~kriz/{ARCHIVE}"
OFFICIAL_MD5 = "eb9058c3a382ffc7106e4002c42a8d85"
DOWNLOAD_TIMEOUT_S = 20.0
CIFAR_SIDE = 32  # pixels

LAYOUT = 2  # changes when the files written here change, so that data staged by older code is staged again
SAMPLES_PER_VEHICLE = 40
SAMPLES_PER_OTHER = 20
OTHERS_SAMPLED = 8
TELLING = ("bus", "pickup_truck", "train", "tank", "tractor", "house", "dolphin")
"""Sampled first: other vehicles are what the model is most likely to mistake for one of ours."""

TEST_SHARE = 0.2  # of one's own photos, per class

Say = Callable[[str], None]


class StagingError(Exception):
    """No usable data; the message says which source failed and what to do."""


@dataclass(frozen=True)
class Staged:
    """Where the data is and what it is.

    `source` is "cifar100", "photos" or "generated"; `counts` are images per class in train/; `sha256` is that of
    train/images.npz, the same bytes whenever the source is the same; `fresh` is False when it was already in place.
    """

    train: Path
    test: Path
    photos: Path
    source: str
    sha256: str
    counts: dict[str, int]
    test_counts: dict[str, int]
    fresh: bool


def stage(out: Path, say: Say = print, without_other: bool = False) -> Staged:
    """Fill `out` from the best source there is, or return at once when that was done before.

    Raises StagingError when the named source is missing or broken, when it lacks photos of a vehicle, and when it has
    no photo of anything else, unless `without_other` accepts that.
    """
    source, origin, read = _choose_source(say)
    marker = {"layout": LAYOUT, "source": source, "origin": origin, "vehicles": list(configured_vehicles())}
    staged = _already_staged(out, marker)
    if staged:
        _require_vehicles(staged.counts, source, without_other)
        say(f"data: images per class: {describe_counts(staged.counts, configured_vehicles())}")
        say(f"data: {out} already holds {sum(staged.counts.values())} training images from {source}")
        return staged
    train, test = read()
    _require_vehicles(train.counts(), source, without_other)
    say(f"data: images per class: {describe_counts(train.counts(), configured_vehicles())}")
    for part in ("train", "test", "photos"):
        shutil.rmtree(out / part, ignore_errors=True)
    say(f"data: writing {len(train)} training and {len(test)} test images to {out}")
    train.save(out / "train" / "images.npz")
    test.save(out / "test" / "images.npz")
    _write_samples(test, out / "photos")
    staged = Staged(
        train=out / "train",
        test=out / "test",
        photos=out / "photos",
        source=source,
        sha256=_sha256(out / "train" / "images.npz"),
        counts=train.counts(),
        test_counts=test.counts(),
        fresh=True,
    )
    about = {"source": source, "sha256": staged.sha256, "counts": staged.counts}
    (out / "train" / "about.json").write_text(json.dumps(about, indent=2) + "\n")
    described = {key: value for key, value in asdict(staged).items() if not isinstance(value, Path)}
    (out / "staged.json").write_text(json.dumps({"marker": marker, "staged": described}, indent=2) + "\n")
    say(f"data: {len(staged.counts)} classes staged from {source}")
    return staged


def _choose_source(say: Say) -> tuple[str, str, Callable[[], tuple[Dataset, Dataset]]]:
    """Return the source's name, what identifies its present content, and how to read it."""
    own = os.environ.get("TRAINING_PHOTOS")
    if own:
        folder = Path(own).expanduser().resolve()
        if not folder.is_dir():
            raise StagingError(f"TRAINING_PHOTOS={printable(own)} is not a folder of class folders")
        return "photos", _fingerprint(folder), lambda: _read_own_photos(folder, say)
    named = os.environ.get("CIFAR100_ARCHIVE")
    if named:
        archive = Path(named).expanduser().resolve()
        if not archive.is_file():
            raise StagingError(f"CIFAR100_ARCHIVE={named} does not exist; unset it to download the official archive")
        return "cifar100", _stamp(archive), lambda: read_cifar100(archive, say)
    cached = _cache_folder() / ARCHIVE
    if not cached.is_file():
        try:
            _download(cached, say)
        except OSError as error:
            reason = getattr(error, "reason", None) or type(error).__name__
            say(f"data: the CIFAR-100 download failed ({reason}); going on with GENERATED drawings")
            return "generated", "drawn", lambda: (drawn_photos(120, seed=0), drawn_photos(40, seed=1))
    return "cifar100", _stamp(cached), lambda: read_cifar100(cached, say)


def _already_staged(out: Path, marker: dict[str, Any]) -> Staged | None:
    try:
        known = json.loads((out / "staged.json").read_text())
        if known["marker"] != marker or _sha256(out / "train" / "images.npz") != known["staged"]["sha256"]:
            return None
        if not (out / "test" / "images.npz").is_file() or not any((out / "photos").iterdir()):
            return None
        return Staged(
            train=out / "train", test=out / "test", photos=out / "photos", **{**known["staged"], "fresh": False}
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _require_vehicles(counts: dict[str, int], source: str, without_other: bool) -> None:
    vehicles = configured_vehicles()
    missing = [name for name in vehicles if counts.get(name, 0) < 2]
    if missing:
        raise StagingError(
            f"the {source} data has no images of {', '.join(missing)}; "
            f"it has {', '.join(list(counts)[:12])}... Correct vehicles.toml, or add photos in a folder of that name"
        )
    if not without_other and not set(counts) - set(vehicles):
        raise StagingError(
            f"the {source} data has no image of anything but {', '.join(vehicles)}, so nothing can measure whether the "
            f"model recognises what is none of them. Add photos of other things in a folder such as {OTHER}/, or pass "
            "FORCE=yes to train without"
        )


# The three sources


class _PlainUnpickler(pickle.Unpickler):
    """Reads the archive's dictionaries of NumPy arrays and refuses every other object: a pickle can run code."""

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
        if (module, name) not in self._ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} does not belong in a CIFAR-100 archive")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def read_cifar100(archive: Path, say: Say = print) -> tuple[Dataset, Dataset]:
    """Return the (training, test) images of an archive in the official layout, labelled by their fine names.

    Raises StagingError when the archive is not one.
    """
    say(f"data: reading {archive.name} ({archive.stat().st_size / 1e6:.0f} MB)")
    try:
        with tarfile.open(archive) as tar:
            parts = {}
            for part in ("meta", "train", "test"):
                file = tar.extractfile(f"cifar-100-python/{part}")
                if file is None:
                    raise KeyError(part)
                parts[part] = _PlainUnpickler(io.BytesIO(file.read()), encoding="bytes").load()
        names = np.array([name.decode() for name in parts["meta"][b"fine_label_names"]])
        train, test = (
            of_array(
                np.ascontiguousarray(part[b"data"].reshape(-1, 3, CIFAR_SIDE, CIFAR_SIDE).transpose(0, 2, 3, 1)),
                names[np.asarray(part[b"fine_labels"], dtype=np.intp)],
            )
            for part in (parts["train"], parts["test"])
        )
    except (OSError, KeyError, EOFError, tarfile.TarError, pickle.UnpicklingError, ValueError) as error:
        raise StagingError(f"{archive.name} is not a CIFAR-100 archive in the official layout: {error}") from error
    return train, test


def _read_own_photos(folder: Path, say: Say) -> tuple[Dataset, Dataset]:
    try:
        found = read_class_folders(folder, configured_vehicles())
    except PhotoFolderError as error:
        raise StagingError(f"TRAINING_PHOTOS: {error}") from error

    def report(number: int, total: int) -> None:
        if number % 200 == 0:
            say(f"data: reading photos {number}/{total}")

    images, labels, tested, left_out = [], [], [], list(found.left_out)
    for photo, content in read_each(found.photos, left_out, report):
        try:
            images.append(shrink(content))
        except PhotoError as error:
            left_out.append(LeftOut(photo.name, str(error)))
            continue
        labels.append(str(photo.class_name))
        # By content, so that copies of one photo never end up on both sides.
        tested.append(int(hashlib.sha256(content).hexdigest()[:8], 16) / 16**8 < TEST_SHARE)
    for line in describe_left_out(left_out):
        say(f"data: {line}")
    if not images:
        raise StagingError(f"TRAINING_PHOTOS={printable(folder)} holds no readable photo in class folders")
    say(f"data: {len(images)} photos read from {printable(folder)}")
    everything = Dataset(images, np.array(labels))
    is_test = np.array(tested)
    return everything[~is_test], everything[is_test]


def _download(target: Path, say: Say) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(f".{os.getpid()}.part")
    digest = hashlib.md5(usedforsecurity=False)
    try:
        with urllib.request.urlopen(OFFICIAL_URL, timeout=DOWNLOAD_TIMEOUT_S) as answer, partial.open("wb") as file:
            total, done, shown = int(answer.headers.get("Content-Length") or 0), 0, 0
            while block := answer.read(1 << 20):
                file.write(block)
                digest.update(block)
                done += len(block)
                if done - shown >= 16 << 20 or done == total:
                    say(f"data: downloading CIFAR-100 {done / 1e6:.0f} of {total / 1e6:.0f} MB")
                    shown = done
        if digest.hexdigest() != OFFICIAL_MD5:
            raise urllib.error.URLError("the downloaded file has another checksum than the official one")
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _write_samples(test: Dataset, folder: Path) -> None:
    vehicles = configured_vehicles()
    present = sorted(set(test.labels) - set(vehicles))
    telling = [name for name in TELLING if name in present]
    chosen = (telling + [name for name in present if name not in telling])[:OTHERS_SAMPLED]
    for name, most in [(v, SAMPLES_PER_VEHICLE) for v in vehicles] + [(o, SAMPLES_PER_OTHER) for o in chosen]:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i, image in enumerate(test.of([name]).pictures[:most]):
            Image.fromarray(image).save(folder / name / f"{name}-{i:03d}.png")


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "scones-vehicles"


def _stamp(path: Path) -> str:
    status = path.stat()
    return f"{path} {status.st_size} {status.st_mtime_ns}"


def _fingerprint(folder: Path) -> str:
    """Return what changes whenever another set of photos would be read."""
    digest = hashlib.sha256()
    for photo in find_photos(folder).photos:
        # Its mode as well: a photo that could not be read may be readable now.
        digest.update(os.fsencode(f"{_stamp(photo.path)} {photo.path.stat().st_mode}\n"))
    return f"{folder} {digest.hexdigest()}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main() -> int:
    """Stage the data and print where it is; return the exit status."""
    parser = argparse.ArgumentParser(description="Bring the training data into place.")
    parser.add_argument("--out", type=Path, default=Path("build/data"))
    parser.add_argument("--without-other", action="store_true", help="accept data that shows nothing but the vehicles")
    arguments = parser.parse_args()
    try:
        staged = stage(arguments.out, lambda line: print(line, flush=True), arguments.without_other)
    except StagingError as error:
        print(f"staging failed: {error}", file=sys.stderr)
        return 1
    print(f"data: sha256 {staged.sha256}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
