"""Classify a photo with the model, and compare the answer with the threshold: the same for one photo and for many."""

from dataclasses import dataclass

from functions.shared.endpoint import Answer, Endpoint
from functions.shared.errors import FolderMarker, UnreadablePhoto
from functions.shared.photo import Photo
from functions.shared.threshold import Threshold
from functions.shared.uploads import Uploads
from functions.shared.vehicles import OTHER

NOT_A_VEHICLE = "NotAVehicle"
LOW_CONFIDENCE = "LowConfidence"

# The brands of HEIC (ISO/IEC 23008-12) and AVIF files; mif1 and msf1 are those of their common container.
_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis"}


@dataclass(frozen=True)
class Assessment:
    """The model's answer about a photo, as it is in S3. `reason` is why the model is unsure, None when it is not."""

    photo: Photo
    answer: Answer
    threshold: float
    reason: str | None


@dataclass(frozen=True)
class Assessor:
    """Reads photos, classifies them, and tells whether the model is sure."""

    uploads: Uploads
    endpoint: Endpoint
    threshold: Threshold

    def assess(self, photo: Photo) -> Assessment:
        """Classify a photo.

        Raises PhotoMissing, PhotoTooLarge, PhotoTooComplex, UnreadablePhoto, PhotoUnavailable, FolderMarker;
        ModelUnavailable, ModelBusy, ModelAnswerInvalid; InvalidThreshold, ThresholdUnavailable.
        """
        photo, image = self.uploads.read(photo)
        if not image and photo.key.endswith("/"):
            raise FolderMarker(f"{photo} is empty and ends in a slash, as a folder does in S3 tools")
        check_format(photo, image)
        answer = self.endpoint.classify(image)
        threshold = self.threshold.resolve(answer.threshold)
        return Assessment(photo, answer, threshold, review_reason(answer, threshold))


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
