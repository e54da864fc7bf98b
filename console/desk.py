"""The desk: reviewers take requests from the queue, and their answers leave it. No user interface in here.

What holds a request together, and why:

- SQS lets one receiver at a time see a message. The desk extends that for as long as somebody holds the request, and
  ends it when they leave, so two reviewers never get the same photo and a closed browser gives it back.
- An answer waits for its undo window here, on the server, and then leaves in this order: label, task token, event,
  message. The label is first because it must survive everything else; the message is last because it is what makes
  the next desk finish the work when this one dies in between (`_settle`).
- SQS delivers at least once. The label's key is the photo's, written only if there is none, so a second delivery finds
  the first answer and finishes it instead of asking a person twice.
"""

import json
import logging
import threading
import time
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from console.answers import UNUSABLE, Choice
from console.aws import Aws
from console.labels import Label, Labels
from console.request import MalformedRequest, Request, read
from deploy.outputs import Deployed
from functions.shared.aws import error_code
from functions.shared.dynamodb import attributes, values
from functions.shared.errors import EventNotPublished
from functions.shared.events import EventBus

log = logging.getLogger(__name__)

UNDO_S = 3.0
HOLD_S = 60
_HEARTBEATS = 3  # per hold, so that two may fail
_MALFORMED_RETRY_S = 1
_LOOKS = 12  # messages looked at for one whose driver waits
_ASIDE_S = 60  # how long those that nobody waits for stay out of the way
_NOTICES = 50
_TRANSIENT = (ClientError, BotoCoreError, EventNotPublished, RuntimeError)

# How Step Functions says that nobody waits for this token any more.
_NOBODY_WAITS = {"TaskTimedOut", "TaskDoesNotExist", "InvalidToken"}

ROUTED = "routed"
LABEL_ONLY = "label-only"
ANSWERED_BEFORE = "answered-before"
DELAYED = "delayed"


class NotHeld(LookupError):
    """The request is not in this reviewer's hands: answered before, given back, or taken too long ago."""


class InvalidAnswer(ValueError):
    """The answer is none of the configured ones."""


@dataclass(eq=False)
class Held:
    """A request in a reviewer's hands. `decision` is what became of the photo already, None while its driver waits."""

    id: str
    request: Request
    receipt: str
    receives: int
    decision: dict[str, Any] | None

    def only_label(self, now: datetime) -> bool:
        """Whether an answer can no longer reach the driver."""
        return self.decision is not None or self.request.expired(now)


@dataclass(eq=False)
class Pending:
    """An answer in its undo window, or on its way. `due` is on the monotonic clock."""

    held: Held
    vehicle: str
    reviewer: str
    answered_at: datetime
    due: float
    tries: int = 0
    leaving: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of an answer, for the person who gave it. `kind` is one of the constants above."""

    kind: str
    photo_id: str
    vehicle: str
    message: str
    number: int = 0


@dataclass(eq=False)
class Seat:
    """One reviewer at the desk, with the request before them and the next one."""

    reviewer: str
    hands: list[Held] = field(default_factory=list)
    pending: list[Pending] = field(default_factory=list)
    notices: list[Outcome] = field(default_factory=list)
    noticed: int = 0
    left: bool = False
    lock: threading.RLock = field(default_factory=threading.RLock)

    def notice(self, outcome: Outcome) -> None:
        """Tell the reviewer; the newest notices are kept."""
        self.noticed += 1
        self.notices = [*self.notices, Outcome(**{**outcome.__dict__, "number": self.noticed})][-_NOTICES:]


class Desk:
    """Where reviewers of one stage sit down. Close it, or use it in `with`: what they hold goes back at once."""

    def __init__(
        self,
        resources: Deployed,
        aws: Aws,
        choices: Iterable[Choice],
        *,
        undo_s: float = UNDO_S,
        hold_s: int = HOLD_S,
    ) -> None:
        """`undo_s`: how long an answer can be taken back, 0 for not at all. `hold_s`: visibility of what is held."""
        self.resources = resources
        self.undo_s = undo_s
        self.hold_s = hold_s
        self.labels = Labels(resources.ml_bucket, aws.s3)
        self.choices = {choice.vehicle: choice for choice in choices}
        self._aws = aws
        self._bus = EventBus(resources.event_bus, aws.events)
        self._seats: list[Seat] = []
        self._wake = threading.Condition()
        self._closed = False
        self._max_receives: int | None = None
        self._carriers = ThreadPoolExecutor(8, thread_name_prefix="answer")
        self._clock = threading.Thread(target=self._run, name="desk", daemon=True)
        self._clock.start()

    def __enter__(self) -> "Desk":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def sit(self, reviewer: str) -> Seat:
        """A seat for a reviewer."""
        seat = Seat(reviewer)
        with self._wake:
            self._seats.append(seat)
        return seat

    def stand(self, seat: Seat) -> None:
        """Give back what the reviewer holds; answers in their undo window go on to leave when it ends."""
        with seat.lock:
            seat.left = True
            hands, seat.hands = seat.hands, []
            for held in hands:
                self._give_back(held)
        with self._wake:
            # A seat with answers under way stays until the last has left: the clock carries them.
            if not seat.pending and seat in self._seats:
                self._seats.remove(seat)

    def close(self) -> None:
        """Send what was answered, give back what was not, and end. Blocks until both are done."""
        with self._wake:
            self._closed = True
            self._wake.notify_all()
            seats = list(self._seats)
        self._clock.join()
        for seat in seats:
            with seat.lock:
                waiting = [pending for pending in seat.pending if not pending.leaving]
                for pending in waiting:
                    pending.leaving = True
            for pending in waiting:
                self._carry(seat, pending)
        self._carriers.shutdown(wait=True)
        for seat in seats:
            self.stand(seat)
            for pending in seat.pending:
                self._give_back(pending.held)

    def look(self, seat: Seat, *, ahead: int = 2) -> list[Held]:
        """The request before the reviewer and the one after it, taken from the queue when there are any."""
        with seat.lock:
            while len(seat.hands) < ahead:
                held = self._take()
                if held is None:
                    break
                seat.hands.append(held)
            return list(seat.hands)

    def answer(self, seat: Seat, held_id: str, vehicle: str) -> Pending:
        """Answer a request that the reviewer holds. It leaves when its undo window ends.

        Raises NotHeld, InvalidAnswer.
        """
        if vehicle not in self.choices:
            raise InvalidAnswer(f"{vehicle!r} is none of {', '.join(self.choices)}")
        with seat.lock:
            held = self._in_hand(seat, held_id)
            seat.hands.remove(held)
            pending = Pending(held, vehicle, seat.reviewer, datetime.now(UTC), time.monotonic() + self.undo_s)
            seat.pending.append(pending)
        with self._wake:
            self._wake.notify_all()
        return pending

    def undo(self, seat: Seat) -> Held | None:
        """Take the last answer back that has not left yet; its request is before the reviewer again. None: too late."""
        with seat.lock:
            for pending in reversed(seat.pending):
                # One that was tried has left a label behind already.
                if not pending.tries and not pending.leaving and time.monotonic() < pending.due:
                    seat.pending.remove(pending)
                    seat.hands.insert(0, pending.held)
                    return pending.held
        return None

    def skip(self, seat: Seat, held_id: str) -> None:
        """Give a request back to the queue for someone else. Raises NotHeld."""
        with seat.lock:
            held = self._in_hand(seat, held_id)
            seat.hands.remove(held)
            # First another one, then back: the queue might hand the same one out again at once.
            self.look(seat)
            self._give_back(held)

    def held(self, photo_id: str) -> Request | None:
        """The request about a photo that somebody at this desk holds or has just answered."""
        with self._wake:
            seats = list(self._seats)
        for seat in seats:
            for held in [*seat.hands, *(pending.held for pending in seat.pending)]:
                if held.request.photo.photo_id == photo_id:
                    return held.request
        return None

    def _in_hand(self, seat: Seat, held_id: str) -> Held:
        for held in seat.hands:
            if held.id == held_id:
                return held
        raise NotHeld("This photo is not yours any more: it was answered, or went back to the queue.")

    # Taking

    def _take(self) -> Held | None:
        """The next request: one whose driver waits before one that can only become a label."""
        labels_only: list[Held] = []
        live: Held | None = None
        for _ in range(_LOOKS):
            answer = self._aws.sqs.receive_message(
                QueueUrl=self.resources.review_queue_url,
                MaxNumberOfMessages=1,
                VisibilityTimeout=self.hold_s,
                AttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
            )
            if not answer.get("Messages"):
                break
            held = self._opened(answer["Messages"][0])
            if held is None:
                continue
            if not held.only_label(datetime.now(UTC)):
                live = held
                break
            labels_only.append(held)
        if live is None and labels_only:
            live = labels_only.pop(0)
            aside_s = 0
        else:
            aside_s = _ASIDE_S
        for held in labels_only:
            self._give_back(held, after_s=aside_s)
        return live

    def _opened(self, message: dict[str, Any]) -> Held | None:
        """The request in a message; None when there is none in it, or when its photo was answered before."""
        about = message["Attributes"]
        sent_at = datetime.fromtimestamp(int(about["SentTimestamp"]) / 1000, UTC)
        try:
            request = read(message["Body"], bucket=self.resources.uploads_bucket, sent_at=sent_at)
        except MalformedRequest as error:
            log.warning("message %s is no review request: %s", message["MessageId"], error)
            # Not deleted and not held: after five receives SQS moves it to the dead-letter queue.
            self._extend(message["ReceiptHandle"], _MALFORMED_RETRY_S)
            return None
        receives = int(about["ApproximateReceiveCount"])
        held = Held(uuid.uuid4().hex, request, message["ReceiptHandle"], receives, None)
        if standing := self.labels.find(request):
            self._settle(held, standing)
            return None
        held.decision = self.decision(request.photo.photo_id)
        return held

    def decision(self, photo_id: str) -> dict[str, Any] | None:
        """The decision about a photo, read consistently, or None."""
        answer = self._aws.dynamodb.get_item(
            TableName=self.resources.decision_table, Key=attributes({"photo_id": photo_id}), ConsistentRead=True
        )
        return values(answer["Item"]) if "Item" in answer else None

    def _settle(self, held: Held, standing: Label) -> None:
        """Finish what an earlier answer to the photo left undone, in whichever process it was given."""
        try:
            accepted = self._send(held.request, standing)
            if not standing.announced:
                self._announce(standing, accepted=accepted)
            self._delete(held)
        except _TRANSIENT as error:
            log.warning("photo %s: an earlier answer is not through yet: %s", standing.photo_id, error)

    def _give_back(self, held: Held, *, after_s: int = 0) -> None:
        """Let others see a message again, at once or in a while.

        One that was received often is sent anew instead: people who skip it are no reason for the dead-letter queue.
        """
        sqs, url = self._aws.sqs, self.resources.review_queue_url
        try:
            if held.receives >= self._most_receives() - 1:
                sqs.send_message(QueueUrl=url, MessageBody=held.request.body, DelaySeconds=after_s)
                self._delete(held)
            else:
                self._extend(held.receipt, after_s)
        except _TRANSIENT as error:
            # It comes back by itself when its visibility ends.
            log.warning("photo %s could not be given back at once: %s", held.request.photo.photo_id, error)

    def _most_receives(self) -> int:
        if self._max_receives is None:
            answer = self._aws.sqs.get_queue_attributes(
                QueueUrl=self.resources.review_queue_url, AttributeNames=["RedrivePolicy"]
            )
            policy = json.loads(answer.get("Attributes", {}).get("RedrivePolicy", "{}"))
            self._max_receives = int(policy.get("maxReceiveCount", 5))
        return self._max_receives

    def _extend(self, receipt: str, seconds: int) -> None:
        try:
            self._aws.sqs.change_message_visibility(
                QueueUrl=self.resources.review_queue_url, ReceiptHandle=receipt, VisibilityTimeout=seconds
            )
        except ClientError as error:
            # The message is gone or in other hands; whoever has it decides, and the label tells the two apart.
            log.info("a message could not be held: %s", error_code(error))

    def _delete(self, held: Held) -> None:
        try:
            self._aws.sqs.delete_message(QueueUrl=self.resources.review_queue_url, ReceiptHandle=held.receipt)
        except ClientError as error:
            if error_code(error) != "ReceiptHandleIsInvalid":
                raise

    # The clock

    def _run(self) -> None:
        heartbeat = time.monotonic() + self.hold_s / _HEARTBEATS
        while True:
            with self._wake:
                if self._closed:
                    return
                seats = list(self._seats)
                waiting = [p.due for seat in seats for p in list(seat.pending) if not p.leaving]
                self._wake.wait(max(0.0, min([heartbeat, *waiting]) - time.monotonic()))
                if self._closed:
                    return
            now = time.monotonic()
            for seat in seats:
                with seat.lock:
                    due = [p for p in seat.pending if not p.leaving and p.due <= now]
                    for pending in due:
                        pending.leaving = True
                for pending in due:
                    self._carriers.submit(self._carry, seat, pending)
            if now >= heartbeat:
                heartbeat = now + self.hold_s / _HEARTBEATS
                self._carriers.submit(self._hold_on, seats)

    def _hold_on(self, seats: list[Seat]) -> None:
        for seat in seats:
            for held in [*seat.hands, *(pending.held for pending in seat.pending)]:
                try:
                    self._extend(held.receipt, self.hold_s)
                except BotoCoreError as error:
                    log.warning("photo %s could not be held on to: %s", held.request.photo.photo_id, error)

    # Leaving

    def _carry(self, seat: Seat, pending: Pending) -> None:
        """Bring one answer out, and come back later when AWS is out of reach: the label, the token, the event."""
        try:
            outcome = self._deliver(pending)
        except Exception as error:  # whatever it is, an answer that was given is not dropped
            pending.tries += 1
            log.warning("photo %s: the answer waits: %s", pending.held.request.photo.photo_id, error)
            with seat.lock:
                pending.leaving = False
                pending.due = time.monotonic() + min(30.0, 2.0**pending.tries)
                if pending.tries == 1:
                    words = "AWS did not take it yet; the answer is tried again by itself."
                    seat.notice(Outcome(DELAYED, pending.held.request.photo.photo_id, pending.vehicle, words))
            with self._wake:
                self._wake.notify_all()
            return
        with seat.lock:
            seat.pending.remove(pending)
            seat.notice(outcome)
            gone = not seat.pending and seat.left
        if gone:
            self.stand(seat)

    def _deliver(self, pending: Pending) -> Outcome:
        held, request = pending.held, pending.held.request
        photo_id = request.photo.photo_id
        label = Label.of(request, pending.vehicle, pending.reviewer, pending.answered_at, answer_id=held.id)
        standing = self.labels.keep(label)
        if standing.answer_id != label.answer_id:
            # Someone was faster. Theirs is what the driver is told; in case they died before telling, it is told now.
            self._send(request, standing)
            self._bus.publish("Review Completed", label.as_event(accepted=False))
            self._delete(held)
            words = f"{standing.reviewer} answered this one first ({standing.vehicle}). Yours is kept beside it."
            return Outcome(ANSWERED_BEFORE, photo_id, pending.vehicle, words)
        accepted = self._send(request, label)
        if not standing.announced:
            self._announce(label, accepted=accepted)
        self._delete(held)
        if accepted:
            choice = self.choices[pending.vehicle]
            where = "the photo is rejected" if pending.vehicle == UNUSABLE else f"{request.driver_id} → {choice.bay}"
            return Outcome(ROUTED, photo_id, pending.vehicle, where)
        return Outcome(LABEL_ONLY, photo_id, pending.vehicle, self._why_not(request))

    def _send(self, request: Request, label: Label) -> bool:
        """Tell the waiting execution; False when it no longer waits."""
        try:
            self._aws.stepfunctions.send_task_success(
                taskToken=request.task_token, output=json.dumps(label.as_answer(), ensure_ascii=False)
            )
        except ClientError as error:
            if error_code(error) in _NOBODY_WAITS:
                return False
            raise
        return True

    def _announce(self, label: Label, *, accepted: bool) -> None:
        self._bus.publish("Review Completed", label.as_event(accepted=accepted))
        self.labels.mark_announced(label, accepted=accepted)

    def _why_not(self, request: Request) -> str:
        try:
            decided = self.decision(request.photo.photo_id)
        except _TRANSIENT:
            decided = None
        if decided and decided["decided_by"] == "fallback":
            return "Nobody answered in time, so the driver was sent to the help desk. Your answer is kept as a label."
        if decided:
            return f"The driver had been sent to {decided['loading_bay']} already. Your answer is kept as a label."
        return "The workflow no longer waits for this photo. Your answer is kept as a label."
