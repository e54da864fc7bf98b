"""Objects and listings in S3: JSON by `s3://` address, and objects that are written once."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from functions.shared.aws import error_code
from functions.shared.errors import InvalidDocument, InvalidInput
from functions.shared.shapes import Shape

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectTypeDef

ABSENT = {"NoSuchKey", "404", "NotFound"}
_EXISTS = {"PreconditionFailed", "412"}
_CONFLICT = {"ConditionalRequestConflict", "409"}
_WRITES = 3


def parse_uri(uri: str) -> tuple[str, str]:
    """Return bucket and key of an address.

    >>> parse_uri("s3://bucket/a/b.json")
    ('bucket', 'a/b.json')
    """
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def read_json(s3: "S3Client", uri: str) -> Any:
    """Return the parsed object at an address, or None when there is none. Raises InvalidDocument."""
    bucket, key = parse_uri(uri)
    try:
        body: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        if error_code(error) in ABSENT:
            return None
        raise
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidDocument(f"{uri} is no JSON ({type(error).__name__}: {error}); write it again") from error


def check_document(shape: Shape, document: Any, uri: str) -> None:
    """Raise InvalidDocument when the parsed object at an address does not have a shape."""
    try:
        shape(document, "it")
    except InvalidInput as error:
        raise InvalidDocument(f"{uri}: {error}") from error


def list_objects(s3: "S3Client", bucket: str, prefix: str) -> "Iterator[ObjectTypeDef]":
    """Yield the objects under a prefix, ordered by key, as ListObjectsV2 describes them."""
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        yield from page.get("Contents", ())


def create_once(s3: "S3Client", bucket: str, key: str, content: bytes, media_type: str) -> bool:
    """Write an object; False when another writer has written it already. Raises ClientError, BotoCoreError.

    Two writes at the same time can conflict although neither succeeds; then S3 asks to repeat them (Amazon S3 User
    Guide, "Add preconditions to S3 operations with conditional requests").
    """
    for writes_left in reversed(range(_WRITES)):
        try:
            s3.put_object(Bucket=bucket, Key=key, Body=content, ContentType=media_type, IfNoneMatch="*")
        except ClientError as error:
            if error_code(error) in _EXISTS:
                return False
            if error_code(error) not in _CONFLICT or not writes_left:
                raise
        else:
            break
    return True


def list_keys(s3: "S3Client", bucket: str, prefix: str) -> Iterator[str]:
    """Yield the keys under a prefix, in order."""
    return (found["Key"] for found in list_objects(s3, bucket, prefix))
