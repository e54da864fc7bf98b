"""Requests for labels that no driver waits for, in the records of photos. AuditDecisions sends them."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from functions.shared.dynamodb import serialize
from functions.shared.photo import Photo
from functions.shared.photo_record import BATCHED, PhotoRecord
from functions.shared.photo_table import PhotoTable
from functions.shared.times import purge_at, timestamp

# The two requests that a record can have: the attributes are `label_request`, `label_sent` and so on.
LABEL, SECOND_LABEL = "label", "second"


def new_request(photo: Photo, reason: str, at: datetime) -> dict[str, Any]:
    """Return a request for a label. Its id is the same in every attempt."""
    token_hash = hashlib.sha256(f"{reason}\0{photo.photo_id}".encode()).hexdigest()
    return {"reason": reason, "token_hash": token_hash, "requested_at": timestamp(at)}


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

    def create(
        self,
        photo: Photo,
        request: Mapping[str, Any],
        execution: str,
        at: datetime,
        *,
        classification: Mapping[str, Any],
        threshold: float | None,
    ) -> bool:
        """Record a photo that only a batch has classified, with a request; False when the photo has a record.

        It is in no index of days or drivers, which are about photos that a driver uploaded.
        """
        now = timestamp(at)
        record = {
            "photo": photo.as_state(),
            "status": BATCHED,
            "status_at": now,
            "first_seen_at": now,
            "execution": execution,
            "classification": classification,
            "threshold": threshold,
            "classified_at": now,
            "classified_by": execution,
            "label_request": request,
            "review_requests": [{name: request[name] for name in ("token_hash", "requested_at")}],
            "label_wanted": "yes",
            "label_wanted_at": now,
            "purge_at": purge_at(at),
        }
        return self._change(
            photo.photo_id,
            f"SET {', '.join(f'#{name} = :{name}' for name in record)}",
            "attribute_not_exists(photo_id)",
            {f"#{name}": name for name in record},
            {f":{name}": value for name, value in record.items()},
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
