"""S3: policies can require If-None-Match of a write, which prevents overwriting.

Patches: ministack does not know the condition key s3:if-none-match (Amazon S3 User Guide, "Enforce conditional writes
on Amazon S3 buckets"), and with an entity tag in the header it writes over an object whose ETag is another one. S3
accepts only `*` there, and answers NotImplemented to anything else (Amazon S3 API Reference, "PutObject").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ministack.core import iam_actions
from ministack.services import s3

from local import patches


def install() -> None:
    """Apply the patches of this module."""

    def service_context(
        iam_action: str, query_params: Any, path: str = "", headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        context: dict[str, Any] = original_context(iam_action, query_params, path, headers)
        # A form upload, whose path has no key, has no conditional headers.
        has_key = bool(path.lstrip("/").partition("/")[2])
        if iam_action == "s3:PutObject" and has_key and (value := (headers or {}).get("if-none-match", "").strip()):
            context["s3:if-none-match"] = value
        return context

    def check(headers: dict[str, str], existing_obj: dict[str, Any] | None) -> Any:
        if headers.get("if-none-match", "").strip() not in ("", "*"):
            message = "A header you provided implies functionality that is not implemented"
            return s3._error("NotImplemented", message, 501)
        return original(headers, existing_obj)

    names = "iam_action query_params path headers"
    original_context = patches.replace(iam_actions, "s3_service_context", names, service_context)
    original = patches.replace(s3, "_check_put_preconditions", "headers existing_obj", check)
