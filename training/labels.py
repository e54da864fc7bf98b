"""Photos that people labelled: the manifest of a snapshot and the folder of its photos.

The manifest lists `photos`, each with `photo_id`, `file`, `label`, `labelled_by` and `use`, which is `train` or
`evaluate`. No model is trained on the photos for `evaluate`.

Photos that show the same picture (see training.near_duplicates) count once, for training if one of them is for
training. When their labels differ, none of them is used: they are contested.
"""

import json
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from training.dataset import Dataset, empty
from training.images import Pixels, downscale
from training.near_duplicates import group_same_pictures
from training.photo_errors import PhotoError, PhotoTooLarge

MANIFEST = "manifest.json"
TRAIN = "train"

MAX_FILE_BYTES = 20 * 1024 * 1024
"""A larger file is skipped; an upload may not be larger either."""

UNREADABLE, SAME_PICTURE, CONTESTED = "unreadable", "same_picture", "contested"
REVIEWER, HOLDOUT = "reviewer", "holdout"
"""Why a labelled photo is not used."""


@dataclass(frozen=True)
class Label:
    """Where the label of a photo comes from: the photo's id and the id of the reviewer."""

    photo_id: str
    reviewer: str


@dataclass(frozen=True)
class LabelledPhotos:
    """The labelled photos of one use, the `labels` of each, and how many others were left out for each reason."""

    photos: Dataset
    labels: tuple[Label, ...]
    left_out: dict[str, int]


def read_labelled(
    snapshot: Path,
    photos: Path,
    use: str,
    distrusted: Collection[str] = frozenset(),
    holdout: Sequence[Pixels] = (),
) -> LabelledPhotos:
    """Return the labelled photos of one `use`; may be empty.

    The labels of the `distrusted` reviewers are left out, as if they did not exist: they contest no other label. A
    photo that cannot be decoded is skipped with a log line, and so is one that counts with another, is contested, or
    shows the same picture as an image of the `holdout`: the base data is public, so anybody can upload such a picture.
    Raises FileNotFoundError when the manifest, or a photo that it lists, is missing, and ValueError when an entry names
    a file outside the folder.
    """
    listed = json.loads((snapshot / MANIFEST).read_text(encoding="utf-8"))["photos"]
    entries: list[dict[str, Any]] = []
    images: list[Pixels] = []
    left_out: Counter[str] = Counter()
    # Photos for training come first, so that they are the ones that count.
    for entry in sorted(listed, key=lambda entry: (entry["use"] != TRAIN, entry["photo_id"])):
        if entry["labelled_by"] in distrusted:
            reason = "is not used: the labels of its reviewer contradict the predictions in training"
            _leave_out(entry, use, REVIEWER, reason, left_out)
            continue
        try:
            images.append(downscale(_read_file(photos, entry["file"])))
            entries.append(entry)
        except PhotoError as error:
            _leave_out(entry, use, UNREADABLE, f"is skipped: {error}", left_out)
    group = group_same_pictures([*holdout, *images])[len(holdout) :] - len(holdout)
    labels_of_group: dict[int, set[str]] = {}
    for first, entry in zip(group.tolist(), entries, strict=True):
        labels_of_group.setdefault(first, set()).add(entry["label"])
    used: list[int] = []
    for index, (first, entry) in enumerate(zip(group.tolist(), entries, strict=True)):
        if first < 0:
            _leave_out(entry, use, HOLDOUT, "is not used: an image of the holdout shows the same picture", left_out)
        elif len(labels_of_group[first]) > 1:
            reason = "is not used: photos of the same picture have other labels"
            _leave_out(entry, use, CONTESTED, reason, left_out)
        elif first != index:
            reason = f"counts once with {entries[first]['photo_id']}, which shows the same picture"
            _leave_out(entry, use, SAME_PICTURE, reason, left_out)
        elif entry["use"] == use:
            used.append(index)
    chosen = [images[index] for index in used]
    return LabelledPhotos(
        Dataset(chosen, np.array([entries[index]["label"] for index in used], dtype=np.str_)) if used else empty(),
        tuple(Label(entries[index]["photo_id"], entries[index]["labelled_by"]) for index in used),
        dict(left_out),
    )


def _leave_out(entry: dict[str, Any], use: str, kind: str, reason: str, left_out: "Counter[str]") -> None:
    if entry["use"] == use:
        left_out[kind] += 1
        print(f"labelled photo {entry['photo_id']} {reason}", flush=True)


def _read_file(folder: Path, name: str) -> bytes:
    if name in ("", "..") or Path(name).name != name:
        raise ValueError(f"the manifest lists the file {name!r}, which is not a plain file name; make a new snapshot")
    with (folder / name).open("rb") as file:
        content = file.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise PhotoTooLarge(f"the file has more than {MAX_FILE_BYTES // 2**20} MB")
    return content
