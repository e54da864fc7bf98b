"""Deliver an answer: write the label, send the task token, publish the event, delete the message, in that order.

The label is written first, so that it exists even if a later step fails. The message is deleted last: if this process
stops before that, another process receives the message, finds the label and finishes the delivery (`finish`).

SQS delivers at least once. The key of a label is derived from the photo and written with If-None-Match, so the first
answer is final, and a photo whose message is delivered again is not shown to a reviewer again.
"""

import json
import logging
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from console.answers import UNUSABLE, Choice
from console.labels import Label, Labels
from console.leases import Lease, Leases
from console.photo_records import PhotoRecords, describe_outcome
from console.review_request import ReviewRequest
from console.session import ANSWERED_BEFORE, DELAYED, LABEL_ONLY, ROUTED, Answer, Outcome, Session
from functions.shared.aws import error_code
from functions.shared.errors import EventNotPublished, RecordUnavailable
from functions.shared.events import EventBus

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

log = logging.getLogger(__name__)

_TRANSIENT = (ClientError, BotoCoreError, EventNotPublished, RuntimeError)
_MAX_BACKOFF_S = 30.0

# The errors of Step Functions for a task token that no execution waits for.
_TOKEN_EXPIRED = {"TaskTimedOut", "TaskDoesNotExist", "InvalidToken"}


class Delivery:
    """Delivers answers to the labels, the waiting execution, the event bus and the review queue."""

    def __init__(
        self,
        labels: Labels,
        leases: Leases,
        records: PhotoRecords,
        stepfunctions: "SFNClient",
        bus: EventBus,
        choices: Mapping[str, Choice],
    ) -> None:
        """`choices` are the possible answers by their vehicle."""
        self._labels = labels
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
        """Deliver an answer once. Raises ClientError, BotoCoreError, EventNotPublished, RuntimeError.

        A failed delivery can be repeated: steps that are done already are not repeated.
        """
        lease, request = answer.lease, answer.lease.request
        label = Label.of(request, answer.vehicle, answer.reviewer.id, answer.answered_at, answer_id=lease.id)
        effective = self._labels.save(label)
        if effective.answer_id != label.answer_id:
            # Another reviewer answered first. Send that answer, because its process may have stopped before doing so.
            self._send_task_success(request, effective)
            self._bus.publish("Review Completed", label.as_event(accepted=False))
            self._leases.delete(lease)
            message = f"{effective.reviewer} answered this photo first ({effective.vehicle}). Yours is kept as well."
            return Outcome(ANSWERED_BEFORE, answer.photo_id, answer.vehicle, message)
        if answer.accepted is None:
            answer.accepted = self._send_task_success(request, label)
        if not effective.announced:
            self._publish(label, accepted=answer.accepted)
        self._leases.delete(lease)
        if not answer.accepted:
            return Outcome(LABEL_ONLY, answer.photo_id, answer.vehicle, self._label_only_message(answer.photo_id))
        bay = self._choices[answer.vehicle].bay
        message = "the photo is rejected" if answer.vehicle == UNUSABLE else f"{request.driver_id} → {bay}"
        return Outcome(ROUTED, answer.photo_id, answer.vehicle, message)

    def finish(self, lease: Lease, label: Label) -> None:
        """Finish the delivery of an earlier answer to the leased photo. A failure is logged, and the lease stays.

        The earlier answer can have been to an older request, whose execution had ended. Its event is not published
        again when the execution of this request accepts it.
        """
        try:
            accepted = self._send_task_success(lease.request, label)
            if not label.announced:
                self._publish(label, accepted=accepted)
            elif accepted:
                self._labels.mark_announced(label, accepted=True)
            self._leases.delete(lease)
        except _TRANSIENT as error:
            log.warning("photo %s: an earlier answer was not delivered yet: %s", label.photo_id, error)

    def _send_task_success(self, request: ReviewRequest, label: Label) -> bool:
        """Send the answer to the waiting execution; False when it no longer waits."""
        try:
            self._stepfunctions.send_task_success(
                taskToken=request.task_token, output=json.dumps(label.as_answer(), ensure_ascii=False)
            )
        except ClientError as error:
            if error_code(error) in _TOKEN_EXPIRED:
                return False
            raise
        return True

    def _publish(self, label: Label, *, accepted: bool) -> None:
        self._bus.publish("Review Completed", label.as_event(accepted=accepted))
        self._labels.mark_announced(label, accepted=accepted)

    def _label_only_message(self, photo_id: str) -> str:
        try:
            outcome = describe_outcome(self._records.get(photo_id))
        except RecordUnavailable:
            outcome = None
        return f"{outcome or 'The workflow no longer waits for this photo.'} Your answer is kept as a label."
