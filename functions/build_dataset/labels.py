"""Labels: the reviewers' answers about photos, and which of them are effective.

The rules:

1. A label without evidence does not count (`evidence.py`), nor does one about a photo that was rejected.
2. Each reviewer has one vote about a photo: the label that this reviewer wrote last, the one with the highest number.
   Photos with the same bytes count as one; the vote is the answer about any of them that was given last.
3. The vehicle with most votes is the label. A photo without a majority is not used, nor is one whose majority answered
   `unusable` or a vehicle that is not configured; `other` is used.
4. Of the labels of the majority, the effective one is that of the photo that was seen first, and there the one that was
   answered first. Its picture is the one that models are trained on.
5. Of each reviewer the newest `per_reviewer` labels are read, and of each driver the newest `per_driver` effective
   labels are used.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from functions.build_dataset.skipped import Reason, SkippedLabels
from functions.shared.label import UNUSABLE
from functions.shared.photo import Photo
from functions.shared.times import timestamp
from functions.shared.vehicles import OTHER

TRAIN = "train"
EVALUATE = "evaluate"


@dataclass(frozen=True)
class Limits:
    """How many labels of one driver are used, and how many of one reviewer are read."""

    per_driver: int
    per_reviewer: int


@dataclass(frozen=True)
class Picture:
    """The picture that a reviewer saw, in the ML bucket; `etag` has quotes, `suffix` is `jpg` or `png`."""

    key: str
    etag: str
    suffix: str


@dataclass(frozen=True)
class Label:
    """One reviewer's answer about one photo, with evidence.

    `number` counts the labels of this reviewer about this photo, `seen_at` is when the photo was first seen, and
    `picture` is None for `unusable`.
    """

    photo: Photo
    vehicle: str
    reviewer: str
    number: int
    answered_at: datetime
    seen_at: str
    picture: Picture | None

    @property
    def use(self) -> str:
        """TRAIN, or EVALUATE for a quarter of the photos; fixed, and the same for photos with the same bytes."""
        return EVALUATE if str(self.photo.etag)[0] in "0123" else TRAIN

    @property
    def used_picture(self) -> Picture:
        """The picture that models are trained on. Raises ValueError for `unusable`, which no snapshot contains."""
        if self.picture is None:
            raise ValueError(f"photo {self.photo.photo_id} is {self.vehicle}, so there is no picture to train on")
        return self.picture

    @property
    def file(self) -> str:
        """The file name of the copy of the picture. Raises ValueError as `used_picture`."""
        return f"{self.photo.photo_id}.{self.used_picture.suffix}"

    def as_entry(self) -> dict[str, Any]:
        """Return the label as an entry of a manifest."""
        return {
            "photo_id": self.photo.photo_id,
            "file": self.file,
            "label": self.vehicle,
            "labelled_by": self.reviewer,
            "labelled_at": timestamp(self.answered_at),
            "use": self.use,
        }


def effective_labels(
    labels: Iterable[Label], classes: Iterable[str], per_driver: int, skipped: SkippedLabels
) -> list[Label]:
    """Return the labels that are effective by rules 2 to 5, sorted by photo id; add the others to `skipped`."""
    by_content: defaultdict[str | None, list[Label]] = defaultdict(list)
    for label in labels:
        by_content[label.photo.etag].append(label)
    usable = {*classes, OTHER}
    chosen = [found for group in by_content.values() if (found := _effective_label(group, usable, skipped))]
    return sorted(_limited(chosen, per_driver, skipped), key=lambda label: label.photo.photo_id)


def _effective_label(labels: Iterable[Label], usable: set[str], skipped: SkippedLabels) -> Label | None:
    """Return the effective label of the photos with the same bytes, or None."""
    last = _last_labels(labels, skipped)
    votes = {label.reviewer: label.vehicle for label in last}
    ranked = Counter(votes.values()).most_common()
    vehicle, most = ranked[0]
    if len(ranked) > 1 and ranked[1][1] == most:
        _skip(last, Reason.CONTESTED, skipped)
        return None
    majority = [label for label in last if label.vehicle == votes[label.reviewer] == vehicle]
    for label in last:
        if label.vehicle != votes[label.reviewer]:
            _skip([label], Reason.CORRECTED, skipped)
        elif label.vehicle != vehicle:
            _skip([label], Reason.OUTVOTED, skipped)
    if vehicle not in usable:
        _skip(majority, Reason.UNUSABLE if vehicle == UNUSABLE else Reason.UNKNOWN_VEHICLE, skipped)
        return None
    return min(majority, key=lambda label: (label.seen_at, label.photo.photo_id, label.answered_at, label.reviewer))


def _last_labels(labels: Iterable[Label], skipped: SkippedLabels) -> list[Label]:
    """Return the label that each reviewer wrote last about each photo, in the order of the answers."""
    last: dict[tuple[str, str], Label] = {}
    for label in sorted(labels, key=lambda label: label.number):
        folder = (label.photo.photo_id, label.reviewer)
        if folder in last:
            _skip([last[folder]], Reason.CORRECTED, skipped)
        last[folder] = label
    return sorted(last.values(), key=lambda label: (label.answered_at, label.photo.photo_id))


def _limited(labels: list[Label], per_driver: int, skipped: SkippedLabels) -> Iterator[Label]:
    """Yield the newest labels of each driver."""
    used: Counter[str] = Counter()
    for label in sorted(labels, key=lambda label: (label.answered_at, label.photo.photo_id), reverse=True):
        driver = label.photo.driver_id
        if used[driver] == per_driver:
            _skip([label], Reason.OVER_DRIVER_LIMIT, skipped)
        else:
            used[driver] += 1
            yield label


def _skip(labels: Iterable[Label], reason: Reason, skipped: SkippedLabels) -> None:
    for label in labels:
        skipped.add(reason, label.photo.photo_id)


def count_changed_labels(entries: Iterable[Mapping[str, Any]], known: set[tuple[str, str]]) -> int:
    """Return how many of `entries` are not in `known`, which has pairs of photo id and label."""
    return sum((entry["photo_id"], entry["label"]) not in known for entry in entries)
