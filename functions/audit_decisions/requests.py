"""Requests for labels that no driver waits for: their record, and their messages in the audit queue."""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from functions.shared.audit import AUDITED, REVIEW_TIMED_OUT
from functions.shared.decision import FALLBACK
from functions.shared.dynamodb import serialize
from functions.shared.photo_record import ROUTED, PhotoRecord
from functions.shared.photo_table import PhotoTable
from functions.shared.times import purge_at, timestamp

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

# The two requests that a record can have: the attributes are `label_request`, `label_sent` and so on.
LABEL, SECOND_LABEL = "label", "second"


def new_request(record: PhotoRecord, reason: str, at: datetime) -> dict[str, Any]:
    """Return a request for a label. Its id is the same in every attempt."""
    token_hash = hashlib.sha256(f"{reason}\0{record.photo.photo_id}".encode()).hexdigest()
    return {"reason": reason, "token_hash": token_hash, "requested_at": timestamp(at)}


def find_reason(record: PhotoRecord) -> str | None:
    """Return why a label of a photo is wanted; None when it is not, because its outcome was withdrawn."""
    outcome = record.outcome or {}
    if record.status != ROUTED:
        return None
    if outcome["decided_by"] == FALLBACK:
        return REVIEW_TIMED_OUT
    return AUDITED if record.audit else None


class LabelRequests(PhotoTable):
    """The photo table, with the requests for labels. Every method raises RecordUnavailable."""

    def add(self, record: PhotoRecord, kind: str, request: Mapping[str, Any], at: datetime) -> bool:
        """Record a request of a kind; False when the photo has one already, or no record any more."""
        entry = {"token_hash": request["token_hash"], "requested_at": request["requested_at"]}
        values = {
            ":request": request,
            ":entries": [entry],
            ":none": [],
            ":yes": "yes",
            ":at": timestamp(at),
            ":purge_at": purge_at(at),
        }
        return self._change(
            record.photo.photo_id,
            "SET #request = :request, review_requests = list_append(if_not_exists(review_requests, :none), :entries), "
            "label_wanted = :yes, label_wanted_at = if_not_exists(label_wanted_at, :at), purge_at = :purge_at",
            "attribute_exists(photo_id) AND attribute_not_exists(#request)",
            {"#request": f"{kind}_request"},
            values,
        )

    def mark_sent(self, photo_id: str, kind: str, token_hash: str) -> None:
        """Record that SQS accepted the message of a request."""
        self._change(
            photo_id,
            "SET #sent = :token_hash",
            "attribute_exists(photo_id)",
            {"#sent": f"{kind}_sent"},
            {":token_hash": token_hash},
        )

    def record_answer(self, photo_id: str, kind: str, answer: Mapping[str, str]) -> None:
        """Record the answer to a request, unless the record has one."""
        self._change(
            photo_id,
            "SET #answer = :answer",
            "attribute_exists(photo_id) AND attribute_not_exists(#answer)",
            {"#answer": f"{kind}_answer"},
            {":answer": answer},
        )

    def _change(
        self, photo_id: str, update: str, condition: str, names: Mapping[str, str], values: Mapping[str, Any]
    ) -> bool:
        try:
            self._update(
                photo_id,
                {
                    "UpdateExpression": update,
                    "ConditionExpression": condition,
                    "ExpressionAttributeNames": names,
                    "ExpressionAttributeValues": serialize(values),
                },
            )
        except ClientError:  # the condition is not met; every other error is RecordUnavailable
            return False
        return True


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
