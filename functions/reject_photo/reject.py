"""Reject a photo that cannot be used: one item and one event per execution."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from functions.shared.causes import error_message
from functions.shared.errors import InvalidInput
from functions.shared.events import EventBus
from functions.shared.photo import Photo
from functions.shared.photo_table import PhotoTable
from functions.shared.times import purge_at, timestamp


@dataclass(frozen=True)
class Rejection:
    """Why a photo was rejected: `reason` is the error's name, `message` its text."""

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
        message = error_message(str(error.get("Cause") or ""))
        return cls(photo, str(error["Error"]), message, str(state.get("execution")), rejected_at)

    def as_state(self) -> dict[str, Any]:
        """Return the rejection as JSON, as the workflow's output and the event contain it."""
        return {
            "photo": self.photo.as_state(),
            "driver_id": self.photo.driver_id,
            "rejected": {"reason": self.reason, "message": self.message},
            "execution": self.execution,
            "rejected_at": timestamp(self.rejected_at),
        }


def reject(rejection: Rejection, photos: PhotoTable, bus: EventBus) -> bool:
    """Record a rejection and publish its event; return False when this execution has published it before.

    When a function fails after it recorded the rejection, its retry publishes the event. Raises EventNotPublished.
    """
    photo_id = rejection.photo.photo_id
    before = photos.reject(photo_id, _item(rejection))
    # Not `announced_by`, which the execution may have set for its review request.
    if before.get("rejection_announced_by") == rejection.execution:
        return False
    bus.publish("Photo Rejected", rejection.as_state())
    photos.set_attributes(photo_id, rejection_announced_by=rejection.execution)
    return True


def _item(rejection: Rejection) -> dict[str, Any]:
    return {
        "photo": rejection.photo.as_state(),
        "driver_id": rejection.photo.driver_id,
        "execution": rejection.execution,
        "reason": rejection.reason,
        "message": rejection.message,
        "rejected_at": timestamp(rejection.rejected_at),
        "purge_at": purge_at(rejection.rejected_at),
    }
