"""Labels as the console writes them: the record with its review request, the picture, then the label."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from functions.shared.decision import REVIEWER, Decision
from functions.shared.photo import Photo
from functions.shared.photo_record import ROUTED, PhotoRecord
from functions.shared.photo_table import PhotoTable
from functions.shared.times import timestamp
from functions.shared.vehicles import load_vehicles

EXECUTION = "arn:aws:states:eu-west-1:123456789012:execution:scones-test-classify-photo:planted"
PICTURE = b"\x89PNG\r\n\x1a\n a picture that nobody decodes"


def photo_of(content: bytes, key: str, bucket: str = "uploads") -> Photo:
    """Return the photo that an upload of `content` is; nothing is uploaded, because labels do not need the upload."""
    return Photo(bucket, key, hashlib.md5(content, usedforsecurity=False).hexdigest(), len(content))


def token_hash(photo: Photo) -> str:
    """Return the hash of the task token of the review request of a planted photo."""
    return hashlib.sha256(f"token of {photo.photo_id}".encode()).hexdigest()


def request_review(photos: PhotoTable, photo: Photo, at: datetime) -> PhotoRecord:
    """Record that a review of the photo was requested at `at`, unless it was, and that its driver was routed."""
    if found := photos.get(photo.photo_id):
        return found
    times = {"requested_at": timestamp(at), "expires_at": timestamp(at + timedelta(minutes=15))}
    review = {"reason": "LowConfidence", **times, "token_hash": token_hash(photo)}
    photos.claim_review(photo, EXECUTION, at, review=review)
    bay = load_vehicles().help_desk
    decision = Decision(photo, None, None, REVIEWER, bay, None, EXECUTION, timestamp(at))
    photos.record_outcome(photo, ROUTED, EXECUTION, at, outcome=decision.as_state())
    record = photos.get(photo.photo_id)
    assert record is not None
    photos.mark_announced(record, at)
    return record


@dataclass(frozen=True)
class PlantedLabel:
    """A label, before it is put: its reviewer, the number of their answer, its content and the picture beside it."""

    reviewer: str
    number: int
    content: Mapping[str, Any]
    picture: bytes | None

    @property
    def folder(self) -> str:
        """The folder of the label and its picture."""
        return f"labels/{self.content['photo_id']}/{self.reviewer}"

    @property
    def key(self) -> str:
        """The key of the label."""
        return f"{self.folder}/{self.number}.json"

    def put(self, s3: Any, bucket: str) -> str:
        """Put the picture and then the label, each once; return the key of the label."""
        if self.picture is not None:
            s3.put_object(Bucket=bucket, Key=f"{self.folder}/{self.number}.png", Body=self.picture, IfNoneMatch="*")
        body = json.dumps(self.content, ensure_ascii=False).encode()
        s3.put_object(Bucket=bucket, Key=self.key, Body=body, IfNoneMatch="*")
        return self.key

    def with_content(self, **changed: Any) -> "PlantedLabel":
        """Return the label with other values in its content, under the same key."""
        return replace(self, content={**self.content, **changed})


def label_of(
    record: PhotoRecord,
    vehicle: str,
    reviewer: str,
    *,
    number: int = 1,
    answered_at: datetime | None = None,
    picture: bytes = PICTURE,
) -> PlantedLabel:
    """Return a reviewer's answer to the review request in a record, by default 5 seconds after it."""
    (request,) = record.review_requests
    requested_at = datetime.fromisoformat(request["requested_at"])
    answered_at = answered_at or requested_at + timedelta(seconds=5)
    usable = vehicle not in ("unusable", "ambiguous")
    content = {
        "photo": record.photo.as_state(),
        "photo_id": record.photo.photo_id,
        "driver_id": record.photo.driver_id,
        "vehicle": vehicle,
        "reviewer": reviewer,
        "reviewer_name": "Ann",
        "answered_at": timestamp(answered_at),
        "seconds": max(0.0, (answered_at - requested_at).total_seconds()),
        "reason": "LowConfidence",
        "model_vehicle": "bicycle",
        "confidence": 0.6,
        "probabilities": {"bicycle": 0.6, "motorcycle": 0.3, "other": 0.1},
        "model_version": "vehicles-test-1",
        "threshold": 0.9,
        "agrees": vehicle == "bicycle",
        "execution": EXECUTION,
        "requested_at": request["requested_at"],
        "token_hash": request["token_hash"],
        "answer_id": f"{reviewer}-{number}",
        "blind": False,
        "picture": f"{number}.png" if usable else None,
    }
    return PlantedLabel(reviewer, number, content, picture if usable else None)


def plant_label(
    clients: Mapping[str, Any],
    bucket: str,
    photos: PhotoTable,
    photo: Photo,
    vehicle: str,
    *,
    reviewer: str | None = None,
    number: int = 1,
    at: datetime | None = None,
    picture: bytes = PICTURE,
) -> str:
    """Write the record of a photo with its review request, the picture and the label; return the key of the label.

    `clients` has `s3`, and `sts` when `reviewer` is None: it is then the caller, the only one whose labels the policy
    of the ML bucket accepts. `at` is when the review was requested, by default a minute ago.
    """
    reviewer = reviewer or str(clients["sts"].get_caller_identity()["UserId"])
    record = request_review(photos, photo, at or datetime.now(UTC) - timedelta(minutes=1))
    answered_at = at and at + timedelta(seconds=5)
    label = label_of(record, vehicle, reviewer, number=number, answered_at=answered_at, picture=picture)
    return label.put(clients["s3"], bucket)
