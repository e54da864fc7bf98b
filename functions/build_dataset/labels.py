"""Labels: the reviewers' answers about photos, and which of them are effective.

The rules, applied to all answers:

1. Of several answers to one request the majority counts; a photo without a majority is not used. Of several requests
   about one photo the one answered last counts; of two answered at the same time, the one of the reviewer whose name
   sorts last.
2. A photo whose latest answer is `unusable` is not used.
3. A photo that was rejected is not used.
4. A photo that was deleted or overwritten before a snapshot copied it is not used; a copied one is.
5. An answer that names no configured vehicle is not used until the vehicle is configured; `other` is used.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from functions.shared.errors import InvalidInput
from functions.shared.photo import Photo
from functions.shared.shapes import object_with, text, time
from functions.shared.vehicles import OTHER

CONTESTED = "contested"  # the label of a photo without a majority; the name of no vehicle
TRAIN = "train"
EVALUATE = "evaluate"
_ANSWER = object_with({"vehicle": text, "answered_at": time})
_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif", ".avif"}


@dataclass(frozen=True)
class Label:
    """One reviewer's answer about one photo."""

    photo: Photo
    vehicle: str
    reviewer: str
    answered_at: str

    @classmethod
    def from_object(cls, content: Any) -> "Label | None":
        """Read a label object: an answer, and the `opinions` that were given later. None when it is not a label."""
        try:
            photo = Photo.from_state(content["photo"])
            photo.photo_id  # noqa: B018  # raises when the etag is missing
            opinions = content.get("opinions") or ()
            for answer in (content, *opinions):
                _ANSWER(answer, "answer")
            text(content.get("reviewer"), "reviewer")
            votes = Counter(answer["vehicle"] for answer in (content, *opinions))
            answered_at = max(answer["answered_at"] for answer in (content, *opinions))
            return cls(photo, _majority(votes), content["reviewer"], answered_at)
        except (AttributeError, KeyError, TypeError, InvalidInput):
            return None

    @property
    def use(self) -> str:
        """TRAIN, or EVALUATE for a quarter of the photos; fixed, because it depends on the photo's identity only."""
        return EVALUATE if self.photo.photo_id[0] in "0123" else TRAIN

    @property
    def file(self) -> str:
        """The file name of the copy in the ML bucket."""
        suffix = PurePosixPath(self.photo.key).suffix.lower()
        return f"{self.photo.photo_id}{suffix if suffix in _SUFFIXES else '.jpg'}"

    def as_entry(self) -> dict[str, Any]:
        """Return the label as an entry of a manifest."""
        return {
            "photo_id": self.photo.photo_id,
            "file": self.file,
            "bucket": self.photo.bucket,
            "key": self.photo.key,
            "etag": self.photo.etag,
            "label": self.vehicle,
            "labelled_by": self.reviewer,
            "labelled_at": self.answered_at,
            "use": self.use,
        }


def _majority(votes: "Counter[str]") -> str:
    (vehicle, most), *others = votes.most_common()
    return CONTESTED if others and others[0][1] == most else vehicle


def effective_labels(labels: Iterable[Label], classes: Iterable[str], rejected: Iterable[str]) -> list[Label]:
    """Return the labels that are effective by rules 1, 2, 3 and 5, sorted by photo id. `rejected` are photo ids."""
    latest: dict[str, Label] = {}
    for label in sorted(labels, key=lambda label: (label.answered_at, label.reviewer)):
        latest[label.photo.photo_id] = label
    usable, excluded = {*classes, OTHER}, set(rejected)
    return [label for photo_id, label in sorted(latest.items()) if label.vehicle in usable and photo_id not in excluded]


def count_changed_labels(entries: Iterable[Mapping[str, Any]], known: Iterable[Mapping[str, Any]]) -> int:
    """Return how many of `entries` are not in `known` or have another label there."""
    before = {(entry["photo_id"], entry["label"]) for entry in known}
    return sum((entry["photo_id"], entry["label"]) not in before for entry in entries)
