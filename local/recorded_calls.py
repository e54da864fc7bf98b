"""Record the calls that were authorized: action, resource, principal and condition keys, one JSON object per line.

With such a record a test finds the statements of policies that no call needs. It has names of resources, so it is
written only for tests (LOCAL_AWS_CALLS), into a file that its owner alone can read.
"""

from __future__ import annotations

import json
import os
import threading
from typing import Any

from ministack.core import iam_evaluator

from local import patches
from local.settings import Settings

# Keys whose values differ for each request and which no policy of ours compares.
_LEFT_OUT = ("aws:tokenissuetime",)


def install(settings: Settings) -> None:
    """Apply the patch when the settings name a file."""
    if settings.calls is None:
        return
    file = settings.calls
    lock = threading.Lock()
    seen: set[str] = set()

    def evaluate(ctx: Any, policies: Any, *limits: Any) -> Any:
        context = {**ctx.service_context, "aws:securetransport": str(ctx.secure_transport).lower()}
        call = {
            "principal": ctx.principal_arn,
            "action": ctx.action,
            "resource": ctx.resource_arn,
            "context": {name: value for name, value in context.items() if value is not None},
            "keys": {name: value for name, value in ctx.principal_keys.items() if name not in _LEFT_OUT},
        }
        line = json.dumps(call, sort_keys=True, default=str)
        with lock:
            if line not in seen:
                seen.add(line)
                descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
                with os.fdopen(descriptor, "w") as opened:
                    opened.write(line + "\n")
        return original(ctx, policies, *limits)

    original = patches.replace(iam_evaluator, "evaluate", "ctx policies limits", evaluate)
