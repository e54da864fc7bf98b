"""Refuse functions and layers whose code is not in S3.

Patches: for a missing object `lambda_svc._fetch_code_from_s3` returns None, and invocations then return 200 "Mock
response"; CloudFormation's handler of AWS::Lambda::LayerVersion does the same. AWS returns
InvalidParameterValueException (Lambda API Reference, "CreateFunction").
"""

from __future__ import annotations

from typing import Any

from ministack.core.responses import error_response_json
from ministack.services import lambda_svc, s3
from ministack.services.cloudformation import provisioners

from local import patches


class CodeMissing(ValueError):
    """The object with the code does not exist; the message is AWS's."""

    def __init__(self, bucket: str, key: str) -> None:
        super().__init__(
            "Error occurred while GetObject. S3 Error Code: NoSuchKey. "
            f"S3 Error Message: The specified key does not exist. (s3://{bucket}/{key})"
        )


def install() -> None:
    """Apply the patches of this module."""

    def fetch(bucket: str, key: str, version_id: str | None = None) -> Any:
        content = original_fetch(bucket, key, version_id)
        if content is None:
            raise CodeMissing(bucket, key)
        return content

    async def handle(method: str, path: str, headers: Any, body: bytes, query_params: Any) -> Any:
        try:
            return await original_handle(method, path, headers, body, query_params)
        except CodeMissing as error:
            return error_response_json("InvalidParameterValueException", str(error), 400)

    def create_layer(logical_id: str, properties: dict[str, Any], stack_name: str) -> Any:
        content = properties.get("Content") or {}
        bucket, key = content.get("S3Bucket", ""), content.get("S3Key", "")
        if s3._get_object_data(bucket, key) is None:
            raise CodeMissing(bucket, key)
        return original_layer(logical_id, properties, stack_name)

    original_fetch = patches.replace(lambda_svc, "_fetch_code_from_s3", "bucket key version_id", fetch)
    original_handle = patches.replace(lambda_svc, "handle_request", "method path headers body query_params", handle)
    handlers = patches.attribute(provisioners, "_RESOURCE_HANDLERS", dict)["AWS::Lambda::LayerVersion"]
    original_layer = handlers["create"]
    handlers["create"] = create_layer
