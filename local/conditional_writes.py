"""S3: accept no entity tag in If-None-Match of a write.

Patches: ministack writes over an object whose ETag is another one. S3 accepts only `*`, and answers NotImplemented to
anything else (Amazon S3 API Reference, "PutObject"), so a bucket policy that requires the header prevents overwriting
(Amazon S3 User Guide, "Enforce conditional writes on Amazon S3 buckets").
"""

from __future__ import annotations

from typing import Any

from ministack.services import s3

from local import patches


def install() -> None:
    """Apply the patch."""

    def check(headers: dict[str, str], existing_obj: dict[str, Any] | None) -> Any:
        if headers.get("if-none-match", "").strip() not in ("", "*"):
            message = "A header you provided implies functionality that is not implemented"
            return s3._error("NotImplemented", message, 501)
        return original(headers, existing_obj)

    original = patches.replace(s3, "_check_put_preconditions", "headers existing_obj", check)
