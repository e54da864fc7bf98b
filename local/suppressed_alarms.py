"""Composite alarms whose actions another alarm suppresses.

While the suppressor is in ALARM, the composite alarm changes its state and performs no action. It waits
`ActionsSuppressorWaitPeriod` seconds for the suppressor before it acts, and `ActionsSuppressorExtensionPeriod` seconds
after the suppressor has left ALARM. Source: "Suppress composite alarm actions", Amazon CloudWatch User Guide.

Patch: ministack's `_put_composite_alarm` drops these properties, so `local.alarms` asks this module before it acts.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ministack.core.responses import get_account_id, get_region, request_scope
from ministack.services import cloudwatch

from local import patches

PROPERTIES = ("ActionsSuppressor", "ActionsSuppressorWaitPeriod", "ActionsSuppressorExtensionPeriod")
Act = Callable[[], None]


@dataclass
class Waiting:
    """A change of state whose actions wait. `due_s` is when they are performed, None while they are suppressed.

    `scope` is account and region.
    """

    alarm: dict[str, Any]
    state: str
    act: Act
    due_s: float | None
    scope: tuple[str, str]


_waiting: dict[str, Waiting] = {}
_lock = threading.Lock()


def act_or_wait(alarm: dict[str, Any], state: str, act: Act) -> None:
    """Perform the actions of an alarm that has changed to `state`, later when it has a suppressor.

    Only the last change that waits is performed: the ones before it are over.
    """
    if not alarm.get("ActionsSuppressor"):
        act()
        return
    due_s = None if _is_suppressed(alarm) else time.monotonic() + float(alarm["ActionsSuppressorWaitPeriod"])
    with _lock:
        before = _waiting.pop(alarm["AlarmArn"], None)
        # Nobody was told of the alarm that is over.
        if before is None or state == "ALARM" or before.state != "ALARM":
            _waiting[alarm["AlarmArn"]] = Waiting(alarm, state, act, due_s, (get_account_id(), get_region()))


def perform_due() -> None:
    """Perform the actions whose time has come."""
    now_s = time.monotonic()
    due = []
    with _lock:
        for arn, waiting in list(_waiting.items()):
            with request_scope(*waiting.scope):
                suppressed = _is_suppressed(waiting.alarm)
            if suppressed:
                waiting.due_s = None
            elif waiting.due_s is None:
                waiting.due_s = now_s + float(waiting.alarm["ActionsSuppressorExtensionPeriod"])
            if waiting.due_s is not None and now_s >= waiting.due_s:
                del _waiting[arn]
                due.append(waiting)
    for waiting in due:
        with request_scope(*waiting.scope):
            waiting.act()


def _is_suppressed(alarm: dict[str, Any]) -> bool:
    name = str(alarm["ActionsSuppressor"]).rpartition(":alarm:")[2]
    suppressor = cloudwatch._alarms.get(name) or cloudwatch._composite_alarms.get(name) or {}
    return suppressor.get("StateValue") == "ALARM"


def install() -> None:
    """Apply the patch of this module."""

    def put(params: Any, cbor_data: Any, is_cbor: bool, is_json: bool = False) -> Any:
        response = original(params, cbor_data, is_cbor, is_json)
        given = cbor_data if is_cbor or is_json else {name: cloudwatch._p(params, name) for name in PROPERTIES}
        alarm = cloudwatch._composite_alarms.get(given.get("AlarmName") or cloudwatch._p(params, "AlarmName"))
        if alarm is not None:
            alarm.update({name: given[name] for name in PROPERTIES if given.get(name) not in (None, "")})
        return response

    original = patches.replace(cloudwatch, "_put_composite_alarm", "params cbor_data is_cbor is_json", put)
