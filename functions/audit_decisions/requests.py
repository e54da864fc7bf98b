"""Requests for labels that no driver waits for: why a photo has one, and their messages in the audit queue."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from functions.shared.audit import AUDITED, REVIEW_TIMED_OUT
from functions.shared.decision import FALLBACK
from functions.shared.photo_record import ROUTED, PhotoRecord

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


def find_reason(record: PhotoRecord) -> str | None:
    """Return why a label of a photo is wanted; None when it is not, because its outcome was withdrawn."""
    outcome = record.outcome or {}
    if record.status != ROUTED:
        return None
    if outcome["decided_by"] == FALLBACK:
        return REVIEW_TIMED_OUT
    return AUDITED if record.audit else None


class AuditQueue:
    """The SQS queue of requests that no driver waits for. Its messages have no task token."""

    def __init__(self, url: str, sqs: "SQSClient") -> None:
        """`url` is the URL of the queue."""
        self._url = url
        self._sqs = sqs

    def send(self, record: PhotoRecord, request: Mapping[str, Any]) -> None:
        """Send a request, as in events/contracts/label_request.json. Raises ClientError, BotoCoreError."""
        body = {"photo": record.photo.as_state(), **{name: request[name] for name in _SENT}}
        self._sqs.send_message(QueueUrl=self._url, MessageBody=json.dumps(body))


_SENT = ("reason", "token_hash", "requested_at")
