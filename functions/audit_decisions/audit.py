"""One run of the audit: request labels, record answers, request second opinions, send the requests."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

from functions.audit_decisions.answers import Answer, Answers
from functions.audit_decisions.requests import AuditQueue, find_reason
from functions.shared.audit import SECOND, WINDOW, AuditFigures
from functions.shared.label_requests import LABEL, SECOND_LABEL, LabelRequests, new_request
from functions.shared.photo_record import ROUTED, PhotoRecord
from functions.shared.sampling import SECOND_OPINION, in_sample
from functions.shared.times import timestamp

MOST_CHANGES = 1000
"""How many photos one run changes at most; the next one continues."""

# A request is answered while its message exists: 14 days in the audit queue, or in the review queue and then in its
# dead-letter queue.
ANSWERED_WITHIN = timedelta(days=28)
SECOND_OPINION_DAYS = 3
"""For how many days after a review request, today included, a second reviewer may be asked about its photo."""
_HASH_DIGITS = 16  # of the token hash, in the key of an answer


@dataclass
class Audit:
    """A run. `second_share` is the share in [0, 1] of answered photos that a second reviewer is asked about.

    Each step is repeated by the next run until it has succeeded: a request is recorded first and sent then, so no
    message is about a photo without it. A message is sent again when the response of SQS was lost; the console shows
    no request that is answered.
    """

    photos: LabelRequests
    answers: Answers
    queue: AuditQueue
    second_share: float
    at: datetime
    requested: int = 0
    answered: int = 0
    sent: int = 0
    _records: dict[str, PhotoRecord] = field(default_factory=dict)
    _changes: int = 0

    def run(self) -> AuditFigures:
        """Do the steps; return the figures after them. Raises RecordUnavailable, ClientError, BotoCoreError."""
        since = timestamp(self.at - WINDOW)
        self._records = {record.photo.photo_id: record for record in self.photos.list_label_wanted(since)}
        for record in list(self._records.values()):
            if record.label_request is None and (reason := find_reason(record)):
                self._request(record, LABEL, new_request(record.photo, reason, self.at))
        days = list(self._days())
        recent = self.answers.list_answered(days[:SECOND_OPINION_DAYS])
        earlier = self.answers.list_answered(days[SECOND_OPINION_DAYS:])
        answered = (recent.keys() | earlier.keys()) & self._records.keys()
        for photo_id in answered:
            hashes = recent.get(photo_id, set()) | earlier.get(photo_id, set())
            self._record_answers(self._records[photo_id], hashes)
        self._request_second_opinions({*recent, *answered})
        for wanted in list(self._records.values()):
            self._send(wanted)
        return AuditFigures.of(self._records.values())

    def _days(self) -> Iterator[date]:
        """Yield the days whose requests may have new answers."""
        for days_ago in range(ANSWERED_WITHIN.days + 1):
            yield (self.at - timedelta(days=days_ago)).date()

    def _request(self, record: PhotoRecord, kind: str, request: dict[str, object]) -> None:
        if self._may_change() and self.photos.add(record, kind, request, self.at):
            self.requested += 1
            requests = (*record.review_requests, request)
            # The names of the attributes and of the fields are the same.
            changes: dict[str, object] = {f"{kind}_request": request, "review_requests": requests}
            self._records[record.photo.photo_id] = replace(record, **changes)  # type: ignore[arg-type]

    def _record_answers(self, record: PhotoRecord, hashes: set[str]) -> None:
        """Record the answers to the two requests of a photo, of which `hashes` has the first digits of those answered.

        An answer of the reviewer who gave the first one is no second opinion.
        """
        photo_id = record.photo.photo_id
        found: list[Answer] | None = None
        for kind, request, answer in (
            (LABEL, record.label_request, record.label_answer),
            (SECOND_LABEL, record.second_request, record.second_answer),
        ):
            if answer or request is None or request["token_hash"][:_HASH_DIGITS] not in hashes:
                continue
            found = self.answers.read(photo_id, record.review_requests) if found is None else found
            other = request.get("first", {}).get("reviewer")
            # A late answer to the review that timed out is an answer to its request for a label, too.
            counting = [
                one
                for one in found
                if one.reviewer != other and (kind == LABEL or one.token_hash == request["token_hash"])
            ]
            if counting and self._may_change():
                self.photos.record_answer(photo_id, kind, counting[0].as_attribute())
                self.answered += 1
                record = replace(record, **{f"{kind}_answer": counting[0].as_attribute()})  # type: ignore[arg-type]
        self._records[photo_id] = record

    def _request_second_opinions(self, answered: set[str]) -> None:
        for photo_id in answered:
            if not in_sample(photo_id, self.second_share, SECOND_OPINION):
                continue
            record = self._records.get(photo_id) or self.photos.get(photo_id)
            if record is None or record.status != ROUTED or record.second_request:
                continue
            if given := self.answers.read(photo_id, record.review_requests):
                first = {"first": given[0].as_attribute()}
                self._request(record, SECOND_LABEL, new_request(record.photo, SECOND, self.at) | first)

    def _send(self, record: PhotoRecord) -> None:
        for kind, request, sent in (
            (LABEL, record.label_request, record.label_sent),
            (SECOND_LABEL, record.second_request, record.second_sent),
        ):
            if request and not sent and self._may_change():
                self.queue.send(record, request)
                self.photos.mark_sent(record.photo.photo_id, kind, request["token_hash"])
                self.sent += 1

    def _may_change(self) -> bool:
        self._changes += 1
        return self._changes <= MOST_CHANGES
