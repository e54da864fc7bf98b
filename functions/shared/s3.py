"""JSON objects and listings in S3, by their `s3://` addresses."""

import json
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from functions.shared.aws import Client, error_code

ABSENT = {"NoSuchKey", "404", "NotFound"}


def address(uri: str) -> tuple[str, str]:
    """Bucket and key of an address.

    >>> address("s3://bucket/a/b.json")
    ('bucket', 'a/b.json')
    """
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def read_json(s3: Client, uri: str) -> Any:
    """The parsed object at an address, or None when there is none."""
    bucket, key = address(uri)
    try:
        body: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        if error_code(error) in ABSENT:
            return None
        raise
    return json.loads(body)


def keys(s3: Client, bucket: str, prefix: str) -> Iterator[str]:
    """The keys under a prefix, in order."""
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for found in page.get("Contents", ()):
            yield found["Key"]
