"""The queue as everyone sees it: how much waits, how long already, what could not be read."""

import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from console.aws import Aws
from console.labels import Labels
from console.request import MalformedRequest, read, redacted
from deploy.outputs import Deployed
from functions.shared.dynamodb import attributes, values
from functions.shared.times import now, timestamp

_FRESH_S = 3.0
_PAGES = 10  # of up to 1 MB each: a count for people need not be exact
_PEEK_S = 5
_PEEKED = 50


@dataclass(frozen=True)
class Figures:
    """The numbers at the top of the review page.

    `waiting`: messages nobody holds; `on_screens`: messages somebody holds; `drivers`: drivers who wait for an answer,
    `oldest_s` the longest of their waits in seconds; `dead`: messages in the dead-letter queue.
    """

    waiting: int
    on_screens: int
    drivers: int
    oldest_s: float | None
    answers_today: int
    dead: int


@dataclass(frozen=True)
class DeadLetter:
    """A message that was received five times without an answer. `problem` is None when it could be answered now."""

    message_id: str
    sent_at: str
    receives: int
    problem: str | None
    body: str


class Queue:
    """The review queue and its dead-letter queue."""

    def __init__(self, resources: Deployed, aws: Aws, labels: Labels) -> None:
        self._resources = resources
        self._aws = aws
        self._labels = labels
        self._lock = threading.Lock()
        self._figures: tuple[float, Figures] | None = None

    def figures(self) -> Figures:
        """The current numbers, at most three seconds old."""
        with self._lock:
            if self._figures is None or time.monotonic() - self._figures[0] > _FRESH_S:
                self._figures = (time.monotonic(), self._count())
            return self._figures[1]

    def dead_letters(self) -> list[DeadLetter]:
        """Look at up to fifty dead letters; others may see them again five seconds later."""
        return [letter for letter, _ in self._dead()]

    def redrive(self, *, everything: bool = False) -> tuple[int, list[DeadLetter]]:
        """Send the dead letters that can be answered back to the review queue, or all of them.

        Returns how many were sent back, and those that stayed. Sent first, deleted second: a request may be there
        twice for a moment, never not at all.
        """
        sent, stayed = 0, []
        sqs = self._aws.sqs
        while batch := self._dead():
            before = sent
            for letter, message in batch:
                if letter.problem and not everything:
                    stayed.append(letter)
                    continue
                sqs.send_message(QueueUrl=self._resources.review_queue_url, MessageBody=message["Body"])
                sqs.delete_message(
                    QueueUrl=self._resources.review_dead_letter_queue_url, ReceiptHandle=message["ReceiptHandle"]
                )
                sent += 1
            if sent == before or len(batch) < _PEEKED:
                break
        return sent, stayed

    def _dead(self) -> list[tuple[DeadLetter, dict[str, Any]]]:
        found: dict[str, tuple[DeadLetter, dict[str, Any]]] = {}
        while len(found) < _PEEKED:
            answer = self._aws.sqs.receive_message(
                QueueUrl=self._resources.review_dead_letter_queue_url,
                MaxNumberOfMessages=10,
                VisibilityTimeout=_PEEK_S,
                AttributeNames=["All"],
            )
            new = [m for m in answer.get("Messages", []) if m["MessageId"] not in found]
            if not new:
                break
            found.update({message["MessageId"]: (self._letter(message), message) for message in new})
        return list(found.values())

    def _letter(self, message: dict[str, Any]) -> DeadLetter:
        sent_at = datetime.fromtimestamp(int(message["Attributes"]["SentTimestamp"]) / 1000, UTC)
        try:
            read(message["Body"], bucket=self._resources.uploads_bucket, sent_at=sent_at)
            problem = None
        except MalformedRequest as error:
            problem = str(error)
        receives = int(message["Attributes"].get("ApproximateReceiveCount", 0))
        return DeadLetter(message["MessageId"], timestamp(sent_at), receives, problem, redacted(message["Body"]))

    def _count(self) -> Figures:
        shown, held = self._depth(self._resources.review_queue_url)
        drivers, oldest = self._drivers()
        moment = now()
        midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        return Figures(
            waiting=shown,
            on_screens=held,
            drivers=drivers,
            oldest_s=(moment - oldest).total_seconds() if oldest else None,
            answers_today=self._labels.answered_since(midnight),
            dead=sum(self._depth(self._resources.review_dead_letter_queue_url)),
        )

    def _depth(self, url: str) -> tuple[int, int]:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self._aws.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return int(found[names[0]]), int(found[names[1]])

    def _drivers(self) -> tuple[int, datetime | None]:
        """Photos in review whose execution still waits, and when the first of them was asked about."""
        pages = self._aws.dynamodb.get_paginator("scan").paginate(
            TableName=self._resources.photo_table,
            FilterExpression="#status = :in_review AND #expires_at > :now",
            ExpressionAttributeNames={"#status": "status", "#expires_at": "expires_at"},
            ExpressionAttributeValues=attributes({":in_review": "in_review", ":now": timestamp(now())}),
        )
        asked = sorted(values(item)["requested_at"] for page in islice(pages, _PAGES) for item in page["Items"])
        return len(asked), datetime.fromisoformat(asked[0]) if asked else None
