"""Stage the training data: `python -m operate.stage_data --out build/data`.

Sources, in this order: the photos in TRAINING_PHOTOS; CIFAR-100, from CIFAR100_ARCHIVE, the user's cache folder or the
official download; synthetic photos when the download fails. Writes

    train/images.npz, train/about.json   the content of the training job's `training` channel
    test/images.npz                      images for the `test` channel, which no training uses
    photos/<class>/*.png                 some of the test images as photos, for trying the system
"""

import argparse
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from operate import cifar100
from operate.photo_folders import (
    LeftOut,
    PhotoFolderError,
    describe_counts,
    describe_left_out,
    find_photos,
    printable,
    read_class_folders,
    read_each,
)
from operate.synthetic_photos import synthetic_photos
from training.dataset import Dataset
from training.images import downscale
from training.photo_errors import PhotoError
from training.vehicles import OTHER, configured_vehicles

LAYOUT = 3
"""The version of the file layout. Data with another version is staged again."""

SAMPLES_PER_VEHICLE = 40
SAMPLES_PER_OTHER_CLASS = 20
OTHER_CLASSES_SAMPLED = 8
SAMPLED_FIRST = ("bus", "pickup_truck", "train", "tank", "tractor", "house", "dolphin")
"""The other classes that are sampled first: mostly vehicles, because the model confuses them most often."""

TEST_FRACTION = 0.2  # of the photos in TRAINING_PHOTOS

Reporter = Callable[[str], None]
"""A function that is called with each line of progress."""


class StagingError(Exception):
    """There is no usable data; the message contains the source and what to do."""


@dataclass(frozen=True)
class Staged:
    """The staged data.

    `source` is "cifar100", "photos" or "generated"; `counts` and `test_counts` are images per class in train/ and
    test/; `sha256` is that of train/images.npz, the same whenever the source is the same; `fresh` is False when the
    data was already in place.
    """

    train: Path
    test: Path
    photos: Path
    source: str
    sha256: str
    counts: dict[str, int]
    test_counts: dict[str, int]
    fresh: bool


@dataclass(frozen=True)
class Read:
    """Training and test images, and the SHA-256 of where they come from.

    That is the digest of an archive. For a folder it is the digest of a line per readable photo, sorted by name, in the
    format of the command `sha256sum`: the photo's digest, two spaces, its name below the folder. None for drawn images.
    """

    train: Dataset
    test: Dataset
    sha256: str | None


@dataclass(frozen=True)
class Source:
    """A source of data: its name, a fingerprint of its content, and a function that reads it."""

    name: str
    fingerprint: str
    read: Callable[[], Read]


def stage(out: Path, report: Reporter = print, without_other: bool = False) -> Staged:
    """Write the data of the first available source to `out`, unless `out` already holds it.

    Raises StagingError when the configured source is missing or damaged, when it lacks images of a vehicle, and when it
    has no image of another class, unless `without_other` is set.
    """
    source = _choose_source(report)
    marker = {
        "layout": LAYOUT,
        "source": source.name,
        "origin": source.fingerprint,
        "vehicles": list(configured_vehicles()),
    }
    staged = _already_staged(out, marker)
    if staged:
        _require_classes(staged.counts, source.name, without_other)
        report(f"data: images per class: {describe_counts(staged.counts, configured_vehicles())}")
        report(f"data: {out} already holds {sum(staged.counts.values())} training images from {source.name}")
        return staged
    read = source.read()
    _require_classes(read.train.counts(), source.name, without_other)
    report(f"data: images per class: {describe_counts(read.train.counts(), configured_vehicles())}")
    report(f"data: writing {len(read.train)} training and {len(read.test)} test images to {out}")
    staged = _write(out, read, source.name)
    described = {key: value for key, value in asdict(staged).items() if not isinstance(value, Path)}
    (out / "staged.json").write_text(json.dumps({"marker": marker, "staged": described}, indent=2) + "\n")
    report(f"data: {len(staged.counts)} classes staged from {source.name}")
    return staged


def _choose_source(report: Reporter) -> Source:
    """Return the first available source. Raises StagingError when a configured one does not exist."""
    if configured := os.environ.get("TRAINING_PHOTOS"):
        folder = Path(configured).expanduser().resolve()
        if not folder.is_dir():
            raise StagingError(f"TRAINING_PHOTOS={printable(configured)} is not a folder of class folders")
        return Source("photos", _folder_fingerprint(folder), lambda: _read_photos(folder, report))
    if configured := os.environ.get("CIFAR100_ARCHIVE"):
        archive = Path(configured).expanduser().resolve()
        if not archive.is_file():
            raise StagingError(
                f"CIFAR100_ARCHIVE={configured} does not exist; unset it to download the official archive"
            )
        return Source("cifar100", _file_fingerprint(archive), lambda: _read_cifar100(archive, report))
    cached = cifar100.cached_archive()
    if not cached.is_file():
        try:
            cifar100.download(cached, report)
        except OSError as error:
            reason = getattr(error, "reason", None) or type(error).__name__
            report(f"data: the CIFAR-100 download failed ({reason}); using GENERATED drawings instead")
            return Source("generated", "drawn", _draw_photos)
    return Source("cifar100", _file_fingerprint(cached), lambda: _read_cifar100(cached, report, official=True))


def _already_staged(out: Path, marker: dict[str, Any]) -> Staged | None:
    """Return what `out` holds if it was staged with the same marker and is complete, or None."""
    try:
        known = json.loads((out / "staged.json").read_text())
        if known["marker"] != marker or cifar100.sha256(out / "train" / "images.npz") != known["staged"]["sha256"]:
            return None
        if not (out / "test" / "images.npz").is_file() or not any((out / "photos").iterdir()):
            return None
        return Staged(
            train=out / "train", test=out / "test", photos=out / "photos", **{**known["staged"], "fresh": False}
        )
    except (OSError, ValueError, KeyError, TypeError):  # incomplete or of an earlier version: staged again
        return None


def _require_classes(counts: dict[str, int], source: str, without_other: bool) -> None:
    vehicles = configured_vehicles()
    missing = [name for name in vehicles if counts.get(name, 0) < 2]
    if missing:
        raise StagingError(
            f"the {source} data has no images of {', '.join(missing)}; "
            f"it has {', '.join(list(counts)[:12])}... Correct vehicles.toml, or add photos in a folder of that name"
        )
    if not without_other and not set(counts) - set(vehicles):
        raise StagingError(
            f"the {source} data has no image of anything but {', '.join(vehicles)}, so nothing measures whether the "
            f"model rejects other things. Add photos of other things in a folder such as {OTHER}/, or pass "
            "FORCE=yes to train without"
        )


def _draw_photos() -> Read:
    return Read(synthetic_photos(120, seed=0), synthetic_photos(40, seed=1), None)


def _read_cifar100(archive: Path, report: Reporter, official: bool = False) -> Read:
    """Return the images of an archive; with `official`, only those of the official one."""
    report(f"data: reading {archive.name} ({archive.stat().st_size / 1e6:.0f} MB)")
    try:
        if official:
            cifar100.check_official(archive)
        return Read(*cifar100.read(archive), cifar100.sha256(archive))
    except cifar100.ArchiveError as error:
        raise StagingError(str(error)) from error


def _read_photos(folder: Path, report: Reporter) -> Read:
    """Return the (training, test) photos in the class folders of `folder`."""
    try:
        found = read_class_folders(folder, configured_vehicles())
    except PhotoFolderError as error:
        raise StagingError(f"TRAINING_PHOTOS: {error}") from error

    def report_progress(number: int, total: int) -> None:
        if number % 200 == 0:
            report(f"data: reading photos {number}/{total}")

    images, labels, is_test, digests, left_out = [], [], [], {}, list(found.left_out)
    for photo, content in read_each(found.photos, left_out, report_progress):
        try:
            images.append(downscale(content))
        except PhotoError as error:
            left_out.append(LeftOut(photo.name, str(error)))
            continue
        labels.append(str(photo.class_name))
        digests[photo.path.relative_to(folder)] = hashlib.sha256(content).hexdigest()
        # By a hash of the content, so that all copies of a photo are in the same part.
        is_test.append(int(hashlib.sha256(content).hexdigest()[:8], 16) / 16**8 < TEST_FRACTION)
    for line in describe_left_out(left_out):
        report(f"data: {line}")
    if not images:
        raise StagingError(f"TRAINING_PHOTOS={printable(folder)} holds no readable photo in class folders")
    report(f"data: {len(images)} photos read from {printable(folder)}")
    photos, test_mask = Dataset(images, np.array(labels)), np.array(is_test)
    lines = b"".join(os.fsencode(f"{digests[name]}  {name.as_posix()}\n") for name in sorted(digests))
    return Read(photos[~test_mask], photos[test_mask], hashlib.sha256(lines).hexdigest())


def _write(out: Path, read: Read, source: str) -> Staged:
    train, test = read.train, read.test
    for part in ("train", "test", "photos"):
        shutil.rmtree(out / part, ignore_errors=True)
    train.save(out / "train" / "images.npz")
    test.save(out / "test" / "images.npz")
    _write_samples(test, out / "photos")
    counts = train.counts()
    about = {"source": source, "sha256": read.sha256, "counts": counts}
    (out / "train" / "about.json").write_text(json.dumps(about, indent=2) + "\n")
    return Staged(
        train=out / "train",
        test=out / "test",
        photos=out / "photos",
        source=source,
        sha256=cifar100.sha256(out / "train" / "images.npz"),
        counts=counts,
        test_counts=test.counts(),
        fresh=True,
    )


def _write_samples(test: Dataset, folder: Path) -> None:
    vehicles = configured_vehicles()
    others = sorted(set(test.labels) - set(vehicles))
    first = [name for name in SAMPLED_FIRST if name in others]
    sampled = (first + [name for name in others if name not in first])[:OTHER_CLASSES_SAMPLED]
    for name, count in [(v, SAMPLES_PER_VEHICLE) for v in vehicles] + [(o, SAMPLES_PER_OTHER_CLASS) for o in sampled]:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i, image in enumerate(test.with_labels([name]).images[:count]):
            Image.fromarray(image).save(folder / name / f"{name}-{i:03d}.png")


def _file_fingerprint(path: Path) -> str:
    status = path.stat()
    return f"{path} {status.st_size} {status.st_mtime_ns}"


def _folder_fingerprint(folder: Path) -> str:
    """Return a string that changes when a photo is added, removed or changed."""
    digest = hashlib.sha256()
    for photo in find_photos(folder).photos:
        # Includes the mode, because a photo may become readable.
        digest.update(os.fsencode(f"{_file_fingerprint(photo.path)} {photo.path.stat().st_mode}\n"))
    return f"{folder} {digest.hexdigest()}"


def main() -> int:
    """Stage the data and print its checksum; return the exit status."""
    parser = argparse.ArgumentParser(description="Stage the training data.")
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
