"""JSON objects and listings in S3, by `s3://` address."""

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


def list_keys(s3: "S3Client", bucket: str, prefix: str) -> Iterator[str]:
    """Yield the keys under a prefix, in order."""
    return (found["Key"] for found in list_objects(s3, bucket, prefix))
