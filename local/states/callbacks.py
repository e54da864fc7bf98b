"""Task tokens: wait for the callback, and refuse callbacks that are late, repeated or for an unknown token.

Patches: ministack's `stepfunctions._send_task_success`, `_send_task_failure` and `_send_task_heartbeat` accept a second
callback and output that is not JSON, and return TaskDoesNotExist for an unknown token. AWS returns TaskTimedOut,
InvalidOutput and InvalidToken (Step Functions API Reference, "SendTaskSuccess").
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

from ministack.core.responses import error_response_json
from ministack.services import stepfunctions
from ministack.services.stepfunctions import _ExecutionError

from local import patches
from local.states.executions import current_execution

MAX_CLOSED_TOKENS = 10_000
_closed: OrderedDict[str, None] = OrderedDict()
_lock = threading.Lock()


class Callback:
    """The callback for a token: its output or its error, once it has been sent."""

    def __init__(self, token: str) -> None:
        self._entry: dict[str, Any] = {"event": threading.Event(), "result": None, "error": None, "heartbeat": None}
        stepfunctions._task_tokens[token] = self._entry

    def wait(self, deadline: float | None, heartbeat_s: float | None) -> Any:
        """Wait for the output; raises the error that was sent, States.Timeout or States.HeartbeatTimeout."""
        execution = current_execution()
        event: threading.Event = self._entry["event"]
        heartbeat, last_heartbeat = self._entry["heartbeat"], time.monotonic()
        with execution.waiting(), execution.on_stop(event.set):
            while not event.is_set():
                now = time.monotonic()
                if self._entry["heartbeat"] != heartbeat:
                    heartbeat, last_heartbeat = self._entry["heartbeat"], now
                limits = [] if deadline is None else [deadline]
                if heartbeat_s is not None:
                    limits.append(last_heartbeat + heartbeat_s)
                if limits and now >= min(limits):
                    late = "States.Timeout" if deadline is not None and now >= deadline else "States.HeartbeatTimeout"
                    raise _ExecutionError(late, "")
                event.wait(min([1.0, *(limit - now for limit in limits)]))
        execution.raise_if_stopped()
        if self._entry["error"]:
            raise _ExecutionError(self._entry["error"]["Error"], self._entry["error"]["Cause"])
        return json.loads(self._entry["result"])


@contextlib.contextmanager
def open_token(token: str) -> Iterator[Callback]:
    """Accept a callback for the token during the block; refuse it afterwards."""
    try:
        yield Callback(token)
    finally:
        _close(token)


def _close(token: str) -> None:
    with _lock:
        stepfunctions._task_tokens.pop(token, None)
        _closed[token] = None
        if len(_closed) > MAX_CLOSED_TOKENS:
            _closed.popitem(last=False)


def _refusal(token: str) -> Any:
    """Return the error response for a token that no task waits for, or None."""
    entry = stepfunctions._task_tokens.get(token)
    if entry is not None and not entry["event"].is_set():
        return None
    if entry is not None or token in _closed:
        return error_response_json("TaskTimedOut", "Task Timed Out: 'Provided task does not exist anymore'", 400)
    return error_response_json("InvalidToken", "Invalid Token: 'Invalid token'", 400)


def install() -> None:
    """Apply the patches of this module."""
    patches.attribute(stepfunctions, "_task_tokens", stepfunctions.AccountRegionScopedDict)

    def checked(name: str) -> None:
        def send(data: dict[str, Any]) -> Any:
            refusal = _refusal(data.get("taskToken", ""))
            if refusal is not None:
                return refusal
            if name == "_send_task_success":
                try:
                    json.loads(data.get("output", ""))
                except ValueError:
                    return error_response_json("InvalidOutput", "Invalid Output: the output must be JSON", 400)
            return original(data)

        original: Callable[[dict[str, Any]], Any] = patches.replace(stepfunctions, name, "data", send)

    for name in ("_send_task_success", "_send_task_failure", "_send_task_heartbeat"):
        checked(name)
