"""A review request: what a message of the review queue says, checked before anyone is shown anything of it."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from functions.shared.errors import InvalidInput
from functions.shared.photo import Photo

REASONS = {
    "LowConfidence": "The model was not sure enough.",
    "NotAVehicle": "The model saw none of our vehicles.",
    "ModelUnavailable": "The model could not be reached.",
    "ModelAnswerInvalid": "The model's answer made no sense.",
}


class MalformedRequest(ValueError):
    """A message that is no review request of this stage. Its text says what is wrong, and holds no task token."""


@dataclass(frozen=True)
class Request:
    """What a person is asked. `vehicle`, `confidence` and `probabilities` are the model's, None when it gave no answer.

    `task_token` lets whoever holds it answer for the execution: it is never shown, logged or stored. `body` is the
    whole message, for sending it again.
    """

    photo: Photo
    driver_id: str
    vehicle: str | None
    confidence: float | None
    probabilities: Mapping[str, float] | None
    model_version: str | None
    threshold: float | None
    reason: str
    execution: str | None
    requested_at: datetime
    expires_at: datetime
    task_token: str = field(repr=False)
    body: str = field(repr=False)

    @property
    def token_hash(self) -> str:
        """SHA-256 of the task token: names the token without being one."""
        return hashlib.sha256(self.task_token.encode()).hexdigest()

    @property
    def why(self) -> str:
        """Why a person is asked, in words."""
        return REASONS.get(self.reason, self.reason)

    @property
    def file_name(self) -> str:
        """The last segment of the photo's key, as its driver named it."""
        return self.photo.key.rsplit("/", 1)[-1]

    def expired(self, now: datetime) -> bool:
        """Whether the execution has stopped waiting: an answer is a label only."""
        return now >= self.expires_at


def read(body: str, *, bucket: str, sent_at: datetime) -> Request:
    """Read a message's body. `bucket` is the stage's; `sent_at` is when SQS took the message.

    Raises MalformedRequest for anything that is not a review request about a photo in that bucket.
    """
    try:
        state = json.loads(body)
    except ValueError as error:
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
    return Request(
        photo=photo,
        driver_id=photo.driver_id,
        vehicle=_text(state, "vehicle", optional=True),
        confidence=_share(state, "confidence"),
        probabilities=_shares(state.get("probabilities")),
        model_version=_text(state, "model_version", optional=True),
        threshold=_share(state, "threshold"),
        reason=_text(state, "reason") or "",
        execution=_text(state, "execution", optional=True),
        requested_at=_time(state, "requested_at") if state.get("requested_at") else sent_at,
        expires_at=_time(state, "expires_at"),
        task_token=_text(state, "task_token") or "",
        body=body,
    )


def redacted(body: str, length: int = 2000) -> str:
    """A body as it may be shown to an operator: without the value of a task token, and not endless."""
    try:
        state = json.loads(body)
    except ValueError:
        # Half a JSON document may still hold a whole token.
        return body[:length].split("task_token")[0]
    if isinstance(state, dict) and "task_token" in state:
        state["task_token"] = "(not shown)"  # noqa: S105  # a placeholder for people
    return json.dumps(state, ensure_ascii=False, indent=2)[:length]


def _text(state: Mapping[str, Any], name: str, *, optional: bool = False) -> str | None:
    value = state.get(name)
    if value is None and optional:
        return None
    if not isinstance(value, str) or not value:
        raise MalformedRequest(f"{name} is missing or not text")
    return value


def _share(state: Mapping[str, Any], name: str) -> float | None:
    value = state.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or not 0 <= value <= 1:
        raise MalformedRequest(f"{name} is not a number from 0 to 1")
    return float(value)


def _shares(value: Any) -> Mapping[str, float] | None:
    if value is None:
        return None
    if not isinstance(value, dict) or not value:
        raise MalformedRequest("probabilities is not an object of numbers")
    return {str(name): _share(value, name) or 0.0 for name in value}


def _time(state: Mapping[str, Any], name: str) -> datetime:
    try:
        at = datetime.fromisoformat(str(state.get(name)))
    except ValueError as error:
        raise MalformedRequest(f"{name} is not a point in time") from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)
