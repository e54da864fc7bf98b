"""Conditions on the record of a photo, on which the transitions of the photo table depend."""

from datetime import datetime

from boto3.dynamodb.conditions import Attr, ConditionBase

from functions.shared.photo import Photo
from functions.shared.photo_record import BATCHED, CLASSIFIED, IN_REVIEW, REJECTED, UNROUTED
from functions.shared.times import timestamp

# A photo of a batch may be passed to classify-photo later, for the first time.
UNSEEN = Attr("photo_id").not_exists() | Attr("status").eq(BATCHED)
OPEN = Attr("status").is_in([CLASSIFIED, UNROUTED])
IS_UNROUTED = Attr("status").eq(UNROUTED)
IS_IN_REVIEW = Attr("status").eq(IN_REVIEW)
_REASON = Attr("outcome.rejected.reason")
IS_MISSING = Attr("status").eq(REJECTED) & _REASON.eq("PhotoMissing")
IS_TOO_MANY = Attr("status").eq(REJECTED) & _REASON.eq("TooManyPhotos")


def upload_attribute(photo: Photo) -> dict[str, str | None]:
    """Return the attribute `upload`, which is empty when the time of the upload is unknown."""
    if photo.uploaded_at is None:
        return {}
    return {"uploaded_at": timestamp(datetime.fromisoformat(photo.uploaded_at)), "sequencer": photo.sequencer}


def is_uploaded_again(photo: Photo, execution: str) -> ConditionBase:
    """Whether the same bytes were uploaded again under the same key after a rejection that allows it.

    For a photo that was missing: `execution` did not see it before. For one of too many: the upload is not older than
    the time from which on it is accepted; a second event of the rejected upload is older.
    """
    again = IS_MISSING & ~Attr("classified_by").eq(execution) & ~Attr("review.execution").eq(execution)
    if not (upload := upload_attribute(photo)):
        return again
    return again | (IS_TOO_MANY & Attr("outcome.rejected.retry_at").lte(upload["uploaded_at"]))


def is_own_review(execution: str, at: datetime) -> ConditionBase:
    """Whether `execution` owns the review request, or nobody does because it has expired."""
    return IS_IN_REVIEW & (Attr("execution").eq(execution) | Attr("review.expires_at").lte(timestamp(at)))
