"""Deliver an answer: write the label, send the task token, publish the event, delete the message, in that order.

The label is written first, so that it exists even if a later step fails. The message is deleted last: if this process
stops before that, another process receives the message, finds the label and finishes the delivery (`finish`).

SQS delivers at least once. The first answer that is recorded for a request is final for its driver, and a photo whose
message is delivered again is not shown to a reviewer again. See console.reviews.
"""

import json
import logging
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from console.answers import Choice
from console.labels import Label
from console.leases import Lease, Leases
from console.photo_records import PhotoRecords, describe_outcome
from console.photos import PhotoNotRead, PhotoNotShown, Photos
from console.pictures import Picture
from console.review_request import ReviewRequest
from console.reviews import Reviews
from console.session import ANSWERED_BEFORE, AUDITED, DELAYED, DELETED, LABEL_ONLY, ROUTED, Answer, Outcome, Session
from functions.shared.audit import SECOND
from functions.shared.aws import error_code
from functions.shared.errors import EventNotPublished
from functions.shared.events import EventBus
from functions.shared.label import NOT_LEARNT, UNUSABLE
from functions.shared.photo_record import PhotoRecord

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

log = logging.getLogger(__name__)

_TRANSIENT = (ClientError, BotoCoreError, EventNotPublished, RuntimeError)
_MAX_BACKOFF_S = 30.0

PICTURE_ATTEMPTS = 3
"""How often a delivery tries to read the photo from S3, before the label is saved without a picture."""

# The errors of Step Functions for a task token that no execution waits for.
_TOKEN_EXPIRED = {"TaskTimedOut", "TaskDoesNotExist", "InvalidToken"}


class Delivery:
    """Delivers answers to the labels, the waiting execution, the event bus and the review queue."""

    def __init__(
        self,
        reviews: Reviews,
        photos: Photos,
        leases: Leases,
        records: PhotoRecords,
        stepfunctions: "SFNClient",
        bus: EventBus,
        choices: Mapping[str, Choice],
    ) -> None:
        """`choices` are the possible answers by their vehicle."""
        self._reviews = reviews
        self._photos = photos
        self._leases = leases
        self._records = records
        self._stepfunctions = stepfunctions
        self._bus = bus
        self._choices = choices

    def try_deliver(self, session: Session, answer: Answer) -> bool:
        """Deliver an answer and add a notice to the session. After a failure, schedule a retry and return False.

        The backoff is 2, 4, 8 … seconds, at most 30. All failures of an answer share one notice.
        """
        try:
            outcome = self.deliver(answer)
        except Exception as error:  # no error may lose an answer
            log.warning("photo %s: the answer was not delivered: %s", answer.photo_id, error)
            with session.lock:
                answer.attempts += 1
                answer.delivering = False
                answer.due = time.monotonic() + min(_MAX_BACKOFF_S, 2.0**answer.attempts)
                if answer.attempts == 1:
                    message = "AWS did not accept the answer yet. It is sent again automatically."
                    session.notify(Outcome(DELAYED, answer.photo_id, answer.vehicle, message))
            return False
        with session.lock:
            session.answers.remove(answer)
            session.notify(outcome)
        return True

    def deliver(self, answer: Answer) -> Outcome:
        """Deliver an answer once. A failed delivery can be repeated: steps that are done already are not repeated.

        Raises ClientError, BotoCoreError, RecordUnavailable, EventNotPublished, RuntimeError, and in the first attempts
        PhotoNotRead.
        """
        lease, request = answer.lease, answer.lease.request
        record = self._records.get(answer.photo_id)
        if record is None:
            # A request has a record before it has a message. Without one the photo was deleted, with all that is
            # known about it, and its execution was stopped.
            self._photos.drop(request.photo)
            self._leases.delete(lease)
            message = "This photo was deleted while you answered. Your answer was not kept."
            return Outcome(DELETED, answer.photo_id, answer.vehicle, message)
        if answer.label is None:
            label = Label.of(
                request, answer.vehicle, answer.reviewer, answer.answered_at, lease.id, blind=not lease.opinion_shown
            )
            answer.label = self._reviews.labels.save(label, self._picture(label, answer))
        label = answer.label
        counting = self._claim(request, label, record)
        if answer.accepted is None:
            answer.accepted = self._send_task_success(request, counting)
        self._complete(request, counting, accepted=answer.accepted, announced=answer.announced)
        if counting.key != label.key:
            # Another answer was first. Its process may have stopped before it was delivered, so it was sent here.
            self._announce(label, accepted=False, announced=answer.announced)
            self._leases.delete(lease)
            first = "You" if counting.reviewer == label.reviewer else counting.reviewer_name
            message = f"{first} answered this photo first ({counting.vehicle}). This answer is kept as well."
            return Outcome(ANSWERED_BEFORE, answer.photo_id, answer.vehicle, message)
        self._leases.delete(lease)
        if request.is_blind:
            return Outcome(AUDITED, answer.photo_id, answer.vehicle, _compare(request, record, answer.vehicle))
        if not answer.accepted:
            outcome = describe_outcome(record) or "The workflow no longer waits for this photo."
            return Outcome(LABEL_ONLY, answer.photo_id, answer.vehicle, f"{outcome} Your answer is kept as a label.")
        bay = self._choices[answer.vehicle].bay
        message = "the photo is rejected" if answer.vehicle == UNUSABLE else f"{request.driver_id} → {bay}"
        if label.blind and request.vehicle:
            message += f". The model's answer was {request.vehicle} ({request.confidence or 0:.1%})."
        return Outcome(ROUTED, answer.photo_id, answer.vehicle, message)

    def find_answer(self, request: ReviewRequest, record: PhotoRecord) -> Label | None:
        """Return the answer that counts for a request, or for an earlier one about the same photo; None without any.

        Only an answer to a request for a second opinion counts for it.
        """
        own = request.token_hash if request.reason == SECOND else None
        first = self._reviews.labels.find_first(
            record.photo.photo_id, lambda label: self._counts(label, record) and own in (None, label.token_hash)
        )
        if first is None:
            return None
        for request_id in (request.id, first.request_id):
            found = self._reviews.find(request_id)
            if found and self._counts(found, record):
                return found
        return first

    def finish(self, lease: Lease, label: Label, record: PhotoRecord) -> None:
        """Finish the delivery of an earlier answer to the leased photo. A failure is logged, and the lease stays.

        The earlier answer can have been to an older request, whose execution had ended. Its event is not published
        again when the execution of this request accepts it.
        """
        request = lease.request
        try:
            counting = self._claim(request, label, record)
            accepted = self._send_task_success(request, counting)
            self._complete(request, counting, accepted=accepted, announced=set())
            self._leases.delete(lease)
        except _TRANSIENT as error:
            log.warning("photo %s: an earlier answer was not delivered yet: %s", label.photo_id, error)

    def _counts(self, label: Label, record: PhotoRecord) -> bool:
        """Whether a label is an answer that the console offers to a request that was made; anybody can write others."""
        requested = {request["token_hash"] for request in record.review_requests}
        return label.token_hash in requested and label.vehicle in self._choices

    def _claim(self, request: ReviewRequest, label: Label, record: PhotoRecord) -> Label:
        """Let a label count for a request, unless another one does already; return the one that counts."""
        counting = self._reviews.claim(request.id, label)
        return counting if self._counts(counting, record) else label

    def _picture(self, label: Label, answer: Answer) -> Picture | None:
        """Return the picture of a label, None for a photo that was deleted, overwritten or cannot be decoded.

        Raises PhotoNotRead when S3 does not return the photo, except in the last attempt: the driver waits.
        """
        if label.vehicle in NOT_LEARNT:
            return None
        try:
            return self._photos.picture(answer.lease.request.photo)
        except PhotoNotShown as error:
            if isinstance(error, PhotoNotRead) and answer.attempts + 1 < PICTURE_ATTEMPTS:
                raise
            log.warning("photo %s: its label has no picture, and is not used in training: %s", label.photo_id, error)
            return None

    def _send_task_success(self, request: ReviewRequest, label: Label) -> bool:
        """Send the answer to the waiting execution; False when it no longer waits."""
        if request.task_token is None:
            return False
        try:
            self._stepfunctions.send_task_success(
                taskToken=request.task_token, output=json.dumps(label.as_answer(), ensure_ascii=False)
            )
        except ClientError as error:
            if error_code(error) in _TOKEN_EXPIRED:
                return False
            raise
        return True

    def _complete(self, request: ReviewRequest, label: Label, *, accepted: bool, announced: set[str]) -> None:
        """Publish the event of an answer that was sent, unless that was done, and record both.

        The answer that the execution of its own request accepts is always announced: it is accepted once, and any
        reviewer can write that it is done.
        """
        own = request.id.token_hash == label.token_hash
        if (accepted and own) or not self._reviews.is_done(label.request_id, label):
            self._announce(label, accepted=accepted, announced=announced)
            self._reviews.mark_done(label.request_id, label, accepted=accepted)
        if not own:
            self._reviews.mark_done(request.id, label, accepted=accepted)

    def _announce(self, label: Label, *, accepted: bool, announced: set[str]) -> None:
        """Publish the event of an answer, unless its label is in `announced`."""
        if label.key not in announced:
            self._bus.publish("Review Completed", label.as_event(accepted=accepted))
            announced.add(label.key)


def _compare(request: ReviewRequest, record: PhotoRecord, vehicle: str) -> str:
    """Return what the model, or the first reviewer, answered, now that a reviewer has answered without knowing it."""
    if request.reason == SECOND and record.second_request:
        first = record.second_request["first"]["vehicle"]
        return f"Another reviewer answered {first}, too." if first == vehicle else f"Another reviewer answered {first}."
    model = f"The model decided {request.vehicle} ({request.confidence or 0:.1%})"
    return f"{model}, too." if request.vehicle == vehicle else f"{model}. The driver's bay does not change."
