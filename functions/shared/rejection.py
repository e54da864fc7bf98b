"""A rejection: why a photo was not used."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from functions.shared.causes import error_message
from functions.shared.errors import InvalidInput
from functions.shared.photo import Photo
from functions.shared.shapes import any_text, object_with, optional, read_execution, text

TOO_MANY_PHOTOS = "TooManyPhotos"


@dataclass(frozen=True)
class Rejection:
    """Why a photo was rejected: `reason` is the error's name, `message` its text.

    `retry_at` is the time (ISO 8601) from which on the driver may upload the photo again, None when that cannot help.
    """

    photo: Photo
    reason: str
    message: str
    execution: str
    rejected_at: str
    retry_at: str | None = None

    @classmethod
    def from_state(cls, photo: Photo, state: Mapping[str, Any], rejected_at: str) -> "Rejection":
        """Read the error that Step Functions caught. Raises InvalidInput when it has no name."""
        error: Any = state.get("error")
        if error is None:
            raise InvalidInput('error is missing; pass {"Error": name, "Cause": text}')
        object_with({"Error": text}, {"Cause": optional(any_text)})(error, "error")
        message = error_message(error.get("Cause") or "")
        any_text(message, "error.Cause")
        return cls(photo, error["Error"], message, read_execution(state), rejected_at)

    def as_state(self) -> dict[str, Any]:
        """Return the rejection as JSON, as the workflow's output, the event and the record contain it."""
        return {
            "photo": self.photo.as_state(),
            "driver_id": self.photo.driver_id,
            "rejected": {
                "reason": self.reason,
                "message": self.message,
                **({"retry_at": self.retry_at} if self.retry_at else {}),
            },
            "execution": self.execution,
            "rejected_at": self.rejected_at,
        }
