"""The review queue and its dead-letter queue: message counts, and the redrive of failed requests."""

import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from console.aws import Aws
from console.labels import Labels
from console.review_request import MalformedRequest, parse_review_request, redacted
from deploy.outputs import Deployed
from functions.shared.photo_record import IN_REVIEW
from functions.shared.photo_table import PhotoTable
from functions.shared.times import now, timestamp

if TYPE_CHECKING:
    from mypy_boto3_sqs.literals import QueueAttributeNameType
    from mypy_boto3_sqs.type_defs import MessageTypeDef

_CACHE_S = 3.0
_VISIBILITY_TIMEOUT_S = 5
_MAX_DEAD_LETTERS = 50


@dataclass(frozen=True)
class QueueFigures:
    """The figures at the top of the Review page.

    `waiting` and `leased` count the visible and the leased messages; `drivers` counts the drivers who wait for an
    answer, `oldest_s` is the longest wait in seconds; `dead` counts the messages in the dead-letter queue.
    """

    waiting: int
    leased: int
    drivers: int
    oldest_s: float | None
    answers_today: int
    dead: int


@dataclass(frozen=True)
class DeadLetter:
    """A message that reached maxReceiveCount without an answer. `problem` is None when it can be answered now."""

    message_id: str
    sent_at: str
    receives: int
    problem: str | None
    body: str


class Queue:
    """The review queue and its dead-letter queue."""

    def __init__(self, deployed: Deployed, aws: Aws, labels: Labels) -> None:
        """Read the queues of one stage."""
        self._deployed = deployed
        self._aws = aws
        self._labels = labels
        self._photos = PhotoTable(deployed.photo_table, aws.dynamodb)
        self._lock = threading.Lock()
        self._figures: tuple[float, QueueFigures] | None = None  # the time of the measurement, the figures

    def figures(self) -> QueueFigures:
        """Return the current figures. The result is cached for 3 seconds."""
        with self._lock:
            if self._figures is None or time.monotonic() - self._figures[0] > _CACHE_S:
                self._figures = (time.monotonic(), self._measure())
            return self._figures[1]

    def dead_letters(self) -> list[DeadLetter]:
        """Return up to 50 messages of the dead-letter queue; other consumers can receive them 5 seconds later."""
        return [letter for letter, _ in self._receive_dead_letters()]

    def redrive(self, *, everything: bool = False) -> tuple[int, list[DeadLetter]]:
        """Send the failed requests that can be answered back to the review queue, or all of them with `everything`.

        Returns how many were sent, and those that stayed. Each is sent before it is deleted: a failure in between
        duplicates a request but does not lose it.
        """
        sent, stayed = 0, []
        sqs = self._aws.sqs
        while batch := self._receive_dead_letters():
            before = sent
            for letter, message in batch:
                if letter.problem and not everything:
                    stayed.append(letter)
                    continue
                sqs.send_message(QueueUrl=self._deployed.review_queue_url, MessageBody=message["Body"])
                sqs.delete_message(
                    QueueUrl=self._deployed.review_dead_letter_queue_url, ReceiptHandle=message["ReceiptHandle"]
                )
                sent += 1
            if sent == before or len(batch) < _MAX_DEAD_LETTERS:
                break
        return sent, stayed

    def _receive_dead_letters(self) -> "list[tuple[DeadLetter, MessageTypeDef]]":
        found: dict[str, tuple[DeadLetter, MessageTypeDef]] = {}
        while len(found) < _MAX_DEAD_LETTERS:
            received = self._aws.sqs.receive_message(
                QueueUrl=self._deployed.review_dead_letter_queue_url,
                MaxNumberOfMessages=10,
                VisibilityTimeout=_VISIBILITY_TIMEOUT_S,
                AttributeNames=["All"],
            )
            new = [m for m in received.get("Messages", []) if m["MessageId"] not in found]
            if not new:
                break
            found.update({message["MessageId"]: (self._parse_dead_letter(message), message) for message in new})
        return list(found.values())

    def _parse_dead_letter(self, message: "MessageTypeDef") -> DeadLetter:
        sent_at = datetime.fromtimestamp(int(message["Attributes"]["SentTimestamp"]) / 1000, UTC)
        try:
            parse_review_request(message["Body"], bucket=self._deployed.uploads_bucket, sent_at=sent_at)
            problem = None
        except MalformedRequest as error:
            problem = str(error)
        receives = int(message["Attributes"].get("ApproximateReceiveCount", 0))
        return DeadLetter(message["MessageId"], timestamp(sent_at), receives, problem, redacted(message["Body"]))

    def _measure(self) -> QueueFigures:
        visible, leased = self._count_messages(self._deployed.review_queue_url)
        drivers, oldest = self._count_waiting_drivers()
        moment = now()
        midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        return QueueFigures(
            waiting=visible,
            leased=leased,
            drivers=drivers,
            oldest_s=(moment - oldest).total_seconds() if oldest else None,
            answers_today=self._labels.count_written_since(midnight),
            dead=sum(self._count_messages(self._deployed.review_dead_letter_queue_url)),
        )

    def _count_messages(self, url: str) -> tuple[int, int]:
        """Return the numbers of visible and of leased messages."""
        names: list[QueueAttributeNameType] = [
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
        ]
        found = self._aws.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return int(found[names[0]]), int(found[names[1]])

    def _count_waiting_drivers(self) -> tuple[int, datetime | None]:
        """Return how many photos in review have a waiting execution, and the time of the oldest request."""
        moment = timestamp(now())
        reviews = [record.review for record in self._photos.list_by_status(IN_REVIEW) if record.review]
        requested = [review["requested_at"] for review in reviews if review["expires_at"] > moment]
        return len(requested), datetime.fromisoformat(min(requested)) if requested else None
