"""Labels: the reviewers' answers about photos, and which of them are effective.

The rules:

1. A label without evidence does not count (`evidence.py`), nor does one about a photo that was rejected.
2. Each reviewer has one vote about a photo: the label that this reviewer wrote last, the one with the highest number.
   Photos with the same bytes count as one; the vote is the answer about any of them that was given last.
3. The vehicle with most votes is the label. When several have the most votes, it is the one by which the answer of a
   reviewer routed the driver: otherwise one reviewer could take every photo of the others out of the training by
   contradicting them later. It is read from the record of the photo, which no reviewer can write. When no answer routed
   the driver, or photos with the same bytes were routed by different ones of these vehicles, the photo is contested and
   not used. Nor is one whose label is `unusable`, `ambiguous` or a vehicle that is not configured; `other` is used.
4. The picture that models are trained on is the one that most reviewers of the majority saw: the console encodes equal
   pixels into equal bytes, and equal bytes have equal ETags. Of several, it is the one whose label S3 stored first. Of
   the labels with this picture, the effective one is that of the photo that was seen first, and there the one that S3
   stored first. The times in labels are those of the reviewers' computers and decide nothing of this.
5. Of each reviewer the newest `per_reviewer` labels are read, and of each driver the newest `per_driver` effective
   labels are used.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from functions.build_dataset.skipped import Reason, SkippedLabels
from functions.shared.label import AMBIGUOUS, UNUSABLE
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

    `number` counts the labels of this reviewer about this photo, `written_at` is when S3 stored it, and `seen_at` when
    the photo was first seen. `routed` is the vehicle of the answer that routed the driver, None when no answer did.
    `picture` is None for `unusable` and `ambiguous`.
    """

    photo: Photo
    vehicle: str
    reviewer: str
    number: int
    answered_at: datetime
    written_at: datetime
    seen_at: str
    routed: str | None
    picture: Picture | None

    @property
    def use(self) -> str:
        """TRAIN, or EVALUATE for a quarter of the photos; fixed, and the same for photos with the same bytes."""
        return EVALUATE if (self.photo.etag or "").startswith(("0", "1", "2", "3")) else TRAIN

    @property
    def used_picture(self) -> Picture:
        """The picture that models are trained on. Raises ValueError for an answer that no snapshot contains."""
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


_NOT_LEARNT = {UNUSABLE: Reason.UNUSABLE, AMBIGUOUS: Reason.AMBIGUOUS}


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
    labels = list(labels)
    last = _last_labels(labels, skipped)
    votes = {label.reviewer: label.vehicle for label in last}
    vehicle = _find_vehicle(votes, labels)
    skipped.add_votes(votes, vehicle)
    if vehicle is None:
        _skip(last, Reason.CONTESTED, skipped)
        return None
    majority = [label for label in last if label.vehicle == votes[label.reviewer] == vehicle]
    for label in last:
        if label.vehicle != votes[label.reviewer]:
            _skip([label], Reason.CORRECTED, skipped)
        elif label.vehicle != vehicle:
            _skip([label], Reason.OUTVOTED, skipped)
    if vehicle not in usable:
        _skip(majority, _NOT_LEARNT.get(vehicle, Reason.UNKNOWN_VEHICLE), skipped)
        return None
    return min(_with_common_picture(majority), key=lambda label: (label.seen_at, label.photo.photo_id, *_stored(label)))


def _find_vehicle(votes: Mapping[str, str], labels: Iterable[Label]) -> str | None:
    """Return the vehicle with most votes by rule 3, None when it is contested; `votes` are vehicles by reviewer."""
    counts = Counter(votes.values())
    leading = {vehicle for vehicle, count in counts.items() if count == max(counts.values())}
    if len(leading) > 1:
        leading &= {label.routed for label in labels if label.routed}
    return leading.pop() if len(leading) == 1 else None


def _with_common_picture(majority: list[Label]) -> list[Label]:
    """Return the labels with the picture that most of their reviewers saw, by rule 4."""
    reviewers: defaultdict[str, set[str]] = defaultdict(set)
    for label in majority:
        reviewers[label.used_picture.etag].add(label.reviewer)
    most = max(map(len, reviewers.values()))
    first = min((one for one in majority if len(reviewers[one.used_picture.etag]) == most), key=_stored)
    return [label for label in majority if label.used_picture.etag == first.used_picture.etag]


def _stored(label: Label) -> tuple[datetime, str, int]:
    """The order in which S3 stored labels of a photo."""
    return label.written_at, label.reviewer, label.number


def _last_labels(labels: Iterable[Label], skipped: SkippedLabels) -> list[Label]:
    """Return the label that each reviewer wrote last about each photo, in the order in which S3 stored them."""
    last: dict[tuple[str, str], Label] = {}
    for label in sorted(labels, key=lambda label: label.number):
        folder = (label.photo.photo_id, label.reviewer)
        if folder in last:
            _skip([last[folder]], Reason.CORRECTED, skipped)
        last[folder] = label
    return sorted(last.values(), key=lambda label: (label.written_at, label.answered_at, label.photo.photo_id))


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
