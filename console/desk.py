"""The desk: sessions of reviewers, who take requests from the queue and answer them. It has no user interface.

SQS hides a received message from other consumers for its visibility timeout. The desk extends that timeout while a
session holds the message, and ends it when the session closes. So two reviewers never see the same photo, and closing a
browser loses no request.

The desk keeps an answer until its undo window ends; then `console.delivery` delivers it.
"""

import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

from console.answers import Choice
from console.aws import Aws
from console.delivery import PICTURE_ATTEMPTS, Delivery
from console.identity import Reviewer
from console.leases import LEASE_S, Lease, Leases, is_sent_again
from console.photo_records import PhotoRecords
from console.photos import Photos
from console.review_request import ReviewRequest
from console.reviews import Reviews
from console.session import Answer, NotChosen, Session
from deploy.outputs import Deployed
from functions.shared.events import EventBus

UNDO_S = 3.0
MOST_SEARCHED = 300
_EXTENSIONS_PER_LEASE = 3  # a lease survives two failed extensions
_MAX_RECEIVES = 12  # messages received at most to find one whose driver waits
_LABEL_ONLY_DELAY_S = 60  # how long label-only requests stay invisible while a driver waits
_OTHER_REVIEWER_DELAY_S = 120  # how long a request that another reviewer must answer stays invisible
_REPLACE_RETRY_S = 1  # when the session that holds an older message is busy
_MAX_SEARCHES = 10  # for a message that another process may have leased
_MAX_UNACCEPTED = 20
_DELIVERY_THREADS = 8


class InvalidAnswer(ValueError):
    """The answer is not a configured one."""


@dataclass
class _Unaccepted:
    """An answer that no execution waited for: the hash of its task token, and how often its photo is still searched."""

    token_hash: str
    searches_left: int = _MAX_SEARCHES


class Desk:
    """The sessions of one stage's reviewers. Close it, or use it in `with`, to deliver answers and give back leases."""

    def __init__(
        self,
        deployed: Deployed,
        aws: Aws,
        choices: Iterable[Choice],
        *,
        undo_s: float = UNDO_S,
        lease_s: int = LEASE_S,
    ) -> None:
        """`undo_s`: how long an answer can be undone; 0 disables undo. `lease_s`: visibility timeout of a lease."""
        self.undo_s = undo_s
        self.choices = {choice.vehicle: choice for choice in choices}
        self.reviews = Reviews(deployed.ml_bucket, aws.s3)
        self.photos = Photos(deployed, aws)
        self._records = PhotoRecords(deployed, aws)
        self._leases = Leases(deployed, aws.sqs, lease_s)
        bus = EventBus(deployed.event_bus, aws.events)
        self._delivery = Delivery(
            self.reviews, self.photos, self._leases, self._records, aws.stepfunctions, bus, self.choices
        )
        self._sessions: list[Session] = []
        self._unaccepted: dict[str, _Unaccepted] = {}  # by the id of the photo
        self._changed = threading.Condition()
        self._closed = False
        self._pool = ThreadPoolExecutor(_DELIVERY_THREADS, thread_name_prefix="answer")
        self._scheduler = threading.Thread(target=self._schedule, name="desk", daemon=True)
        self._scheduler.start()

    def __enter__(self) -> "Desk":
        """Return the desk itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the desk."""
        self.close()

    def open_session(self, reviewer: Reviewer) -> Session:
        """Return a new session of a reviewer."""
        session = Session(reviewer)
        with self._changed:
            self._sessions.append(session)
        return session

    def close_session(self, session: Session) -> None:
        """Give back the leases of a session. Its answers are delivered when their undo windows end."""
        with session.lock:
            session.closed = True
            leased, session.leased = session.leased, []
            for lease in leased:
                self._leases.give_back(lease)
        self._remove_if_finished(session)

    def close(self) -> None:
        """Deliver every answer, give back every lease and stop the threads; blocks until that is done."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            sessions = list(self._sessions)
        self._scheduler.join()
        for _ in range(PICTURE_ATTEMPTS):
            for session in sessions:
                for answer in self._start_deliveries(session, until=float("inf")):
                    self._deliver_with_retry(session, answer)
        self._pool.shutdown(wait=True)
        for session in sessions:
            self.close_session(session)
            for answer in session.answers:
                self._leases.give_back(answer.lease)

    def take(self, session: Session, *, ahead: int = 2) -> list[Lease]:
        """Return the session's current request and the ones after it, `ahead` in all if the queues have as many.

        Requests of the audit queue are for the time in which no driver waits: they go back as soon as one does. A
        closed session has none: the request of a page can arrive after the page was left.
        """
        with session.lock:
            if session.closed:
                return []
            self._finish_restarted()
            audits = [lease for lease in session.leased if lease.request.is_without_driver]
            while len(session.leased) - len(audits) < ahead and (lease := self._next_lease()):
                session.leased = [*(one for one in session.leased if one not in audits), lease]
                while audits:
                    self._leases.give_back(audits.pop())
            while len(session.leased) < ahead and all(one.request.is_without_driver for one in session.leased):
                audit = self._next_audit(session.reviewer)
                if audit is None:
                    break
                session.leased.append(audit)
            return list(session.leased)

    def choose(self, session: Session, photo_id: str) -> None:
        """Make the request about a photo the session's current one, whatever its place in the queue.

        Raises NotChosen when another session or process holds it, or it is not among the first MOST_SEARCHED messages.
        """
        with session.lock:
            if session.closed:
                raise NotChosen("This page was closed.")
            if session.move_to_front(photo_id):
                return
            if self.find_request(photo_id):
                raise NotChosen("Somebody has this photo open, or has just answered it.")
            found = list(self._receive(self._leases.search(photo_id, MOST_SEARCHED)))
            if not found:
                raise NotChosen(f"None of up to {MOST_SEARCHED} requests that could be received is about this photo.")
            session.leased.append(found[0])
            session.move_to_front(photo_id)
            for lease in found[1:]:
                self._leases.give_back(lease)

    def answer(self, session: Session, lease_id: str, vehicle: str) -> Answer:
        """Answer a request that the session holds. The answer is delivered when its undo window ends.

        Raises NotLeased, InvalidAnswer.
        """
        if vehicle not in self.choices:
            raise InvalidAnswer(f"{vehicle!r} is none of {', '.join(self.choices)}")
        with session.lock:
            lease = session.remove(lease_id)
            due = time.monotonic() + self.undo_s
            answer = Answer(lease, vehicle, session.reviewer, datetime.now(UTC), due)
            session.answers.append(answer)
        self._wake_scheduler()
        return answer

    def undo(self, session: Session) -> Lease | None:
        """Undo the last answer in its undo window and return its lease, now the current one; None when too late."""
        with session.lock:
            if session.closed:
                return None
            for answer in reversed(session.answers):
                if answer.can_be_undone(time.monotonic()):
                    session.answers.remove(answer)
                    session.leased.insert(0, answer.lease)
                    return answer.lease
        return None

    def skip(self, session: Session, lease_id: str) -> None:
        """Give a request back to the queue for another reviewer. Raises NotLeased."""
        with session.lock:
            lease = session.remove(lease_id)
            # Take the next request first: the queue could return the same one again.
            self.take(session)
            self._leases.give_back(lease)

    def find_request(self, photo_id: str) -> ReviewRequest | None:
        """Return the request about a photo that a session holds or has just answered, or None."""
        for session in self._list_sessions():
            for lease in session.leases():
                if lease.request.photo.photo_id == photo_id:
                    return lease.request
        return None

    def _list_sessions(self) -> list[Session]:
        with self._changed:
            return list(self._sessions)

    def _next_lease(self) -> Lease | None:
        """Lease the next request. One whose driver waits has priority over one whose answer becomes a label only."""
        label_only: list[Lease] = []
        waiting: Lease | None = None
        for lease in self._receive(self._leases.receive(_MAX_RECEIVES)):
            if not lease.is_label_only(datetime.now(UTC)):
                waiting = lease
                break
            label_only.append(lease)
        chosen = waiting or (label_only.pop(0) if label_only else None)
        for lease in label_only:
            self._leases.give_back(lease, after_s=_LABEL_ONLY_DELAY_S if waiting else 0)
        return chosen

    def _next_audit(self, reviewer: Reviewer) -> Lease | None:
        """Lease the next request of the audit queue that a reviewer may answer."""
        for lease in self._receive(self._leases.receive_audits(_MAX_RECEIVES)):
            if lease.may_be_answered_by(reviewer.id):
                return lease
            self._leases.give_back(lease, after_s=_OTHER_REVIEWER_DELAY_S)
        return None

    def _receive(self, received: Iterator[Lease]) -> Iterator[Lease]:
        """Yield the leases of requests to show.

        Not shown are requests about photos that are answered already or that were deleted with their records, those
        with a newer message, and those about photos of which a session holds an older message.
        """
        for lease in received:
            try:
                record = lease.record = self._records.get(lease.request.photo.photo_id)
                if record and lease.request.is_without_driver:
                    lease.request = lease.request.with_prediction(record)
                label = self._delivery.find_answer(lease.request, record) if record else None
            except Exception as error:
                # Without this, each request that is received during an outage of AWS nears the dead-letter queue.
                self._leases.give_back(lease)
                error.add_note(f"The request about photo {lease.request.photo.photo_id} went back to the queue.")
                raise
            if record and label:
                self._delivery.finish(lease, label, record)
            elif record is None or lease.is_superseded:
                self._leases.delete(lease)
            elif not self._replace_held(lease):
                yield lease

    def _replace_held(self, lease: Lease) -> bool:
        """Give a new message about a photo to the session that holds an older one; False when none holds one.

        The older message has a task token that no execution waits for, because the review was requested again.
        """
        for session in self._list_sessions():
            older = next((one for one in session.leases() if lease.replaces(one)), None)
            if older is None:
                continue
            # Without waiting: two sessions that take requests at the same time must not wait for each other.
            replaced = session.lock.acquire(blocking=False)
            if replaced:
                try:
                    replaced = session.replace_lease(older, lease)
                finally:
                    session.lock.release()
            if replaced:
                self._leases.delete(older)
            else:
                self._leases.give_back(lease, after_s=_REPLACE_RETRY_S)
            return True
        return False

    def _finish_restarted(self) -> None:
        """Look for new messages about photos whose answers came after their executions had ended.

        An execution that was started again sends a new message. The answer is in the label, so `_receive` finishes it.
        """
        sent_again = False
        for photo_id, unaccepted in list(self._unaccepted.items()):
            record = self._records.get(photo_id)
            if record is None or record.has_outcome or not unaccepted.searches_left:
                self._unaccepted.pop(photo_id, None)
            elif is_sent_again(record, unaccepted.token_hash):
                unaccepted.searches_left -= 1
                sent_again = True
        if sent_again:
            for lease in list(self._receive(self._leases.receive(_MAX_RECEIVES))):
                self._leases.give_back(lease)

    def _schedule(self) -> None:
        """Deliver answers when they are due and extend leases, until the desk is closed."""
        interval_s = self._leases.lease_s / _EXTENSIONS_PER_LEASE
        next_extension = time.monotonic() + interval_s
        while True:
            with self._changed:
                if self._closed:
                    return
                sessions = list(self._sessions)
                due = [one.due for session in sessions for one in list(session.answers) if not one.delivering]
                self._changed.wait(max(0.0, min([next_extension, *due]) - time.monotonic()))
                if self._closed:
                    return
            now = time.monotonic()
            for session in sessions:
                for answer in self._start_deliveries(session, until=now):
                    self._pool.submit(self._deliver_with_retry, session, answer)
            if now >= next_extension:
                next_extension = now + interval_s
                leases = (lease for session in sessions for lease in session.leases())
                self._pool.submit(self._leases.extend, leases)

    def _start_deliveries(self, session: Session, until: float) -> list[Answer]:
        """Mark the session's answers that are due by `until`, on the monotonic clock, and return them."""
        with session.lock:
            due = [answer for answer in session.answers if not answer.delivering and answer.due <= until]
            for answer in due:
                answer.delivering = True
        return due

    def _deliver_with_retry(self, session: Session, answer: Answer) -> None:
        """Deliver an answer; after a failure the scheduler tries again."""
        if self._delivery.try_deliver(session, answer):
            if answer.accepted is False:
                self._unaccepted[answer.photo_id] = _Unaccepted(answer.lease.request.token_hash)
                for oldest in list(self._unaccepted)[:-_MAX_UNACCEPTED]:
                    self._unaccepted.pop(oldest, None)
            self._remove_if_finished(session)
        else:
            self._wake_scheduler()

    def _remove_if_finished(self, session: Session) -> None:
        """Remove a closed session after its last answer."""
        with self._changed:
            if session.closed and not session.answers and session in self._sessions:
                self._sessions.remove(session)

    def _wake_scheduler(self) -> None:
        with self._changed:
            self._changed.notify_all()
