"""IAM: enforce the policies of everybody but the root user, and, unless switched off, those of roles of services too.

Patches: ministack enforces IAM for all callers or for none (`AUTH`), so that without it every IAM user is an
administrator. Here each request of another identity than the root user is authorized ("How IAM works", IAM User Guide).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from ministack import app
from ministack.core import iam_evaluator, router

from local import patches
from local.settings import Settings

_enforced: ContextVar[bool] = ContextVar("enforced")


class _Enforcement:
    """What ministack tests as `AUTH`: true while IAM is enforced for the current request."""

    def __init__(self, always: bool) -> None:
        self.always = always

    def __bool__(self) -> bool:
        return _enforced.get(self.always)


@contextmanager
def enforced(value: bool) -> Iterator[None]:
    """Enforce IAM in this context, or not; what it starts in other threads is not affected."""
    token = _enforced.set(value)
    try:
        yield
    finally:
        _enforced.reset(token)


def always() -> bool:
    """Whether IAM is enforced for every caller, functions and services included."""
    return bool(app.AUTH.always)


def is_enforced_for(headers: Mapping[str, str], query: Mapping[str, list[str]]) -> bool:
    """Whether IAM is enforced for a request; the names of headers are in lower case."""
    return always() or not iam_evaluator._is_root_key(router.extract_access_key_id(headers, query))


def install(settings: Settings) -> None:
    """Apply the patch."""
    patches.attribute(app, "AUTH", bool)
    enforcement: Any = _Enforcement(settings.authorization)
    app.AUTH = enforcement
    patches.expect(iam_evaluator, "_is_root_key", "access_key_id")
