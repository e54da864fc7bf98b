"""IAM: enforce the policies of everybody but the root user, and, unless switched off, those of roles of services too.

Patches: ministack enforces IAM for all callers or for none (`AUTH`), so that without it every IAM user is an
administrator. Here each request of another identity than the root user is authorized ("How IAM works", IAM User Guide).
ministack authorizes most requests as one action on one resource; `require` tells what else a service needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from ministack import app
from ministack.core import iam_actions, iam_evaluator, router

from local import patches
from local.settings import Settings

_enforced: ContextVar[bool] = ContextVar("enforced")
# The name under which the body of a request travels to `enforce`, which does not get it.
_BODY = "local:body"


@dataclass(frozen=True)
class Permission:
    """An action of a service on a resource; `context` has the values of condition keys."""

    action: str
    service: str
    resource: str
    context: Mapping[str, Any] = field(default_factory=dict)


Expand = Callable[[Permission, bytes, str], Iterable[Permission]]
"""Returns what a request needs, from the permission that ministack authorizes, its body and its region."""
_expand: dict[str, Expand] = {}


def require(service: str, expand: Expand) -> None:
    """Authorize each request to a service as the permissions that `expand` returns; all of them are needed."""
    _expand[service] = expand


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
    """Apply the patches."""

    def request_tag_context(service: str, iam_action: str, body: bytes, params: Any) -> dict[str, Any]:
        context: dict[str, Any] = original_context(service, iam_action, body, params)
        return {**context, _BODY: body} if service in _expand else context

    def enforce(
        access_key_id: str,
        iam_action: str,
        service: str,
        region: str,
        resource_arn: str = "*",
        service_context: Mapping[str, Any] | None = None,
    ) -> Any:
        context = dict(service_context or {})
        body = context.pop(_BODY, b"")
        asked = Permission(iam_action, service, resource_arn, context)
        for needed in _expand[service](asked, body, region) if service in _expand else (asked,):
            denied = original_enforce(
                access_key_id, needed.action, needed.service, region, needed.resource, needed.context
            )
            if denied:
                return denied
        return None

    original_context = patches.replace(
        iam_actions, "request_tag_context", "service iam_action body params", request_tag_context
    )
    parameters = "access_key_id iam_action service region resource_arn service_context"
    original_enforce = patches.replace(iam_evaluator, "enforce", parameters, enforce)
    patches.attribute(app, "AUTH", bool)
    enforcement: Any = _Enforcement(settings.authorization)
    app.AUTH = enforcement
    patches.expect(iam_evaluator, "_is_root_key", "access_key_id")
