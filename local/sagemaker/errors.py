"""SageMaker's error responses."""

from __future__ import annotations

from typing import Any


class SageMakerError(Exception):
    """An error response: error code, message and HTTP status. `details` are its further members."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.details: dict[str, Any] = {}


def validation_error(message: str) -> SageMakerError:
    """Return a ValidationException."""
    return SageMakerError("ValidationException", message)


def in_use(message: str) -> SageMakerError:
    """Return a ResourceInUse error."""
    return SageMakerError("ResourceInUse", message)
