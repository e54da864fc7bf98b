"""The evidence of a label: an answer counts only for a review that was requested, by the reviewer in its key.

S3 accepts an object at labels/{photo id}/{reviewer}/{n}.json only from this reviewer (policy of the ML bucket), so the
key is the identity. Everything in the content is compared with the key, with what S3 says about the object, and with
the record of the photo.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from functions.build_dataset.skipped import Reason
from functions.shared.errors import InvalidInput
from functions.shared.photo import Photo
from functions.shared.shapes import (
    all_of,
    any_text,
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

UNUSABLE = "unusable"
LARGEST_LABEL_BYTES = 64 * 1024
# The console writes at most 1024 x 1024 pixels.
LARGEST_PICTURE_BYTES = 8 * 1024 * 1024
# The clock of a reviewer's computer may differ by this much: beyond it S3 refuses requests (RequestTimeTooSkewed).
CLOCK_SKEW = timedelta(minutes=15)

# A segment of dots would be removed from the path of a request.
_KEY = re.compile(r"labels/([0-9a-f]{32})/([A-Za-z0-9][A-Za-z0-9_+=,.@:-]{1,192})/([1-9][0-9]{0,8})\.(json|jpg|png)")

# Of an object in a general purpose bucket, whether it is the MD5 of the object or not (SSE-KMS, SSE-C), and with the
# number of its parts after a multipart upload. AWS documents the ETag as opaque: labels with another one do not count.
_ETAG = re.compile(r"[0-9a-f]{32}(-[1-9][0-9]{0,4})?")

_UTC = all_of(matching(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"), time)
_PHOTO_ID = matching("[0-9a-f]{32}")
_LABEL = object_with(
    {
        "photo": object_with(
            {"bucket": text, "key": text, "etag": any_text, "size": optional(count), "photo_id": _PHOTO_ID}, closed=True
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
        "picture": optional(matching(r"[1-9][0-9]*\.(jpg|png)")),
    },
    closed=True,
)


class NoEvidence(Exception):
    """A label does not count."""

    def __init__(self, reason: Reason) -> None:
        """`reason` is why."""
        super().__init__(reason.value)
        self.reason = reason


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


@dataclass(frozen=True)
class Answer:
    """What a label contains, after its content was compared with its key."""

    photo: Photo
    vehicle: str
    answered_at: datetime
    token_hash: str
    picture: str | None

    @classmethod
    def read(cls, content: bytes, key: LabelKey) -> "Answer":
        """Read a label. Raises NoEvidence when the content is malformed, or about another photo or reviewer."""
        try:
            label = json.loads(content)
            _LABEL(label, "the label")
            photo = Photo.from_state(label["photo"])
        except (ValueError, RecursionError, InvalidInput) as error:
            raise NoEvidence(Reason.MALFORMED) from error
        if not photo.etag:
            # The photo did not exist any more, so nobody saw it.
            raise NoEvidence(Reason.NO_PICTURE)
        if {photo.photo_id, label["photo"]["photo_id"], label["photo_id"]} != {key.photo_id}:
            raise NoEvidence(Reason.WRONG_PHOTO)
        if label["reviewer"] != key.reviewer:
            raise NoEvidence(Reason.WRONG_IDENTITY)
        if label["driver_id"] != photo.driver_id or not _ETAG.fullmatch(photo.etag):
            raise NoEvidence(Reason.MALFORMED)
        picture = None if label["vehicle"] == UNUSABLE else label["picture"]
        if picture is not None and picture.partition(".")[0] != str(key.number):
            raise NoEvidence(Reason.MALFORMED)
        answered_at = datetime.fromisoformat(label["answered_at"])
        return cls(photo, label["vehicle"], answered_at, label["token_hash"], picture)

    def check_request(self, record: Mapping[str, Any], written_at: datetime) -> None:
        """Raise NoEvidence unless the record has the request that was answered, and the times fit.

        `written_at` is when S3 stored the label.
        """
        requested = {
            request["token_hash"]: datetime.fromisoformat(request["requested_at"])
            for request in record.get("review_requests", ())
        }
        if self.token_hash not in requested:
            raise NoEvidence(Reason.NO_SUCH_REQUEST)
        if not requested[self.token_hash] - CLOCK_SKEW <= self.answered_at <= written_at + CLOCK_SKEW:
            raise NoEvidence(Reason.WRONG_TIME)
