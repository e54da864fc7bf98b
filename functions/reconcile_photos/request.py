"""The request of a reconciliation: which photos, and where an earlier call stopped."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from functions.shared.errors import InvalidInput
from functions.shared.photo_record import CLASSIFIED, IN_REVIEW, UNROUTED
from functions.shared.shapes import any_text, count, flag, number, object_with, one_of, optional, time
from functions.shared.times import timestamp

DEFAULT_GRACE_S = 120.0
# Years: longer than any photo is kept, and short enough for the arithmetic of times.
_LONGEST_HOURS = 100_000.0

UNANNOUNCED = "unannounced"
UPLOADS = "uploads"
# In this order. The records of open photos are read before the objects, whose photos may have none.
PHASES = (UNANNOUNCED, CLASSIFIED, IN_REVIEW, UNROUTED, UPLOADS)


@dataclass(frozen=True)
class Position:
    """Where a call stopped: the phase, and in it the time (ISO 8601) of the next record or the last key.

    `unaccounted` is the number of photos that the calls so far have found without an outcome and an execution.
    """

    started_at: datetime
    phase: str = UNANNOUNCED
    after: str = ""
    unaccounted: int = 0

    def as_state(self) -> dict[str, Any]:
        """Return the position as JSON: the `continuation` of the next request."""
        return {
            "started_at": timestamp(self.started_at),
            "phase": self.phase,
            "after": self.after,
            "unaccounted": self.unaccounted,
        }

    def stopped_in(self, phase: str, after: str, found: int) -> "Position":
        """Return the position at which a call stops that has found `found` more photos."""
        return replace(self, phase=phase, after=after, unaccounted=self.unaccounted + found)


@dataclass(frozen=True)
class Request:
    """What to reconcile.

    `hours`: only objects uploaded in the hours before the start, None for all; records of all times are examined.
    `grace_s`: photos that changed in the seconds before the start are not touched, because they are being processed.
    `force`: restart also photos that were restarted as often as is allowed. `scheduled`: nobody continues this call.
    """

    position: Position
    hours: float | None = None
    grace_s: float = DEFAULT_GRACE_S
    force: bool = False
    scheduled: bool = False

    @classmethod
    def from_state(cls, state: Mapping[str, Any], now: datetime) -> "Request":
        """Read the payload of the function; every field is optional. Raises InvalidInput."""
        _PAYLOAD(state, "the event")
        grace_s = state.get("grace_s")
        return cls(
            position=_read_position(state.get("continuation"), now),
            hours=state.get("hours"),
            grace_s=DEFAULT_GRACE_S if grace_s is None else grace_s,
            force=state.get("force", False),
            scheduled=state.get("scheduled", False),
        )

    @property
    def since(self) -> datetime | None:
        """The time of the oldest upload to examine, None for all."""
        return None if self.hours is None else self.position.started_at - timedelta(hours=self.hours)

    @property
    def until(self) -> datetime:
        """The time of the newest upload or transition to examine."""
        return self.position.started_at - timedelta(seconds=self.grace_s)


_POSITION = object_with({"started_at": time, "phase": one_of(*PHASES), "after": any_text, "unaccounted": count})
_PAYLOAD = object_with(
    {},
    {
        "hours": optional(number(0, _LONGEST_HOURS)),
        "grace_s": optional(number(0, _LONGEST_HOURS * 3600)),
        "force": flag,
        "scheduled": flag,
    },
)


def _read_position(state: Any, now: datetime) -> Position:
    if state is None:
        return Position(now)
    try:
        _POSITION(state, "continuation")
    except InvalidInput as error:
        raise InvalidInput(f"continuation is malformed; pass the one of the last answer unchanged: {error}") from error
    return Position(datetime.fromisoformat(state["started_at"]), state["phase"], state["after"], state["unaccounted"])
