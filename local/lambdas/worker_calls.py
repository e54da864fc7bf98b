"""Collect the boto3 calls of a Lambda worker, so that the server can check them: standard library only.

The worker loads this file, which is not in the path of the function, when the server records calls (LOCAL_AWS_CALLS).
The contents of bodies do not leave the worker, only their lengths.
"""

from __future__ import annotations

import os
import sys
from datetime import datetime
from typing import Any

_calls: list[dict[str, Any]] = []


def install() -> None:
    """Collect the calls of all clients that are created from now on."""
    from botocore import handlers
    from botocore.validate import ParamValidationDecorator

    original = ParamValidationDecorator.serialize_to_request

    def serialize(self: Any, parameters: Any, operation_model: Any) -> Any:
        serialized = original(self, parameters, operation_model)
        _add(operation_model, "request", parameters)
        return serialized

    def received(http_response: Any, parsed: Any, model: Any, **_: Any) -> None:
        if http_response.status_code < 300:
            _add(model, "response", parsed)

    ParamValidationDecorator.serialize_to_request = serialize  # type: ignore[method-assign]  # on purpose
    handlers.BUILTIN_HANDLERS.append(("after-call.*.*", received, handlers.REGISTER_LAST))


def take() -> list[dict[str, Any]]:
    """Return the calls since the last call of this function, as JSON."""
    taken = list(_calls)
    del _calls[: len(taken)]
    return taken


def _add(model: Any, what: str, value: Any) -> None:
    call = {"service": model.service_model.service_name, "operation": model.name, "what": what}
    _calls.append({**call, "value": _plain(value), "where": _caller()})


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, datetime):
        return {"$time": value.isoformat()}
    if isinstance(value, (str, int, float, bool)) or value is None:
        return value
    return {"$bytes": len(value) if isinstance(value, (bytes, bytearray)) else 0}


def _caller() -> str:
    """The file and the line of the function's code that called."""
    root = os.environ["LAMBDA_TASK_ROOT"] + os.sep
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_filename.startswith(root):
            return f"{frame.f_code.co_filename.removeprefix(root)}:{frame.f_lineno}"
        frame = frame.f_back  # type: ignore[assignment]
    return os.environ["AWS_LAMBDA_FUNCTION_NAME"]
