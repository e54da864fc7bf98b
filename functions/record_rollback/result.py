"""The result of a rollback, from the state of its execution."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from functions.shared.causes import error_message
from functions.shared.champion import Champion


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
