"""What became of a photo, in words for the person who was asked about it."""

from dataclasses import dataclass
from datetime import datetime

from console.review_request import REASONS
from functions.shared.photo_record import BATCHED, CLASSIFIED, IN_REVIEW, REJECTED, ROUTED, PhotoRecord
from functions.shared.times import now

REASON_TEXTS = {
    "UnreadablePhoto": "The file cannot be read as a photo. The driver has to take another one.",
    "PhotoTooLarge": "The file or the photo is larger than the limit. The driver's app has to send a smaller one.",
    "PhotoTooComplex": "The file takes too long to decode. The driver has to take another one.",
    "PhotoMissing": "The photo was deleted before it was read. The driver has to upload it again.",
    "UnusablePhoto": "A reviewer found that nobody can tell the vehicle. The driver has to take another one.",
    "TooManyPhotos": "The driver sent more photos within a minute than are allowed, and can send it again later.",
    **{name: REASONS[name] for name in ("LowConfidence", "NotAVehicle", "ModelUnavailable", "ModelAnswerInvalid")},
    **{name: REASONS[name] for name in ("ModelBusy", "PhotoUnavailable", "RecordUnavailable")},
}
"""The reasons of rejections and of reviews, each as a sentence."""


@dataclass(frozen=True)
class Story:
    """What became of a photo: the first words, why, and what to do, empty when there is nothing."""

    title: str
    why: str
    action: str = ""
    link: str = ""
    link_text: str = ""


def story(record: PhotoRecord) -> Story:
    """Return what became of a photo and why."""
    if record.status == REJECTED and record.outcome:
        rejected = record.outcome["rejected"]
        reason = str(rejected["reason"])
        return Story(f"No bay: rejected as {reason}", REASON_TEXTS.get(reason, str(rejected["message"])))
    if record.status == ROUTED and record.outcome:
        return _routed(record)
    if record.status == IN_REVIEW and record.review:
        return _waiting(record)
    if record.status == CLASSIFIED:
        why = "The model has classified it, and its execution has not decided yet."
        return Story("No bay yet", why, "If that lasts longer than some minutes, run `make reconcile`.")
    if record.status == BATCHED:
        return Story("No bay: of a batch", "The model was not sure. No driver waits: an answer is a label.")
    error = record.error or {}
    return Story(
        f"No bay: the execution failed with {error.get('Error', 'an unknown error')}",
        str(error.get("Cause", "")),
        "Its message is among the failed requests: replay it there.",
        "/dead-letters",
        "Failed requests",
    )


def _routed(record: PhotoRecord) -> Story:
    outcome, review = record.outcome or {}, record.review or {}
    title = f"Sent to {outcome.get('loading_bay')}"
    reason = REASON_TEXTS.get(str(review.get("reason")), "")
    asked = f"A review was requested because: {reason[0].lower()}{reason[1:]}" if reason else ""
    if outcome.get("decided_by") == "fallback":
        return Story(title, f"No bay for a vehicle: nobody answered the review in time. {asked}".strip())
    if outcome.get("decided_by") == "reviewer":
        return Story(title, f"A reviewer answered {outcome.get('vehicle')}. {asked}".strip())
    confidence, threshold = outcome.get("confidence"), record.threshold
    certain = f" with confidence {confidence:.3f}" if confidence is not None else ""
    limit = f", at or above the threshold {threshold:.3f}" if threshold is not None and certain else ""
    return Story(title, f"The model saw {outcome.get('vehicle')}{certain}{limit}.")


def _waiting(record: PhotoRecord) -> Story:
    review = record.review or {}
    why = REASON_TEXTS.get(str(review["reason"]), str(review["reason"]))
    if datetime.fromisoformat(review["expires_at"]) <= now():
        return Story("No bay yet: nobody answered in time", why, "The help desk is its bay within a minute.")
    title = "No bay yet: waits for a reviewer"
    return Story(title, why, "Its request is in the review queue.", f"/?photo={record.photo.photo_id}", "Answer now")
