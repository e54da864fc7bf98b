"""Classify a photo: the model decides, a review is needed, or the photo already has a decision."""

from dataclasses import dataclass, replace
from typing import Any

from functions.classify_photo.endpoint import Answer, Endpoint
from functions.classify_photo.threshold import Threshold
from functions.shared.errors import FolderMarker, UnreadablePhoto
from functions.shared.photo import Photo
from functions.shared.photo_table import PhotoTable, Refused
from functions.shared.times import now
from functions.shared.uploads import Uploads
from functions.shared.vehicles import OTHER

CONFIDENT = "confident"
UNSURE = "unsure"
DECIDED = "decided"

NOT_A_VEHICLE = "NotAVehicle"
LOW_CONFIDENCE = "LowConfidence"

# The brands of HEIC (ISO/IEC 23008-12) and AVIF files; mif1 and msf1 are those of their common container.
_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis"}


@dataclass(frozen=True)
class Outcome:
    """The result for a photo: the model's answer and the threshold; `decided` when the photo has an outcome already.

    `reason` is why a review is needed, None when it is not.
    """

    photo: Photo
    answer: Answer
    threshold: float
    reason: str | None
    decided: bool = False

    def as_state(self) -> dict[str, Any]:
        """Return the outcome as JSON; the workflow branches on its `outcome`."""
        return {
            "photo": self.photo.as_state(),
            "driver_id": self.photo.driver_id,
            "classification": self.answer.classification.as_state(),
            "threshold": self.threshold,
            "outcome": DECIDED if self.decided else UNSURE if self.reason else CONFIDENT,
            "reason": self.reason,
        }


def classify(
    photo: Photo,
    execution: str,
    photos: PhotoTable,
    uploads: Uploads,
    endpoint: Endpoint,
    threshold: Threshold,
) -> Outcome:
    """Classify a photo and record the classification, unless it has an outcome or a review of another execution.

    The record is not read before: an event is delivered twice so rarely that a second classification costs less than
    a read for every photo.

    Raises PhotoMissing, PhotoTooLarge, PhotoTooComplex, UnreadablePhoto, PhotoUnavailable, FolderMarker;
    ModelUnavailable, ModelAnswerInvalid; InvalidThreshold, ThresholdUnavailable; RecordUnavailable.
    """
    photo, image = uploads.read(photo)
    if not image and photo.key.endswith("/"):
        raise FolderMarker(f"{photo} is empty and ends in a slash, as a folder does in S3 tools")
    check_format(photo, image)
    answer = endpoint.classify(image)
    limit = threshold.resolve(answer.threshold)
    outcome = Outcome(photo, answer, limit, review_reason(answer, limit))
    try:
        photos.classify(photo, execution, now(), classification=answer.classification.as_state(), threshold=limit)
    except Refused as refused:
        if refused.record.has_outcome:
            return replace(outcome, decided=True)
        # A photo in review stays there, also when a newer model is confident.
        review = refused.record.review or {}
        return replace(outcome, reason=review.get("reason", LOW_CONFIDENCE))
    return outcome


def review_reason(answer: Answer, threshold: float) -> str | None:
    """Return why a review is needed: NOT_A_VEHICLE, LOW_CONFIDENCE, or None when it is not."""
    if answer.classification.vehicle == OTHER:
        return NOT_A_VEHICLE
    return LOW_CONFIDENCE if answer.classification.confidence < threshold else None


def check_format(photo: Photo, image: bytes) -> None:
    """Raise UnreadablePhoto unless the content begins as a JPEG, PNG, WebP, HEIC or AVIF file does.

    The endpoint checks the rest when it decodes the photo.
    """
    if not image:
        raise UnreadablePhoto(f"{photo} is empty")
    jpeg = image.startswith(b"\xff\xd8\xff")
    png = image.startswith(b"\x89PNG\r\n\x1a\n")
    webp = image.startswith(b"RIFF") and image[8:12] == b"WEBP"
    heic_or_avif = image[4:8] == b"ftyp" and image[8:12] in _BRANDS
    if not (jpeg or png or webp or heic_or_avif):
        raise UnreadablePhoto(f"{photo} is not a JPEG, PNG, WebP, HEIC or AVIF file; its suffix is not checked")
