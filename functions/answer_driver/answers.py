"""The answers of the drivers' HTTP API, without keys, executions and tokens of the workflow."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from functions.answer_driver.forms import Form
from functions.shared.photo_record import IN_REVIEW, ROUTED, PhotoRecord

UPLOADED = "uploaded"
"""The status of a photo that is in S3 and has no record yet."""

_DECISION = ("vehicle", "loading_bay", "order_range", "decided_by", "decided_at")


@dataclass(frozen=True)
class Answer:
    """An HTTP status, a body of JSON values, and the id of the photo that it is about, for the log."""

    status: int
    body: Mapping[str, Any] = field(repr=False)
    photo_id: str | None = None

    def as_response(self) -> dict[str, Any]:
        """Return the response of a Lambda proxy integration, payload format 2.0."""
        return {
            "statusCode": self.status,
            "headers": {"content-type": "application/json", "cache-control": "no-store"},
            "body": json.dumps(self.body),
        }


def refuse(status: int, message: str) -> Answer:
    """Return an answer with an error; `message` says what to do."""
    return Answer(status, {"message": message})


def show_form(form: Form) -> Answer:
    """Return the answer with a new upload form."""
    shown = {
        "upload_id": form.upload_id,
        "expires_at": form.expires_at,
        "form": {"url": form.url, "fields": dict(form.fields)},
    }
    return Answer(201, shown)


def show_uploaded(photo_id: str) -> Answer:
    """Return the answer about a photo that has no record yet."""
    return _show(photo_id, UPLOADED)


def show_record(record: PhotoRecord) -> Answer:
    """Return the answer about a photo: its status, and the decision, the rejection or the end of its review."""
    outcome = record.outcome if record.has_outcome else None
    return _show(
        record.photo.photo_id,
        record.status,
        updated_at=record.status_at,
        decision={name: outcome[name] for name in _DECISION} if outcome and record.status == ROUTED else None,
        rejection=_rejection(outcome["rejected"]) if outcome and "rejected" in outcome else None,
        review_expires_at=record.review["expires_at"] if record.review and record.status == IN_REVIEW else None,
    )


def _rejection(rejected: Mapping[str, str]) -> dict[str, str | None]:
    return {"reason": rejected["reason"], "retry_at": rejected.get("retry_at")}


def _show(
    photo_id: str,
    status: str,
    *,
    updated_at: str | None = None,
    decision: Mapping[str, Any] | None = None,
    rejection: Mapping[str, Any] | None = None,
    review_expires_at: str | None = None,
) -> Answer:
    shown = {
        "photo_id": photo_id,
        "status": status,
        "updated_at": updated_at,
        "decision": decision,
        "rejection": rejection,
        "review_expires_at": review_expires_at,
    }
    return Answer(200, shown, photo_id)
