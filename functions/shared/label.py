"""A label as the console writes it and BuildDataset reads it: the same objects are labels to both.

S3 accepts an object at labels/{photo id}/{reviewer}/{n}.json only from this reviewer (policy of the ML bucket), so the
key is the identity, and a content that says otherwise is no label.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

from functions.shared.errors import InvalidInput
from functions.shared.photo import Photo
from functions.shared.shapes import (
    all_of,
    count,
    flag,
    fraction,
    matching,
    number,
    object_with,
    optional,
    text,
    time,
    values,
)
from functions.shared.vehicles import OTHER

LABELS = "labels/"
UNUSABLE = "unusable"
# The photo shows several vehicles, and nobody can say which one the driver came with.
AMBIGUOUS = "ambiguous"
NOT_LEARNT = (UNUSABLE, AMBIGUOUS)
"""Answers that no model learns from. Their labels have no picture."""
LARGEST_LABEL_BYTES = 64 * 1024

# A segment of dots would be removed from the path of a request.
_KEY = re.compile(r"labels/([0-9a-f]{32})/([A-Za-z0-9][A-Za-z0-9_+=,.@:-]{1,192})/([1-9][0-9]{0,8})\.(json|jpg|png)")

_UTC = all_of(matching(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"), time)
_PHOTO_ID = matching("[0-9a-f]{32}")
_LABEL = object_with(
    {
        "photo": object_with(
            {"bucket": text, "key": text, "etag": text, "size": optional(count), "photo_id": _PHOTO_ID}, closed=True
        ),
        "photo_id": _PHOTO_ID,
        **dict.fromkeys(("driver_id", "vehicle", "reason", "execution", "answer_id"), text),
        "reviewer": matching("[A-Za-z0-9_+=,.@:-]{2,193}"),
        "reviewer_name": all_of(text, matching(r"(?s:.){1,64}")),
        **dict.fromkeys(("answered_at", "requested_at"), _UTC),
        "seconds": number(0),
        **dict.fromkeys(("model_vehicle", "model_version"), optional(text)),
        **dict.fromkeys(("confidence", "threshold"), optional(fraction)),
        "probabilities": optional(all_of(object_with({OTHER: fraction}), values(fraction))),
        "agrees": optional(flag),
        "token_hash": matching("[0-9a-f]{64}"),
        "blind": flag,
        "picture": optional(matching(r"[1-9][0-9]*\.(jpg|png)")),
    },
    closed=True,
)


class NotALabel(Exception):
    """The object is not a label. The message says why, without values of the object."""


class LabelOfAnotherPhoto(NotALabel):
    """The content is about another photo than the key."""


class LabelOfAnotherReviewer(NotALabel):
    """The content names another reviewer than the key."""


@dataclass(frozen=True)
class LabelKey:
    """A key under labels/, of a label or of the picture beside it. `suffix` is `json`, `jpg` or `png`."""

    photo_id: str
    reviewer: str
    number: int
    suffix: str

    @classmethod
    def parse(cls, key: str) -> "LabelKey | None":
        """Return the parts of a key; None when it is neither that of a label nor that of a picture."""
        match = _KEY.fullmatch(key)
        return cls(match[1], match[2], int(match[3]), match[4]) if match else None

    @property
    def is_label(self) -> bool:
        """Whether the object is a label, not a picture."""
        return self.suffix == "json"


def read_label(content: bytes, key: LabelKey) -> dict[str, Any]:
    """Return the content of a label, as in events/contracts/label.json, after it was compared with its key.

    Raises NotALabel.
    """
    try:
        label: dict[str, Any] = json.loads(content)
        _LABEL(label, "the label")
        photo = Photo.from_state(label["photo"])
        photo_id = photo.photo_id
    except (ValueError, RecursionError, InvalidInput) as error:
        raise NotALabel("the content is not as label.json describes it") from error
    if {photo_id, label["photo"]["photo_id"], label["photo_id"]} != {key.photo_id}:
        raise LabelOfAnotherPhoto("the content is about another photo than the key")
    if label["reviewer"] != key.reviewer:
        raise LabelOfAnotherReviewer("the content names another reviewer than the key")
    if label["driver_id"] != photo.driver_id:
        raise NotALabel("the driver is not that of the photo")
    if (
        label["vehicle"] not in NOT_LEARNT
        and label["picture"]
        and label["picture"].partition(".")[0] != str(key.number)
    ):
        raise NotALabel("the picture is that of another label")
    return label
