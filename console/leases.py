"""Leases of requests: receive SQS messages, extend their visibility timeout, give them back, delete them."""

import json
import logging
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from console.review_request import MalformedRequest, ReviewRequest, parse_label_request, parse_review_request
from deploy.outputs import Deployed
from functions.shared.audit import SECOND
from functions.shared.aws import error_code
from functions.shared.photo_record import IN_REVIEW, PhotoRecord

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import ChangeMessageVisibilityBatchRequestEntryTypeDef, MessageTypeDef

log = logging.getLogger(__name__)

LEASE_S = 60
"""The visibility timeout of a leased message."""

WAIT_S = 1
"""Seconds of long polling in a search: without it, SQS asks only some of its servers and may miss messages."""

_MALFORMED_RETRY_S = 1
_BATCH = 10  # the limit of SQS


@dataclass(eq=False)
class Lease:
    """A request whose message is invisible to other consumers of the queue.

    `queue_url` is the URL of that queue. `record` is the record of the photo as it was when the message was received,
    None for a photo without one. `opinion_shown` is whether the reviewer has seen the prediction.
    """

    id: str
    request: ReviewRequest
    queue_url: str
    receipt_handle: str = field(repr=False)
    receive_count: int
    record: PhotoRecord | None = None
    opinion_shown: bool = False

    def is_label_only(self, now: datetime) -> bool:
        """Whether an answer becomes a label only, because the execution no longer waits for it."""
        return (self.record is not None and self.record.has_outcome) or self.request.expired(now)

    def may_be_answered_by(self, reviewer: str) -> bool:
        """Whether a reviewer may answer: a second opinion is that of another one than the first."""
        if self.request.reason != SECOND or self.record is None or self.record.second_request is None:
            return True
        return bool(self.record.second_request["first"]["reviewer"] != reviewer)

    @property
    def is_superseded(self) -> bool:
        """Whether the queue has a newer message about the photo, because its review was requested again."""
        return self.record is not None and is_sent_again(self.record, self.request.token_hash)

    def replaces(self, other: "Lease") -> bool:
        """Whether the photo waits for the answer to this message, and `other` is about the same photo."""
        photo_id, token_hash = self.request.photo.photo_id, self.request.token_hash
        if other.request.photo.photo_id != photo_id or other.request.token_hash == token_hash:
            return False
        return self.record is not None and _awaited(self.record) == token_hash


def is_sent_again(record: PhotoRecord, token_hash: str) -> bool:
    """Whether a photo waits for the answer to a message with another task token than that of `token_hash`."""
    awaited = _awaited(record)
    return awaited is not None and awaited != token_hash and awaited == record.review_sent


def _awaited(record: PhotoRecord) -> str | None:
    """Return the hash of the task token whose answer a photo waits for; None when it is not in review."""
    return record.review["token_hash"] if record.status == IN_REVIEW and record.review else None


class Leases:
    """The messages of the review queue and of the audit queue that this process has received."""

    def __init__(self, deployed: Deployed, sqs: "SQSClient", lease_s: int = LEASE_S) -> None:
        """`lease_s`: the visibility timeout in seconds, which `extend` restarts."""
        self.lease_s = lease_s
        self._review_queue_url = deployed.review_queue_url
        self._audit_queue_url = deployed.audit_queue_url
        self._uploads_bucket = deployed.uploads_bucket
        self._sqs = sqs
        self._max_receive_counts: dict[str, float] = {}

    def receive(self, max_messages: int) -> Iterator[Lease]:
        """Receive up to `max_messages` of the review queue, one at a time, until it is empty.

        A malformed request is skipped and not deleted: after the queue's `maxReceiveCount` SQS moves it to the
        dead-letter queue.
        """
        return self._receive(self._review_queue_url, max_messages)

    def search(self, photo_id: str, max_messages: int) -> Iterator[Lease]:
        """Receive messages of the review queue until some are about a photo; yield these, and give the others back.

        SQS returns messages in no order and cannot be asked for one. None is yielded when the message is not among the
        first `max_messages`, or another consumer has received it.
        """
        found: list[Lease] = []
        others: list[Lease] = []
        try:
            while not found and len(others) < max_messages:
                received = self._sqs.receive_message(
                    QueueUrl=self._review_queue_url,
                    MaxNumberOfMessages=_BATCH,
                    VisibilityTimeout=self.lease_s,
                    WaitTimeSeconds=WAIT_S,
                    MessageSystemAttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
                ).get("Messages", [])
                if not received:
                    break
                for message in received:
                    if lease := self._try_lease(self._review_queue_url, message):
                        (found if lease.request.photo.photo_id == photo_id else others).append(lease)
        finally:
            self._give_back_all(others)
        yield from found

    def receive_audits(self, max_messages: int) -> Iterator[Lease]:
        """Receive up to `max_messages` of the audit queue, one at a time, until it is empty.

        A malformed request is deleted: no driver waits for it.
        """
        return self._receive(self._audit_queue_url, max_messages)

    def _receive(self, queue_url: str, max_messages: int) -> Iterator[Lease]:
        for _ in range(max_messages):
            received = self._sqs.receive_message(
                QueueUrl=queue_url,
                MaxNumberOfMessages=1,
                VisibilityTimeout=self.lease_s,
                MessageSystemAttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
            )
            if not received.get("Messages"):
                return
            if lease := self._try_lease(queue_url, received["Messages"][0]):
                yield lease

    def _try_lease(self, queue_url: str, message: "MessageTypeDef") -> Lease | None:
        """Parse a message; delete a malformed one of the audit queue, leave one of the review queue, return None."""
        try:
            return self._lease(queue_url, message)
        except MalformedRequest as error:
            log.warning("message %s is not a review request: %s", message["MessageId"], error)
            if queue_url == self._audit_queue_url:
                self._sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
            else:
                self._set_visibility(queue_url, message["ReceiptHandle"], _MALFORMED_RETRY_S)
            return None

    def extend(self, leases: Iterable[Lease]) -> None:
        """Restart the visibility timeout of each message. Failures are logged."""
        for lease in leases:
            try:
                self._set_visibility(lease.queue_url, lease.receipt_handle, self.lease_s)
            except BotoCoreError as error:
                log.warning("photo %s: its lease was not extended: %s", lease.request.photo.photo_id, error)

    def give_back(self, lease: Lease, *, after_s: int = 0) -> None:
        """Make a message visible to other consumers after `after_s` seconds.

        A message near the queue's `maxReceiveCount` is sent again and deleted: skipping a photo must not move it to
        the dead-letter queue. If AWS fails, the message becomes visible at the end of its visibility timeout.
        """
        try:
            if lease.receive_count >= self._receive_limit(lease.queue_url) - 1:
                self._sqs.send_message(QueueUrl=lease.queue_url, MessageBody=lease.request.body, DelaySeconds=after_s)
                self.delete(lease)
            else:
                self._set_visibility(lease.queue_url, lease.receipt_handle, after_s)
        except (ClientError, BotoCoreError) as error:
            log.warning("photo %s was not given back: %s", lease.request.photo.photo_id, error)

    def _give_back_all(self, leases: list[Lease]) -> None:
        """Make messages of the review queue visible at once. If AWS fails, they become visible after the timeout."""
        try:
            limit = self._receive_limit(self._review_queue_url) - 1
            for lease in (one for one in leases if one.receive_count >= limit):
                self.give_back(lease)
            handles = [one.receipt_handle for one in leases if one.receive_count < limit]
            for start in range(0, len(handles), _BATCH):
                entries: list[ChangeMessageVisibilityBatchRequestEntryTypeDef] = [
                    {"Id": str(number), "ReceiptHandle": handle, "VisibilityTimeout": 0}
                    for number, handle in enumerate(handles[start : start + _BATCH])
                ]
                self._sqs.change_message_visibility_batch(QueueUrl=self._review_queue_url, Entries=entries)
        except (ClientError, BotoCoreError) as error:
            log.warning("%d requests are hidden for up to %d seconds: %s", len(leases), self.lease_s, error)

    def delete(self, lease: Lease) -> None:
        """Delete a message; an expired receipt handle is not an error. Raises ClientError, BotoCoreError."""
        try:
            self._sqs.delete_message(QueueUrl=lease.queue_url, ReceiptHandle=lease.receipt_handle)
        except ClientError as error:
            if error_code(error) != "ReceiptHandleIsInvalid":
                raise

    def _lease(self, queue_url: str, message: "MessageTypeDef") -> Lease:
        """Parse a message. Raises MalformedRequest."""
        sent_at = datetime.fromtimestamp(int(message["Attributes"]["SentTimestamp"]) / 1000, UTC)
        if queue_url == self._audit_queue_url:
            request = parse_label_request(message["Body"], bucket=self._uploads_bucket)
        else:
            request = parse_review_request(message["Body"], bucket=self._uploads_bucket, sent_at=sent_at)
        receive_count = int(message["Attributes"]["ApproximateReceiveCount"])
        return Lease(uuid.uuid4().hex, request, queue_url, message["ReceiptHandle"], receive_count)

    def _receive_limit(self, queue_url: str) -> float:
        """Return after how many receptions a message is moved to a dead-letter queue; infinite without one."""
        if queue_url not in self._max_receive_counts:
            found = self._sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["RedrivePolicy"])
            policy = json.loads(found.get("Attributes", {}).get("RedrivePolicy", "{}"))
            self._max_receive_counts[queue_url] = float(policy.get("maxReceiveCount", "inf"))
        return self._max_receive_counts[queue_url]

    def _set_visibility(self, queue_url: str, receipt_handle: str, seconds: int) -> None:
        try:
            self._sqs.change_message_visibility(
                QueueUrl=queue_url, ReceiptHandle=receipt_handle, VisibilityTimeout=seconds
            )
        except ClientError as error:
            # The message was deleted, or another consumer received it. Then the label of the first answer is final.
            log.info("a visibility timeout was not changed: %s", error_code(error))
