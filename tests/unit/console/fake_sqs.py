"""SQS with a clock that a test moves: visibility timeouts, receive counts and the move to the dead-letter queue."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError


@dataclass
class Message:
    """A message of a queue. `visible_at` is a time of the clock; `receipt` is the handle of the last receive."""

    id: str
    body: str
    sent_at: float
    visible_at: float
    receives: int = 0
    receipt: str = ""


class FakeSqs:
    """Standard queues by URL; a message that was received `most_receives` times moves to `dead_letters`."""

    def __init__(self, url: str, dead_letters: str, clock: Callable[[], float], most_receives: int = 5) -> None:
        self.url, self.dead_letters, self.most_receives = url, dead_letters, most_receives
        self.queues: dict[str, list[Message]] = {url: [], dead_letters: []}
        self._clock = clock
        self._number = 0

    def send_message(self, *, QueueUrl: str, MessageBody: str, DelaySeconds: int = 0) -> dict[str, Any]:
        self._number += 1
        now = self._clock()
        self.queues[QueueUrl].append(Message(f"message-{self._number}", MessageBody, now, now + DelaySeconds))
        return {"MessageId": f"message-{self._number}"}

    def receive_message(
        self, *, QueueUrl: str, VisibilityTimeout: int, MaxNumberOfMessages: int = 1, **_: Any
    ) -> dict[str, Any]:
        found: list[dict[str, Any]] = []
        for message in list(self.queues.get(QueueUrl, [])):
            if message.visible_at > self._clock() or len(found) == MaxNumberOfMessages:
                continue
            if QueueUrl == self.url and message.receives >= self.most_receives:
                self.queues[QueueUrl].remove(message)
                self.queues[self.dead_letters].append(message)
                continue
            self._number += 1
            message.receives += 1
            message.receipt = f"{message.id}-receipt-{self._number}"
            message.visible_at = self._clock() + VisibilityTimeout
            attributes = {
                "SentTimestamp": str(int(message.sent_at * 1000)),
                "ApproximateReceiveCount": str(message.receives),
            }
            found.append(
                {
                    "MessageId": message.id,
                    "Body": message.body,
                    "ReceiptHandle": message.receipt,
                    "Attributes": attributes,
                }
            )
        return {"Messages": found} if found else {}

    def delete_message(self, *, QueueUrl: str, ReceiptHandle: str) -> None:
        self.queues[QueueUrl].remove(self._find(QueueUrl, ReceiptHandle, "ReceiptHandleIsInvalid"))

    def change_message_visibility(self, *, QueueUrl: str, ReceiptHandle: str, VisibilityTimeout: int) -> None:
        message = self._find(QueueUrl, ReceiptHandle, "InvalidParameterValue")
        if message.visible_at <= self._clock():
            raise _refused("MessageNotInflight")
        message.visible_at = self._clock() + VisibilityTimeout

    def change_message_visibility_batch(self, *, QueueUrl: str, Entries: list[dict[str, Any]]) -> None:
        for entry in Entries:
            handle, seconds = entry["ReceiptHandle"], entry["VisibilityTimeout"]
            self.change_message_visibility(QueueUrl=QueueUrl, ReceiptHandle=handle, VisibilityTimeout=seconds)

    def get_queue_attributes(self, *, QueueUrl: str, AttributeNames: list[str]) -> dict[str, Any]:
        return {"Attributes": {"RedrivePolicy": json.dumps({"maxReceiveCount": self.most_receives})}}

    def _find(self, url: str, receipt: str, code: str) -> Message:
        for message in self.queues[url]:
            if message.receipt == receipt:
                return message
        raise _refused(code)


def _refused(code: str) -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": "the message was deleted or received again"}}
    return ClientError(response, "AnyCall")
