"""Classify a photo: the model decides, a review is needed, or the photo already has a decision."""

from dataclasses import dataclass
from typing import Any

from functions.classify_photo.endpoint import Answer, Endpoint
from functions.classify_photo.threshold import Threshold
from functions.shared.decisions import Decision, DecisionTable
from functions.shared.errors import UnreadablePhoto
from functions.shared.photo import Photo
from functions.shared.uploads import Uploads
from functions.shared.vehicles import OTHER

CONFIDENT = "confident"
UNSURE = "unsure"
DECIDED = "decided"

# The brands of HEIC (ISO/IEC 23008-12) and AVIF files; mif1 and msf1 are those of their common container.
_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis"}


@dataclass(frozen=True)
class Outcome:
    """The result for a photo: the model's answer and the threshold, or the decision that the photo already has."""

    photo: Photo
    answer: Answer | None = None
    threshold: float | None = None
    decision: Decision | None = None

    @property
    def reason(self) -> str | None:
        """Why a review is needed: `NotAVehicle`, `LowConfidence`, or None when it is not."""
        if self.answer is None or self.threshold is None:
            return None
        if self.answer.classification.vehicle == OTHER:
            return "NotAVehicle"
        return "LowConfidence" if self.answer.classification.confidence < self.threshold else None

    def as_state(self) -> dict[str, Any]:
        """Return the outcome as JSON; the workflow branches on its `outcome`."""
        return {
            "photo": self.photo.as_state(),
            "driver_id": self.photo.driver_id,
            "classification": self.answer.classification.as_state() if self.answer else None,
            "threshold": self.threshold,
            "outcome": DECIDED if self.decision else UNSURE if self.reason else CONFIDENT,
            "reason": self.reason,
            "decision": self.decision.as_state() if self.decision else None,
        }


def classify(
    photo: Photo, decisions: DecisionTable, uploads: Uploads, endpoint: Endpoint, threshold: Threshold
) -> Outcome:
    """Classify an identified photo, unless it has a decision already.

    Raises PhotoMissing, PhotoTooLarge, PhotoTooComplex, UnreadablePhoto, PhotoUnavailable; ModelUnavailable,
    ModelAnswerInvalid; InvalidThreshold, ThresholdUnavailable.
    """
    if recorded := decisions.get(photo.photo_id):
        return Outcome(recorded.decision.photo, decision=recorded.decision)
    photo, image = uploads.read(photo)
    check_format(photo, image)
    answer = endpoint.classify(image)
    return Outcome(photo, answer, threshold.resolve(answer.threshold))


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
