"""Check the boto3 calls of Lambda workers against botocore's models, for tests (LOCAL_AWS_CALLS).

`lambdas/worker_calls.py` collects the calls; the violations are written to `Settings.violations`, one JSON object per
line, without the values, which may be keys of objects or task tokens.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from ministack.core.responses import _service_model

from local.service_models import constraint_problems, response_problems

_lock = threading.Lock()


def write_violations(file: Path, calls: Iterable[dict[str, Any]]) -> None:
    """Append the violations of the calls that a worker has collected."""
    lines = [json.dumps(found) + "\n" for call in calls for found in violations(call)]
    if lines:
        with _lock, os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "w") as opened:
            opened.writelines(lines)


def violations(call: dict[str, Any]) -> Iterator[dict[str, str]]:
    """Yield the violations of one request or response: where, service, operation, what, path, constraint."""
    operation = _service_model(call["service"]).operation_model(call["operation"])
    is_request = call["what"] == "request"
    shape = operation.input_shape if is_request else operation.output_shape
    if shape is not None:
        for problem in (constraint_problems if is_request else response_problems)(_restored(call["value"]), shape):
            about = {name: call[name] for name in ("where", "service", "operation", "what")}
            yield {**about, "path": problem.path, "constraint": problem.constraint}


def _restored(value: Any) -> Any:
    """Return a value as the worker had it; zeros in place of the bytes of a body."""
    if isinstance(value, list):
        return [_restored(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"$time"}:
        return datetime.fromisoformat(value["$time"])
    if value.keys() == {"$bytes"}:
        return bytes(value["$bytes"])
    return {name: _restored(item) for name, item in value.items()}
