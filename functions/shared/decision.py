"""A decision: the loading bay of a driver, and what it is based on."""

from dataclasses import dataclass
from typing import Any

from functions.shared.photo import Photo
from functions.shared.vehicles import Bay

MODEL, REVIEWER, FALLBACK = "model", "reviewer", "fallback"
DECIDERS = (MODEL, REVIEWER, FALLBACK)


@dataclass(frozen=True)
class Decision:
    """The bay that a driver is sent to.

    `vehicle` is None when it is not known, `confidence` is the model's in [0, 1], `decided_by` is one of DECIDERS,
    `execution` is the ARN of the execution that decided.
    """

    photo: Photo
    vehicle: str | None
    confidence: float | None
    decided_by: str
    bay: Bay
    model_version: str | None
    execution: str
    decided_at: str

    def as_state(self) -> dict[str, Any]:
        """Return the decision as JSON, as the workflow's output, the event and the record contain it."""
        return {
            "photo": self.photo.as_state(),
            "driver_id": self.photo.driver_id,
            "vehicle": self.vehicle,
            "confidence": self.confidence,
            "decided_by": self.decided_by,
            "loading_bay": self.bay.loading_bay,
            "order_range": self.bay.order_range,
            "model_version": self.model_version,
            "execution": self.execution,
            "decided_at": self.decided_at,
        }
