"""The outcomes of PrepareRollback, as the rest of the workflow needs them."""

from typing import Any

from functions.prepare_rollback.request import Request
from functions.prepare_rollback.target import Target
from functions.shared.champion import Champion


def ready_state(request: Request, champion: Champion, target: Target, execution: str) -> dict[str, Any]:
    """Return the state of a rollback from `champion` to `target`."""
    message = f"{target.model.model_version} is restored in place of {champion.model_version}: {request.reason}"
    return {
        **_state("ready", request, champion, None, message, execution),
        "target": target.model.as_state(),
        "skipped": target.skipped,
        "config": target.model.endpoint_config,
        "restore_config": champion.endpoint_config,
        "model_version": target.model.model_version,
        "golden": target.model.golden,
    }


def ignored_state(request: Request, champion: Champion | None, message: str, execution: str) -> dict[str, Any]:
    """Return the state for an alarm that is ignored."""
    return _state("ignored", request, champion, "Ignored", f"the alarm is ignored: {message}", execution)


def refused_state(
    request: Request, champion: Champion | None, reason: str, message: str, execution: str
) -> dict[str, Any]:
    """Return the state of a rollback that cannot begin."""
    return _state("refused", request, champion, reason, message, execution)


def _state(
    outcome: str, request: Request, champion: Champion | None, reason: str | None, message: str, execution: str
) -> dict[str, Any]:
    """The state with every key; `output` is the output of an execution that ends after this step."""
    return {
        "outcome": outcome,
        "reason": reason,
        "words": message,
        "request": request.as_state(),
        "champion": champion.as_state() if champion else None,
        "target": None,
        "skipped": {},
        "config": "",
        "restore_config": "",
        "model_version": None,
        "golden": None,
        "output": {
            "outcome": outcome,
            "champion": champion.model_version if champion else None,
            "reason": reason,
            "verdict": message,
            "trigger": request.trigger,
            "alarm": request.alarm,
            "execution": execution,
        },
    }
