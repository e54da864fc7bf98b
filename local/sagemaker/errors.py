"""SageMaker's refusals."""

from __future__ import annotations

from typing import Any


class SageMakerError(Exception):
    """A call that SageMaker refuses: its error code, message and HTTP status.

    `details` are further members of the answer.
    """

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.details: dict[str, Any] = {}


def validation_error(message: str) -> SageMakerError:
    return SageMakerError("ValidationException", message)


def in_use(message: str) -> SageMakerError:
    return SageMakerError("ResourceInUse", message)


def not_found(message: str) -> SageMakerError:
    return SageMakerError("ResourceNotFound", message)
