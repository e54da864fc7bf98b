"""No secret is in the representation of an object, which appears in logs and tracebacks."""

import dataclasses
import importlib
import pkgutil
import re
from collections.abc import Iterator
from types import ModuleType

import console
import deploy
import events
import functions
import local
import operate

SECRET = re.compile(r"token|secret|password|receipt_handle|session_id|^body$|^headers$")
# Hashes identify a token and do not reveal it. The first body is redacted, the second that of an injected fault.
# The tokens of a bucket are a number of requests.
NOT_SECRET = {("FailedMessage", "body"), ("Fault", "body"), ("TokenBucket", "_tokens")}


def dataclasses_of(package: ModuleType) -> Iterator[type]:
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if module.name.endswith((".__main__", ".handler")):
            continue
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, type) and dataclasses.is_dataclass(value) and value.__module__ == module.name:
                yield value


def test_no_dataclass_shows_a_secret() -> None:
    shown, hidden = [], []
    for package in (console, deploy, events, functions, local, operate):
        for kind in dataclasses_of(package):
            for field in dataclasses.fields(kind):
                if not SECRET.search(field.name) or field.name.endswith("hash"):
                    continue
                if (kind.__name__, field.name) not in NOT_SECRET:
                    (shown if field.repr else hidden).append(f"{kind.__module__}.{kind.__name__}.{field.name}")
    assert shown == []
    assert "console.review_request.ReviewRequest.task_token" in hidden
    assert "console.web.services.Services.csrf_token" in hidden
