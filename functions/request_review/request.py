"""Request a review of a photo: one open request per photo, answered through a task token."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import BotoCoreError, ClientError

from functions.shared.errors import InvalidInput, PhotoDecided, ReviewNotSent, ReviewPending
from functions.shared.events import EventBus
from functions.shared.photo import Photo
from functions.shared.photo_table import PhotoTable, Refused
from functions.shared.shapes import (
    all_of,
    fraction,
    is_text,
    number,
    object_with,
    optional,
    read_execution,
    text,
    values,
)
from functions.shared.times import timestamp
from functions.shared.vehicles import OTHER

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

LONGEST_TIMEOUT_S = 365 * 24 * 3600  # of the longest execution

_PROBABILITIES = all_of(object_with({OTHER: fraction}), values(fraction))
_CLASSIFICATION = object_with(
    {"vehicle": text, "confidence": fraction, "model_version": text, "probabilities": _PROBABILITIES}
)

# Source: Amazon SQS API Reference, SendMessage, MessageBody. JSON has escaped the control characters already.
_REFUSED_BY_SQS = re.compile("[\ufffe\uffff\ud800-\udfff]")


@dataclass(frozen=True)
class ReviewRequest:
    """A request for a review.

    `classification` is the model's, None when it did not answer; `reason` is why a review is needed; `task_token`
    lets its holder answer the execution, and is never logged or stored; `timeout_s` is the workflow's timeout.
    """

    photo: Photo
    classification: Mapping[str, Any] | None
    threshold: float | None
    reason: str
    task_token: str = field(repr=False)
    execution: str
    requested_at: datetime
    timeout_s: float

    @classmethod
    def from_state(cls, photo: Photo, state: Mapping[str, Any], requested_at: datetime) -> "ReviewRequest":
        """Read the workflow's state. Raises InvalidInput."""
        token, reason, timeout_s = state.get("task_token"), state.get("reason"), state.get("timeout_s")
        if not is_text(token) or not token:
            raise InvalidInput("task_token is missing; pass $$.Task.Token")
        text(reason, "reason")
        number(0.001, LONGEST_TIMEOUT_S)(timeout_s, "timeout_s")
        optional(_CLASSIFICATION)(state.get("classification"), "classification")
        optional(fraction)(state.get("threshold"), "threshold")
        return cls(
            photo=photo,
            classification=state.get("classification"),
            threshold=state.get("threshold"),
            reason=str(reason),
            task_token=str(token),
            execution=read_execution(state),
            requested_at=requested_at,
            timeout_s=cast("float", timeout_s),
        )

    @property
    def expires_at(self) -> datetime:
        """When the execution times out."""
        return self.requested_at + timedelta(seconds=self.timeout_s)

    @property
    def token_hash(self) -> str:
        """SHA-256 of the task token, which identifies the token and cannot be used as one."""
        return hashlib.sha256(self.task_token.encode()).hexdigest()

    def as_event(self) -> dict[str, Any]:
        """Return the detail of `Review Requested`: the request without the task token."""
        classification = self.classification or {}
        return {
            "photo": self.photo.as_state(),
            "driver_id": self.photo.driver_id,
            "vehicle": classification.get("vehicle"),
            "confidence": classification.get("confidence"),
            "probabilities": classification.get("probabilities"),
            "model_version": classification.get("model_version"),
            "threshold": self.threshold,
            "reason": self.reason,
            "execution": self.execution,
            "requested_at": timestamp(self.requested_at),
            "expires_at": timestamp(self.expires_at),
        }

    def as_message(self) -> str:
        """Return the body of the message in the review queue: the request with the task token."""
        body = json.dumps({**self.as_event(), "task_token": self.task_token}, ensure_ascii=False)
        return _REFUSED_BY_SQS.sub(lambda match: f"\\u{ord(match[0]):04x}", body)


class ReviewQueue:
    """The SQS queue of review requests."""

    def __init__(self, url: str, sqs: "SQSClient") -> None:
        """`url` is the URL of the queue."""
        self._url = url
        self._sqs = sqs

    def send(self, request: ReviewRequest) -> None:
        """Send a request to the queue. Raises ReviewNotSent."""
        try:
            self._sqs.send_message(QueueUrl=self._url, MessageBody=request.as_message())
        except (ClientError, BotoCoreError) as error:
            raise ReviewNotSent(f"SQS did not accept the review request of {request.photo}: {error}") from error


def request_review(request: ReviewRequest, photos: PhotoTable, bus: EventBus, queue: ReviewQueue) -> bool:
    """Record a request, publish its event and send its message; return False when the message was sent before.

    Retries: an execution owns the request of a photo from its claim until the request expires. Each attempt of Step
    Functions has a new task token and invalidates the one before, so an attempt with a new token must send a message,
    and one with the same token must not. The message is sent last: when the claim or the event fails, there is no
    message. Two messages exist only when SQS accepted one and its response was lost; `token_hash` in the record is
    that of the valid one, and an answer to the other one only writes a label.

    Raises ReviewPending when another execution waits for an answer about the photo, PhotoDecided when the photo has an
    outcome; RecordUnavailable, EventNotPublished, ReviewNotSent.
    """
    photo_id = request.photo.photo_id
    try:
        before = photos.claim_review(
            request.photo, request.execution, request.requested_at, review=_recorded_review(request)
        )
    except Refused as refused:
        if refused.record.has_outcome:
            raise PhotoDecided(
                f"photo {photo_id} was {refused.record.status} by {refused.record.execution}"
            ) from refused
        raise ReviewPending(
            f"photo {photo_id} already has a review request of {refused.record.execution}; try again later"
        ) from refused
    if before and before.review_sent == request.token_hash:
        return False
    if before is None or before.review_announced_by != request.execution:
        bus.publish("Review Requested", request.as_event())
        photos.mark_review_announced(photo_id, request.execution)
    queue.send(request)
    photos.mark_review_sent(photo_id, request.token_hash)
    return True


def _recorded_review(request: ReviewRequest) -> dict[str, Any]:
    return {
        "reason": request.reason,
        "requested_at": timestamp(request.requested_at),
        "expires_at": timestamp(request.expires_at),
        "token_hash": request.token_hash,
    }
