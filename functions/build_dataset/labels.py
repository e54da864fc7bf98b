"""Labels: what reviewers said about photos, and which of it is learned.

The rule, applied to all answers ever given:

1. Of several people who answered one request the majority counts; a photo on which they split evenly is not learned.
   Of several requests about one photo the one answered last counts; at the same instant the reviewer whose name sorts
   last.
2. A photo whose latest answer is `unusable` is not learned, whatever was said before.
3. A photo that ended as rejected is not learned.
4. A photo that was deleted or overwritten before it was first learned is not learned; one learned before stays.
5. Answers that name no configured vehicle are not learned until it is configured; `other` is learned.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from functions.shared.errors import InvalidInput
from functions.shared.photo import Photo
from functions.shared.vehicles import OTHER

CONTESTED = "contested"  # no vehicle may be called so, and nothing of this name is learned
TRAIN = "train"
EVALUATE = "evaluate"
_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


@dataclass(frozen=True)
class Label:
    """One reviewer's answer about one photo."""

    photo: Photo
    vehicle: str
    reviewer: str
    answered_at: str

    @classmethod
    def from_object(cls, content: Any) -> "Label | None":
        """Read a label object: an answer, and the `opinions` other people gave later. None when it is none of ours."""
        try:
            photo = Photo.from_state(content["photo"])
            photo.photo_id  # noqa: B018  # raises when the etag is missing
            opinions = content.get("opinions") or ()
            votes = Counter(str(answer["vehicle"]) for answer in (content, *opinions))
            answered_at = max(str(answer["answered_at"]) for answer in (content, *opinions))
            return cls(photo, _majority(votes), str(content["reviewer"]), answered_at)
        except (AttributeError, KeyError, TypeError, InvalidInput):
            return None

    @property
    def use(self) -> str:
        """Whether the photo is learned or judges, fixed for ever by its identity: a quarter judges."""
        return EVALUATE if self.photo.photo_id[0] in "0123" else TRAIN

    @property
    def file(self) -> str:
        """The name of our copy."""
        suffix = PurePosixPath(self.photo.key).suffix.lower()
        return f"{self.photo.photo_id}{suffix if suffix in _SUFFIXES else '.jpg'}"

    def as_entry(self) -> dict[str, Any]:
        """The label as a snapshot lists it."""
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


def standing(labels: Iterable[Label], classes: Iterable[str], rejected: Iterable[str]) -> list[Label]:
    """The labels that rules 1, 2, 3 and 5 leave, by photo id. `rejected` are photo ids."""
    latest: dict[str, Label] = {}
    for label in sorted(labels, key=lambda label: (label.answered_at, label.reviewer)):
        latest[label.photo.photo_id] = label
    learned, refused = {*classes, OTHER}, set(rejected)
    return [label for photo_id, label in sorted(latest.items()) if label.vehicle in learned and photo_id not in refused]


def news(entries: Iterable[Mapping[str, Any]], known: Iterable[Mapping[str, Any]]) -> int:
    """How many photos are labelled in `entries` that `known` had not, or had otherwise."""
    before = {(entry["photo_id"], entry["label"]) for entry in known}
    return sum((entry["photo_id"], entry["label"]) not in before for entry in entries)
