"""The evidence of a label: an answer counts only for a review that was requested, by the reviewer in its key.

S3 accepts an object at labels/{photo id}/{reviewer}/{n}.json only from this reviewer (policy of the ML bucket), so the
key is the identity. Everything in the content is compared with the key, with what S3 says about the object, and with
the record of the photo.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from functions.build_dataset.skipped import Reason
from functions.shared.label import (
    NOT_LEARNT,
    LabelKey,
    LabelOfAnotherPhoto,
    LabelOfAnotherReviewer,
    NotALabel,
    read_label,
)
from functions.shared.photo import Photo

# The console writes at most 1024 x 1024 pixels.
LARGEST_PICTURE_BYTES = 8 * 1024 * 1024
# The clock of a reviewer's computer may differ by this much: beyond it S3 refuses requests (RequestTimeTooSkewed).
CLOCK_SKEW = timedelta(minutes=15)

# Of an object in a general purpose bucket, whether it is the MD5 of the object or not (SSE-KMS, SSE-C), and with the
# number of its parts after a multipart upload. AWS documents the ETag as opaque: labels with another one do not count.
_ETAG = re.compile(r"[0-9a-f]{32}(-[1-9][0-9]{0,4})?")


class NoEvidence(Exception):
    """A label does not count."""

    def __init__(self, reason: Reason) -> None:
        """`reason` is why."""
        super().__init__(reason.value)
        self.reason = reason


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
            label = read_label(content, key)
        except LabelOfAnotherPhoto as error:
            raise NoEvidence(Reason.WRONG_PHOTO) from error
        except LabelOfAnotherReviewer as error:
            raise NoEvidence(Reason.WRONG_IDENTITY) from error
        except NotALabel as error:
            raise NoEvidence(Reason.MALFORMED) from error
        photo = Photo.from_state(label["photo"])
        if not _ETAG.fullmatch(photo.etag or ""):
            raise NoEvidence(Reason.MALFORMED)
        picture = None if label["vehicle"] in NOT_LEARNT else label["picture"]
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
