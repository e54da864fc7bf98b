"""A request to a reviewer, parsed from a message of the review queue or of the audit queue and validated."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from functions.shared.audit import AUDITED, BLIND, REVIEW_TIMED_OUT, SECOND, UNSURE_IN_BATCH
from functions.shared.errors import InvalidInput
from functions.shared.photo import Photo
from functions.shared.photo_record import PhotoRecord
from functions.shared.shapes import is_text, matching, time

REASONS = {
    "LowConfidence": "The confidence is below the threshold.",
    "NotAVehicle": "The model found none of our vehicles.",
    "ModelUnavailable": "The model could not be reached.",
    "ModelAnswerInvalid": "The model's answer was invalid.",
    "ModelBusy": "The model was busy with other photos that take long to decode.",
    "PhotoUnavailable": "The photo could not be read from S3.",
    "RecordUnavailable": "The classification could not be recorded.",
    "EventNotPublished": "The decision could not be announced.",
    "AnnouncementPending": "The decision could not be announced.",
    "ThresholdUnavailable": "The threshold could not be read.",
    "InvalidThreshold": "The threshold is not set correctly.",
    AUDITED: "Audit: the model has decided. What do you see?",
    SECOND: "Second opinion: another reviewer has answered. What do you see?",
    REVIEW_TIMED_OUT: "Nobody answered in time. The label is for training.",
    UNSURE_IN_BATCH: "The model was not sure in a batch. The label is for training.",
}

_REASON = matching("|".join((AUDITED, SECOND, REVIEW_TIMED_OUT, UNSURE_IN_BATCH)))
_TOKEN_HASH = matching("[0-9a-f]{64}")


class MalformedRequest(ValueError):
    """The message is not a review request of this stage. The text gives the reason, and never the task token."""


@dataclass(frozen=True)
class RequestId:
    """Identifies a request: the photo, `token_hash` as in ReviewRequest, and when the request was made."""

    photo_id: str
    token_hash: str
    requested_at: datetime


@dataclass(frozen=True)
class ReviewRequest:
    """A request to classify a photo.

    `vehicle`, `confidence` and `probabilities` are the prediction of the model, None without one. `threshold`,
    `confidence` and the probabilities are in [0, 1]. Anyone with the `task_token` can answer the execution, so it is
    never shown, logged or stored; it is None when no driver waits, and so is `expires_at`. `token_hash` identifies the
    request: in hexadecimal, the SHA-256 of the task token, or the id of a request without one. `body` is the message
    body, to send it again.
    """

    photo: Photo
    driver_id: str
    vehicle: str | None
    confidence: float | None
    probabilities: Mapping[str, float] | None
    model_version: str | None
    threshold: float | None
    reason: str
    execution: str
    requested_at: datetime
    expires_at: datetime | None
    token_hash: str
    task_token: str | None = field(repr=False)
    body: str = field(repr=False)

    @property
    def id(self) -> RequestId:
        """What identifies the request."""
        return RequestId(self.photo.photo_id, self.token_hash, self.requested_at)

    @property
    def explanation(self) -> str:
        """The reason of the request as a sentence."""
        return REASONS.get(self.reason, self.reason)

    @property
    def file_name(self) -> str:
        """The last segment of the photo's key, which is the name of the driver's file."""
        return self.photo.key.rsplit("/", 1)[-1]

    @property
    def is_blind(self) -> bool:
        """Whether the reviewer must not see what the model or another reviewer answered."""
        return self.reason in BLIND

    @property
    def is_without_driver(self) -> bool:
        """Whether the request is of the audit queue: no driver waits for the answer, which is a label."""
        return self.task_token is None

    def expired(self, now: datetime) -> bool:
        """Whether no execution waits for an answer."""
        return self.expires_at is None or now >= self.expires_at

    def with_prediction(self, record: PhotoRecord) -> "ReviewRequest":
        """Return the request with the prediction in the record of its photo, which a label keeps beside the answer."""
        found = record.classification or {}
        return replace(
            self,
            vehicle=found.get("vehicle"),
            confidence=found.get("confidence"),
            probabilities=found.get("probabilities"),
            model_version=found.get("model_version"),
            threshold=record.threshold,
            execution=record.execution,
        )


def parse_review_request(body: str, *, bucket: str, sent_at: datetime) -> ReviewRequest:
    """Parse a message of the review queue. `bucket` is the uploads bucket, `sent_at` the message's SentTimestamp.

    Raises MalformedRequest for anything but a review request about a photo in that bucket.
    """
    state, photo = _read_message(body, bucket)
    token = _text(state, "task_token") or ""
    return ReviewRequest(
        photo=photo,
        driver_id=photo.driver_id,
        vehicle=_text(state, "vehicle", optional=True),
        confidence=_unit_number(state, "confidence"),
        probabilities=_probabilities(state.get("probabilities")),
        model_version=_text(state, "model_version", optional=True),
        threshold=_unit_number(state, "threshold"),
        reason=_text(state, "reason") or "",
        execution=_text(state, "execution") or "",
        requested_at=_time(state, "requested_at") if state.get("requested_at") else sent_at,
        expires_at=_time(state, "expires_at"),
        token_hash=hashlib.sha256(token.encode()).hexdigest(),
        task_token=token,
        body=body,
    )


def parse_label_request(body: str, *, bucket: str) -> ReviewRequest:
    """Parse a message of the audit queue. It has no prediction: see `ReviewRequest.with_prediction`.

    Raises MalformedRequest for anything but a request for a label of a photo in the uploads bucket `bucket`.
    """
    state, photo = _read_message(body, bucket)
    for name, shape in (("reason", _REASON), ("token_hash", _TOKEN_HASH)):
        try:
            shape(state.get(name), name)
        except InvalidInput as error:
            raise MalformedRequest(str(error)) from error
    return ReviewRequest(
        photo=photo,
        driver_id=photo.driver_id,
        vehicle=None,
        confidence=None,
        probabilities=None,
        model_version=None,
        threshold=None,
        reason=state["reason"],
        execution="",
        requested_at=_time(state, "requested_at"),
        expires_at=None,
        token_hash=state["token_hash"],
        task_token=None,
        body=body,
    )


def _read_message(body: str, bucket: str) -> tuple[dict[str, Any], Photo]:
    """Return a message and the photo that it is about. Raises MalformedRequest."""
    try:
        state = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MalformedRequest("the body is not JSON") from error
    if not isinstance(state, dict):
        raise MalformedRequest("the body is not a JSON object")
    try:
        photo = Photo.from_state(state.get("photo"))
        photo_id = photo.photo_id
    except InvalidInput as error:
        raise MalformedRequest(str(error)) from error
    if photo.bucket != bucket:
        raise MalformedRequest(f"the photo is in bucket {photo.bucket!r}, which is not this stage's")
    if state["photo"].get("photo_id", photo_id) != photo_id:
        raise MalformedRequest("photo_id does not belong to bucket, key and etag")
    return state, photo


def _text(state: Mapping[str, Any], name: str, *, optional: bool = False) -> str | None:
    value = state.get(name)
    if value is None and optional:
        return None
    if not isinstance(value, str) or not is_text(value) or not value.strip():
        raise MalformedRequest(f"{name} is missing or not text")
    return value


def _unit_number(state: Mapping[str, Any], name: str) -> float | None:
    value = state.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or not 0 <= value <= 1:
        raise MalformedRequest(f"{name} is not a number from 0 to 1")
    return float(value)


def _probabilities(value: Any) -> Mapping[str, float] | None:
    if value is None:
        return None
    if not isinstance(value, dict) or not value:
        raise MalformedRequest("probabilities is not an object of numbers")
    return {str(name): _unit_number(value, name) or 0.0 for name in value}


def _time(state: Mapping[str, Any], name: str) -> datetime:
    try:
        time(state.get(name), name)
    except InvalidInput as error:
        raise MalformedRequest(f"{name} is not an ISO 8601 time with an offset") from error
    return datetime.fromisoformat(state[name])
