"""A decision: the loading bay of a driver, and what it is based on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from functions.shared.errors import InvalidInput
from functions.shared.photo import Photo
from functions.shared.shapes import fraction, optional, read_execution, shown, text
from functions.shared.vehicles import Bay, Vehicles

DECIDERS = ("model", "reviewer", "fallback")


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

    @classmethod
    def from_state(cls, photo: Photo, state: Mapping[str, Any], vehicles: Vehicles, decided_at: str) -> "Decision":
        """Read the workflow's state. Raises InvalidInput."""
        decided_by = state.get("decided_by")
        if decided_by not in DECIDERS:
            raise InvalidInput(f"decided_by is {shown(decided_by)}; it must be one of {', '.join(DECIDERS)}")
        vehicle, confidence, model_version = (state.get(name) for name in ("vehicle", "confidence", "model_version"))
        optional(text)(vehicle, "vehicle")
        optional(fraction)(confidence, "confidence")
        optional(text)(model_version, "model_version")
        return cls(
            photo=photo,
            vehicle=vehicle,
            confidence=confidence,
            decided_by=decided_by,
            bay=vehicles.bay(vehicle),
            model_version=model_version,
            execution=read_execution(state),
            decided_at=decided_at,
        )

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
