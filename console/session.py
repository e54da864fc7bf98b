"""The state of one reviewer's session: leased requests, answers that are not delivered yet, and notices."""

import threading
from dataclasses import dataclass, field, replace
from datetime import datetime

from console.identity import Reviewer
from console.labels import Label
from console.leases import Lease

# The kinds of an Outcome.
ROUTED = "routed"
LABEL_ONLY = "label-only"
ANSWERED_BEFORE = "answered-before"
DELAYED = "delayed"
DELETED = "deleted"
AUDITED = "audited"

_MAX_NOTICES = 50


class NotLeased(LookupError):
    """The session does not hold the request: it was answered, given back, or its lease expired."""


class NotChosen(LookupError):
    """The request about a chosen photo cannot be leased: somebody else has it, or the queue did not return it."""


@dataclass(eq=False)
class Answer:
    """An answer that is not delivered yet.

    `due` is the time of its delivery on the monotonic clock, the end of the undo window. `attempts` counts the failed
    deliveries; `delivering` is true during a delivery. `label` is the label once it is saved. `accepted` is what Step
    Functions responded to the task token, None until then: a token is accepted only once, so a retry must not send it
    again. `announced` are the keys of the labels whose events were published by its deliveries.
    """

    lease: Lease
    vehicle: str
    reviewer: Reviewer
    answered_at: datetime
    due: float
    attempts: int = 0
    delivering: bool = False
    label: Label | None = None
    accepted: bool | None = None
    announced: set[str] = field(default_factory=set)

    @property
    def photo_id(self) -> str:
        """The id of the photo that was answered."""
        return self.lease.request.photo.photo_id

    def can_be_undone(self, moment: float) -> bool:
        """Whether no delivery was attempted before `moment`. A failed delivery may have written the label."""
        return not self.attempts and not self.delivering and moment < self.due


@dataclass(frozen=True)
class Outcome:
    """The result of an answer, for its reviewer.

    `kind` is ROUTED, LABEL_ONLY, AUDITED, ANSWERED_BEFORE, DELAYED or DELETED. `number` counts the outcomes of a
    session from 1.
    """

    kind: str
    photo_id: str
    vehicle: str
    message: str
    number: int = 0


@dataclass(eq=False)
class Session:
    """The session of one reviewer: `leased` are the current request and the next, `answers` the undelivered answers."""

    reviewer: Reviewer
    leased: list[Lease] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    notices: list[Outcome] = field(default_factory=list)
    notice_count: int = 0
    closed: bool = False
    lock: threading.RLock = field(default_factory=threading.RLock)

    def notify(self, outcome: Outcome) -> None:
        """Add a notice for the reviewer; the newest 50 are kept."""
        self.notice_count += 1
        self.notices = [*self.notices, replace(outcome, number=self.notice_count)][-_MAX_NOTICES:]

    def remove(self, lease_id: str) -> Lease:
        """Remove a lease from the session and return it. Raises NotLeased."""
        for lease in self.leased:
            if lease.id == lease_id:
                self.leased.remove(lease)
                return lease
        raise NotLeased("This photo is no longer yours: it was answered, or it went back to the queue.")

    def move_to_front(self, photo_id: str) -> bool:
        """Make the request about a photo the current one; False when the session does not hold it.

        Who chose a photo has seen its prediction, if any, on the page of photos.
        """
        chosen = [lease for lease in self.leased if lease.request.photo.photo_id == photo_id]
        for lease in chosen:
            lease.opinion_shown |= lease.request.vehicle is not None
        self.leased = [*chosen, *(lease for lease in self.leased if lease not in chosen)]
        return bool(chosen)

    def replace_lease(self, older: Lease, newer: Lease) -> bool:
        """Hold `newer` in place of `older`, with the same id; False when the session does not hold it any more.

        The answer that is being delivered keeps its lease.
        """
        newer = replace(newer, id=older.id, opinion_shown=older.opinion_shown)
        if older in self.leased:
            self.leased[self.leased.index(older)] = newer
            return True
        for answer in self.answers:
            if answer.lease is older and not answer.delivering:
                answer.lease, answer.accepted = newer, None
                return True
        return False

    def leases(self) -> list[Lease]:
        """All leases that must be extended: those of the leased requests and of the undelivered answers."""
        return [*self.leased, *(answer.lease for answer in self.answers)]
