"""The input of a rollback."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from functions.shared.errors import InvalidInput
from functions.shared.shapes import any_text, object_with, optional, shown, time

MANUAL = "manual"
ALARM = "alarm"
NO_REASON = "no reason was given"


@dataclass(frozen=True)
class Request:
    """The execution's input, with defaults. `to` names the model, empty for the predecessor of the champion.

    `alarm` is the name of the alarm that started it, `alarmed_at` when it went off; both are None for a person.
    """

    to: str
    reason: str
    trigger: str = MANUAL
    alarm: str | None = None
    alarmed_at: datetime | None = None

    @classmethod
    def from_state(cls, given: Any) -> "Request":
        """Read the input. Raises InvalidInput naming what is missing or malformed."""
        if not isinstance(given, dict):
            raise InvalidInput(f"the input is {type(given).__name__}; pass a JSON object, {{}} for the previous model")
        trigger = given.get("trigger", MANUAL)
        if trigger not in (MANUAL, ALARM):
            raise InvalidInput(f"trigger is {shown(trigger)}; it must be {MANUAL} or {ALARM}")
        object_with({}, dict.fromkeys(("to", "reason", "alarm"), optional(any_text)))(given, "the input")
        reason = (given.get("reason") or "").strip() or NO_REASON
        if trigger == MANUAL:
            return cls(to=given.get("to") or "", reason=reason)
        if given.get("to"):
            raise InvalidInput("an alarm cannot choose the model; leave out to, or start the rollback as manual")
        alarm = (given.get("alarm") or "").strip()
        return cls("", f"alarm {alarm}: {reason}" if alarm else reason, trigger, alarm or None, _read_alarm_time(given))

    def as_state(self) -> dict[str, Any]:
        """Return the parts of the request that the end of the execution needs."""
        return {"reason": self.reason, "trigger": self.trigger, "alarm": self.alarm}


def _read_alarm_time(given: dict[str, Any]) -> datetime:
    """Read when the alarm went off. EventBridge writes `2026-11-23T01:06:40.123+0000`."""
    time(given.get("alarmed_at"), "alarmed_at")
    return datetime.fromisoformat(given["alarmed_at"])
