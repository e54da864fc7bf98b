"""Telling the world that a photo cannot be used."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from functions.shared.errors import InvalidInput
from functions.shared.events import EventBus
from functions.shared.photo import Photo
from functions.shared.photo_table import PhotoTable
from functions.shared.times import purge_at, timestamp


@dataclass(frozen=True)
class Rejection:
    """Why a photo was rejected: `reason` is the error's name, `message` is for people."""

    photo: Photo
    reason: str
    message: str
    execution: str
    rejected_at: datetime

    @classmethod
    def from_state(cls, photo: Photo, state: Mapping[str, Any], rejected_at: datetime) -> "Rejection":
        """Read the error that Step Functions caught. Raises InvalidInput when it has no name."""
        error = state.get("error")
        if not isinstance(error, dict) or not error.get("Error"):
            raise InvalidInput('error is missing; pass {"Error": name, "Cause": text}')
        message = readable(str(error.get("Cause") or ""))
        return cls(photo, str(error["Error"]), message, str(state.get("execution")), rejected_at)

    def as_state(self) -> dict[str, Any]:
        """The rejection as the workflow's output and the event have it."""
        return {
            "photo": self.photo.as_state(),
            "driver_id": self.photo.driver_id,
            "rejected": {"reason": self.reason, "message": self.message},
            "execution": self.execution,
            "rejected_at": timestamp(self.rejected_at),
        }


def readable(cause: str) -> str:
    """The message of a caught error: a failed Lambda's cause is JSON around it, any other is the text itself.

    >>> readable('{"errorMessage": "it is empty", "errorType": "UnreadablePhoto"}')
    'it is empty'
    """
    try:
        return str(json.loads(cause)["errorMessage"])
    except (ValueError, KeyError, TypeError):
        return cause


def reject(rejection: Rejection, photos: PhotoTable, bus: EventBus) -> bool:
    """Record a rejection and publish it; False when this execution's event is out already.

    As with decisions, a function that dies after recording is healed by its retry, which finds no note of the
    event. Raises EventNotPublished.
    """
    photo_id = rejection.photo.photo_id
    before = photos.reject(photo_id, _entry(rejection))
    # The execution may have announced its own review request before, so the two notes have different names.
    if before.get("rejection_announced_by") == rejection.execution:
        return False
    bus.publish("Photo Rejected", rejection.as_state())
    photos.note(photo_id, rejection_announced_by=rejection.execution)
    return True


def _entry(rejection: Rejection) -> dict[str, Any]:
    return {
        "photo": rejection.photo.as_state(),
        "driver_id": rejection.photo.driver_id,
        "execution": rejection.execution,
        "reason": rejection.reason,
        "message": rejection.message,
        "rejected_at": timestamp(rejection.rejected_at),
        "purge_at": purge_at(rejection.rejected_at),
    }
