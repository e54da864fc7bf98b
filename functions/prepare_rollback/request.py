"""The input of a rollback."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from functions.shared.errors import InvalidInput

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
            raise InvalidInput(f"trigger is {trigger!r}; it must be {MANUAL} or {ALARM}")
        for name in ("to", "reason"):
            if not isinstance(given.get(name, ""), str | None):
                raise InvalidInput(f"{name} is {given[name]!r}; pass a text, or leave it out")
        reason = (given.get("reason") or "").strip() or NO_REASON
        if trigger == MANUAL:
            return cls(to=given.get("to") or "", reason=reason)
        if given.get("to"):
            raise InvalidInput("an alarm cannot choose the model; leave out to, or start the rollback as manual")
        alarm = str(given.get("alarm") or "")
        return cls("", f"alarm {alarm}: {reason}" if alarm else reason, trigger, alarm or None, _read_alarm_time(given))

    def as_state(self) -> dict[str, Any]:
        """Return the parts of the request that the end of the execution needs."""
        return {"reason": self.reason, "trigger": self.trigger, "alarm": self.alarm}


def _read_alarm_time(given: dict[str, Any]) -> datetime:
    """Read when the alarm went off. EventBridge writes `2026-11-23T01:06:40.123+0000`."""
    try:
        at = datetime.fromisoformat(str(given["alarmed_at"]))
    except (KeyError, ValueError) as error:
        raise InvalidInput(
            f"alarmed_at is {given.get('alarmed_at')!r}; pass the time at which the alarm went off, in ISO 8601"
        ) from error
    if at.tzinfo is None:
        raise InvalidInput(f"alarmed_at is {given['alarmed_at']!r}, without a time zone; add an offset such as +00:00")
    return at
