"""S3: what is answered about an object that does not exist depends on s3:ListBucket.

Patch: ministack answers 404 to everybody. "If you have the s3:ListBucket permission on the bucket, Amazon S3 returns an
HTTP status code 404 (Not Found) error. If you don't have the s3:ListBucket permission, Amazon S3 returns an HTTP status
code 403 (Access Denied) error" (Amazon S3 API Reference, "GetObject").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ministack.core import iam_evaluator, responses
from ministack.services import s3

from local import patches
from local.authorization import is_enforced_for

MISSING = 404


def install() -> None:
    """Apply the patch. It wraps those of other modules, because it reads the answer."""

    def dispatch(
        method: str, bucket: str, key: str, headers: dict[str, str], body: bytes, query_params: Mapping[str, Any]
    ) -> Any:
        answer = original(method, bucket, key, headers, body, query_params)
        if answer[0] != MISSING or not key or method not in ("GET", "HEAD") or bucket not in s3._buckets:
            return answer
        if not is_enforced_for(headers, dict(query_params)):
            return answer
        access_key = s3._request_access_key(method, key, headers, query_params, body)
        arn = f"arn:aws:s3:::{bucket}"
        if iam_evaluator.enforce(access_key, "s3:ListBucket", "s3", responses.get_region(), arn, {}):
            return s3._error("AccessDenied", "Access Denied", 403, f"/{bucket}/{key}")
        return answer

    original = patches.replace(s3, "_dispatch", "method bucket key headers body query_params", dispatch)
    patches.expect(s3, "_request_access_key", "method key headers query_params body")
