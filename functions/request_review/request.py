"""Asking a person about a photo: one live request per photo, answered through a task token."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from functions.shared.aws import Client
from functions.shared.decisions import DecisionTable
from functions.shared.errors import InvalidInput, ReviewPending
from functions.shared.events import EventBus
from functions.shared.photo import Photo
from functions.shared.photo_table import PhotoTable
from functions.shared.times import purge_at, timestamp


@dataclass(frozen=True)
class ReviewRequest:
    """What a person is asked, by which execution, and until when.

    `classification` is the model's, None when it gave no answer; `reason` is why a person is asked;
    `task_token` lets whoever holds it answer for the execution, and is never logged or stored.
    """

    photo: Photo
    classification: Mapping[str, Any] | None
    threshold: float | None
    reason: str
    task_token: str
    execution: str
    requested_at: datetime
    timeout_s: float

    @classmethod
    def from_state(cls, photo: Photo, state: Mapping[str, Any], requested_at: datetime) -> "ReviewRequest":
        """Read the workflow's state. Raises InvalidInput when the token, the reason or the time limit is missing."""
        token, reason, timeout_s = state.get("task_token"), state.get("reason"), state.get("timeout_s")
        if not isinstance(token, str) or not token:
            raise InvalidInput("task_token is missing; pass $$.Task.Token")
        if not isinstance(reason, str) or not reason:
            raise InvalidInput(f"reason is {reason!r}; say why a person should look")
        if isinstance(timeout_s, bool) or not isinstance(timeout_s, int | float) or timeout_s <= 0:
            raise InvalidInput(f"timeout_s is {timeout_s!r}; pass the state's time limit in seconds")
        return cls(
            photo=photo,
            classification=state.get("classification"),
            threshold=state.get("threshold"),
            reason=reason,
            task_token=token,
            execution=str(state.get("execution")),
            requested_at=requested_at,
            timeout_s=timeout_s,
        )

    @property
    def expires_at(self) -> datetime:
        """When the execution stops waiting."""
        return self.requested_at + timedelta(seconds=self.timeout_s)

    @property
    def token_hash(self) -> str:
        """SHA-256 of the task token: names the token without being one."""
        return hashlib.sha256(self.task_token.encode()).hexdigest()

    def as_event(self) -> dict[str, Any]:
        """The request as everyone may see it: without the task token."""
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
        """The body of the message in the review queue."""
        return json.dumps({**self.as_event(), "task_token": self.task_token}, ensure_ascii=False)


class ReviewQueue:
    """Where reviewers take requests from."""

    def __init__(self, url: str, sqs: Client) -> None:
        self._url = url
        self._sqs = sqs

    def send(self, request: ReviewRequest) -> None:
        """Put a request at the end of the queue."""
        self._sqs.send_message(QueueUrl=self._url, MessageBody=request.as_message())


def request_review(
    request: ReviewRequest, photos: PhotoTable, decisions: DecisionTable, bus: EventBus, queue: ReviewQueue
) -> bool:
    """Put a request before the reviewers; False when this very request is in the queue already.

    The rule for retries. An execution owns a photo's request from its claim in the photo table until the
    request expires. Each attempt that Step Functions makes brings a new task token and voids the one before,
    so an attempt with a new token must send a message, and an attempt with the same token must not. Sending is
    the last step that can fail visibly: the claim and the event, which an earlier attempt of the same execution
    may have done, come first, and a failure in them leaves no message behind. Two messages remain possible only
    when SQS took one and its answer was lost; the void one is recognised by `token_hash` in the photo table,
    which names the latest token, and answering it changes nothing but the label.

    Raises ReviewPending when another execution waits for an answer about the photo, or when the photo has been
    decided since it was classified; EventNotPublished.
    """
    photo_id = request.photo.photo_id
    before = photos.claim_review(photo_id, _entry(request), now=timestamp(request.requested_at))
    # After the claim, not before: an execution that decides removes its claim last, so one of the two is visible.
    if decisions.get(photo_id):
        photos.remove(photo_id)
        raise ReviewPending(f"photo {photo_id} has been decided since it was classified; look again")
    if before.get("sent_token") == request.token_hash:
        return False
    if before.get("announced_by") != request.execution:
        bus.publish("Review Requested", request.as_event())
        photos.note(photo_id, announced_by=request.execution)
    queue.send(request)
    photos.note(photo_id, sent_token=request.token_hash)
    return True


def _entry(request: ReviewRequest) -> dict[str, Any]:
    return {
        "photo": request.photo.as_state(),
        "driver_id": request.photo.driver_id,
        "execution": request.execution,
        "reason": request.reason,
        "requested_at": timestamp(request.requested_at),
        "expires_at": timestamp(request.expires_at),
        "token_hash": request.token_hash,
        "purge_at": purge_at(request.expires_at),
    }
