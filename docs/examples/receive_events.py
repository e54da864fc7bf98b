"""Receive the decisions of a stage from the queue of stack.yaml; print each once, as a JSON line.

usage: receive_events.py QUEUE_URL [COUNT]: ends after COUNT decisions, or never. It needs permission for its own queue
only, sqs:ReceiveMessage and sqs:DeleteMessage.

EventBridge and SQS deliver at least once, so an event can come twice. This program remembers in memory what it printed;
yours remembers it where it keeps the result.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

import boto3


def receive(queue_url: str, handle: Callable[[dict[str, Any]], None], count: int | None = None) -> None:
    """Call `handle` once with each event, which has `source`, `detail-type` and `detail`; return after `count` of them.

    A message is deleted after its event was handled: when `handle` fails, the message comes again.
    """
    sqs = boto3.client("sqs")
    handled: set[tuple[str, str]] = set()
    while count is None or len(handled) < count:
        received = sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=1, WaitTimeSeconds=20)
        for message in received.get("Messages", ()):
            event = json.loads(message["Body"])
            identity = event["detail"]["photo"]["photo_id"], event["detail"]["execution"]
            if identity not in handled:
                handle(event)
                handled.add(identity)
            sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])


def show(event: dict[str, Any]) -> None:
    """Print an event as one line."""
    print(json.dumps({name: event[name] for name in ("source", "detail-type", "detail")}), flush=True)


if __name__ == "__main__":
    receive(sys.argv[1], show, int(sys.argv[2]) if len(sys.argv) > 2 else None)
