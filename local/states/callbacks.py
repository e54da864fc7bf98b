"""Task tokens: waiting for them, and answering what AWS answers when they are late, used or made up.

Seams in ministack's `stepfunctions`: `_task_tokens`, `_send_task_success`, `_send_task_failure` and
`_send_task_heartbeat`.
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
from local.states.executions import current

REMEMBERED = 10_000
_spent: OrderedDict[str, None] = OrderedDict()
_lock = threading.Lock()


class Answer:
    """What somebody sends for a token."""

    def __init__(self, token: str) -> None:
        self._entry: dict[str, Any] = {"event": threading.Event(), "result": None, "error": None, "heartbeat": None}
        stepfunctions._task_tokens[token] = self._entry

    def wait(self, deadline: float | None, heartbeat_s: float | None) -> Any:
        """The output that was sent; raises what was sent as an error, States.Timeout or States.HeartbeatTimeout."""
        run = current()
        event: threading.Event = self._entry["event"]
        beat, last_beat = self._entry["heartbeat"], time.monotonic()
        with run.on_stop(event.set):
            while not event.is_set():
                now = time.monotonic()
                if self._entry["heartbeat"] != beat:
                    beat, last_beat = self._entry["heartbeat"], now
                limits = [] if deadline is None else [deadline]
                if heartbeat_s is not None:
                    limits.append(last_beat + heartbeat_s)
                if limits and now >= min(limits):
                    late = "States.Timeout" if deadline is not None and now >= deadline else "States.HeartbeatTimeout"
                    raise _ExecutionError(late, "")
                event.wait(min([1.0, *(limit - now for limit in limits)]))
        run.check()
        if self._entry["error"]:
            raise _ExecutionError(self._entry["error"]["Error"], self._entry["error"]["Cause"])
        return json.loads(self._entry["result"])


@contextlib.contextmanager
def waiting(token: str) -> Iterator[Answer]:
    """A token that can be answered during the block, and is spent after it."""
    try:
        yield Answer(token)
    finally:
        _spend(token)


def _spend(token: str) -> None:
    with _lock:
        stepfunctions._task_tokens.pop(token, None)
        _spent[token] = None
        if len(_spent) > REMEMBERED:
            _spent.popitem(last=False)


def _refused(token: str) -> Any:
    """AWS's answer for a token that nobody waits for, or None."""
    entry = stepfunctions._task_tokens.get(token)
    if entry is not None and not entry["event"].is_set():
        return None
    if entry is not None or token in _spent:
        return error_response_json("TaskTimedOut", "Task Timed Out: 'Provided task does not exist anymore'", 400)
    return error_response_json("InvalidToken", "Invalid Token: 'Invalid token'", 400)


def install() -> None:
    patches.attribute(stepfunctions, "_task_tokens", stepfunctions.AccountRegionScopedDict)

    def checked(name: str) -> None:
        def send(data: dict[str, Any]) -> Any:
            refusal = _refused(data.get("taskToken", ""))
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
