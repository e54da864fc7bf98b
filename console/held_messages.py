"""All messages of an SQS queue, received for a look or for work."""

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

HOLD_S = 120
WAIT_S = 1
_BATCH = 10  # the limit of SQS
_FRUITLESS_RECEIVES = 3

log = logging.getLogger(__name__)


class HeldMessages:
    """The messages of a queue, each once. Use it in `with`: at its end, those that were not deleted are visible again.

    SQS hides a received message from other consumers for `hold_s` seconds. Without the end of the block, as after
    SIGKILL, the messages are visible again after that time.
    """

    def __init__(self, sqs: "SQSClient", url: str, *, hold_s: int = HOLD_S, wait_s: int = WAIT_S) -> None:
        """`wait_s`: seconds of long polling. With 0, SQS asks only some of its servers and may miss messages."""
        self._sqs = sqs
        self._url = url
        self._hold_s = hold_s
        self._wait_s = wait_s
        self._held: dict[str, str] = {}  # receipt handles by message id

    def __enter__(self) -> "HeldMessages":
        """Return the messages."""
        return self

    def __exit__(self, *_: object) -> None:
        """Make the messages that were not deleted visible at once."""
        held = list(self._held.values())
        for start in range(0, len(held), _BATCH):
            entries = [
                {"Id": str(number), "ReceiptHandle": handle, "VisibilityTimeout": 0}
                for number, handle in enumerate(held[start : start + _BATCH])
            ]
            try:
                self._sqs.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)  # type: ignore[arg-type]
            except (ClientError, BotoCoreError) as error:
                log.warning("Messages are hidden for up to %d seconds: %s", self._hold_s, error)
        self._held.clear()

    def __iter__(self) -> Iterator["MessageTypeDef"]:
        """Receive until the queue has no further message. SQS may return a message again: that one is left out."""
        seen: set[str] = set()
        fruitless = 0
        while fruitless < _FRUITLESS_RECEIVES:
            received = self._sqs.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=_BATCH,
                VisibilityTimeout=self._hold_s,
                WaitTimeSeconds=self._wait_s,
                MessageSystemAttributeNames=["All"],
                MessageAttributeNames=["All"],
            ).get("Messages", [])
            if not received:
                return
            new = [message for message in received if message["MessageId"] not in seen]
            self._held.update({message["MessageId"]: message["ReceiptHandle"] for message in received})
            seen.update(message["MessageId"] for message in new)
            fruitless = 0 if new else fruitless + 1
            yield from new

    def delete(self, message: "MessageTypeDef") -> None:
        """Delete a message. Raises ClientError, BotoCoreError."""
        handle = self._held.get(message["MessageId"], message["ReceiptHandle"])
        self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=handle)
        self._held.pop(message["MessageId"], None)
