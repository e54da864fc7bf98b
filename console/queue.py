"""The figures of the review queue and of the queues of failed requests."""

import threading
import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from console.aws import Aws
from console.reviews import Reviews
from deploy.outputs import Deployed
from functions.shared.photo_reader import PhotoReader
from functions.shared.photo_record import IN_REVIEW
from functions.shared.photo_table import PhotoTable
from functions.shared.times import now, timestamp

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.literals import QueueAttributeNameType

_CACHE_S = 3.0


@dataclass(frozen=True)
class QueueFigures:
    """The figures at the top of the Review page.

    `waiting` and `leased` count the visible and the leased messages of the review queue, `audits` the visible ones of
    the audit queue; `drivers` counts the drivers who wait for an
    answer, `oldest_s` is the longest wait in seconds; `dead` counts the failed requests: the
    messages in the dead-letter queue and in the unrouted queue.
    """

    waiting: int
    leased: int
    audits: int
    drivers: int
    oldest_s: float | None
    answers_today: int
    dead: int


class Queue:
    """The review queue and its dead-letter queue."""

    def __init__(self, deployed: Deployed, aws: Aws, reviews: Reviews) -> None:
        """Read the queues of one stage."""
        self._deployed = deployed
        self._aws = aws
        self._reviews = reviews
        self._photos = PhotoTable(deployed.photo_table, aws.dynamodb)
        self._lock = threading.Lock()
        self._figures: tuple[float, QueueFigures] | None = None  # the time of the measurement, the figures

    def figures(self) -> QueueFigures:
        """Return the current figures. The result is cached for 3 seconds."""
        with self._lock:
            if self._figures is None or time.monotonic() - self._figures[0] > _CACHE_S:
                self._figures = (time.monotonic(), self._measure())
            return self._figures[1]

    def _measure(self) -> QueueFigures:
        visible, leased = count_messages(self._aws.sqs, self._deployed.review_queue_url)
        drivers, oldest = count_waiting_drivers(self._photos)
        moment = now()
        midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        return QueueFigures(
            waiting=visible,
            leased=leased,
            audits=count_messages(self._aws.sqs, self._deployed.audit_queue_url)[0],
            drivers=drivers,
            oldest_s=(moment - oldest).total_seconds() if oldest else None,
            answers_today=self._reviews.count_answered_since(midnight),
            dead=sum(count_messages(self._aws.sqs, self._deployed.review_dead_letter_queue_url))
            + sum(count_messages(self._aws.sqs, self._deployed.unrouted_queue_url)),
        )


def count_messages(sqs: "SQSClient", url: str) -> tuple[int, int]:
    """Return the numbers of visible and of received messages of a queue. Raises ClientError, BotoCoreError."""
    names: list[QueueAttributeNameType] = [
        "ApproximateNumberOfMessages",
        "ApproximateNumberOfMessagesNotVisible",
    ]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return int(found[names[0]]), int(found[names[1]])


def count_waiting_drivers(photos: PhotoReader) -> tuple[int, datetime | None]:
    """Return how many photos in review have a waiting execution, and the time of the oldest request.

    Raises RecordUnavailable.
    """
    moment = timestamp(now())
    reviews = [record.review for record in photos.list_by_status(IN_REVIEW) if record.review]
    requested = [review["requested_at"] for review in reviews if review["expires_at"] > moment]
    return len(requested), datetime.fromisoformat(min(requested)) if requested else None
