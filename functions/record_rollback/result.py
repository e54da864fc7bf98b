"""The result of a rollback, from the state of its execution."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from functions.shared.causes import CAUGHT_ERROR, error_message
from functions.shared.champion import CHAMPION_STATE, Champion
from functions.shared.shapes import any_text, object_with, one_of, optional, text, values

_REQUEST = object_with({"reason": text, "trigger": one_of("manual", "alarm"), "alarm": optional(text)})
_PREPARED = object_with(
    {
        "request": _REQUEST,
        "champion": CHAMPION_STATE,
        "target": CHAMPION_STATE,
        "skipped": values(text),
        "words": text,
    }
)
_PREPARED_FOR_FAILURE = object_with({"model_version": text, "champion": CHAMPION_STATE, "restore_config": any_text})
_FAILURE = object_with(
    {},
    {
        "error": CAUGHT_ERROR,
        "prepared": optional(object_with({"outcome": text})),
        "restored": optional(object_with({"status": text, "config": any_text})),
    },
)


def check_event(event: Mapping[str, Any]) -> None:
    """Raise InvalidInput when the event of RecordRollback does not say how the rollback ended."""
    object_with({"outcome": text, "state": object_with({})})(event, "the event")
    state = event["state"]
    if event["outcome"] != "failed":
        object_with({"prepared": _PREPARED})(state, "state")
        return
    _FAILURE(state, "state")
    if state.get("prepared"):
        _PREPARED_FOR_FAILURE(state["prepared"], "state.prepared")


@dataclass(frozen=True)
class RollbackResult:
    """A rollback that succeeded. `prepared` is what PrepareRollback returned, `at` when the rollback ended."""

    prepared: Mapping[str, Any]
    execution: str
    endpoint: str
    at: str

    @property
    def target(self) -> Champion:
        """The restored model, without the mark of an earlier rollback."""
        return Champion.from_state(self.prepared["target"]).as_restored(self.at)

    @property
    def rolled_back(self) -> Champion:
        """The model that was champion, marked as rolled back."""
        return Champion.from_state(self.prepared["champion"]).as_rolled_back(self.at, self.reason, self.execution)

    @property
    def reason(self) -> str:
        """The reason that the person or the alarm gave."""
        return str(self.prepared["request"]["reason"])

    def as_event(self) -> dict[str, Any]:
        """Return the detail of `Model Rolled Back`."""
        return {
            "model_version": self.target.model_version,
            "rolled_back_model_version": self.rolled_back.model_version,
            "endpoint": self.endpoint,
            "execution": self.execution,
            "trigger": self.prepared["request"]["trigger"],
            "alarm": self.prepared["request"]["alarm"],
            "reason": self.reason,
            "rolled_back_at": self.at,
        }

    def as_output(self) -> dict[str, Any]:
        """Return the output of the execution."""
        was_marked = self.prepared["target"].get("rolled_back_at")
        return {
            "outcome": "rolled back",
            "champion": self.target.model_version,
            "rolled_back": self.rolled_back.model_version,
            "skipped": self.prepared["skipped"],
            "mark_removed": bool(was_marked),
            "reason": None,
            "verdict": self.prepared["words"],
            "trigger": self.prepared["request"]["trigger"],
            "alarm": self.prepared["request"]["alarm"],
            "endpoint": self.endpoint,
            "execution": self.execution,
            "ended_at": self.at,
        }


def describe_failure(state: Mapping[str, Any]) -> tuple[str, str]:
    """Return the error and the cause with which the execution of a failed rollback ends."""
    error = state.get("error") or {}
    name = str(error.get("Error") or "Unknown")
    cause = error_message(str(error.get("Cause") or name)).rstrip(".")
    prepared = state.get("prepared")
    if not prepared:
        return name, f"The rollback did not begin: {cause}. The champion and its endpoint are as they were."
    failed = f"The rollback to {prepared['model_version']} failed: {cause}."
    champion, restored = prepared["champion"]["model_version"], state.get("restored")
    if restored is None:
        return name, f"{failed} The endpoint was not changed, and {champion} stays champion."
    if restored["status"] == "InService" and restored["config"] == prepared["restore_config"]:
        return name, f"{failed} {champion} is in service again and stays champion."
    return name, (
        f"{failed} {champion} stays champion, but the endpoint is {restored['status']} with {restored['config']}; "
        "check it with `make status`, then run `make rollback` again."
    )
