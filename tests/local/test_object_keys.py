"""Keys with characters that XML cannot contain, that URLs give a meaning to, or that a path would resolve."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import unquote_plus

import pytest
from botocore.auth import S3SigV4Auth
from botocore.exceptions import ClientError

from tests.local.aws import Aws
from tests.local.http_requests import send_for_body, signed_headers
from tests.support.object_keys import KEYS


@pytest.mark.parametrize("key", KEYS, ids=ascii)
def test_every_listing_has_the_key_and_delete_object_removes_it(aws: Aws, key: str) -> None:
    bucket, s3 = aws.create_bucket(), aws.client("s3")
    s3.put_object(Bucket=bucket, Key=key, Body=b"photo")
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == b"photo"
    for operation in ("list_objects", "list_objects_v2", "list_object_versions"):
        answer = getattr(s3, operation)(Bucket=bucket)
        found = answer.get("Contents") or answer["Versions"]
        assert [item["Key"] for item in found] == [key], operation
    s3.delete_object(Bucket=bucket, Key=key, VersionId="null")
    assert "Versions" not in s3.list_object_versions(Bucket=bucket)


def test_pages_of_versions_have_every_key_once(aws: Aws) -> None:
    bucket, s3 = aws.create_bucket(), aws.client("s3")
    for key in KEYS:
        s3.put_object(Bucket=bucket, Key=key, Body=b"photo")
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket, PaginationConfig={"PageSize": 2})
    assert [item["Key"] for page in pages for item in page.get("Versions", [])] == sorted(KEYS)
    answer = s3.list_object_versions(Bucket=bucket, Prefix="uploads/a\x01", Delimiter="b")
    assert [group["Prefix"] for group in answer["CommonPrefixes"]] == ["uploads/a\x01b"]


def test_multipart_uploads_are_listed_with_encoded_keys(aws: Aws) -> None:
    bucket, s3 = aws.create_bucket(), aws.client("s3")
    for key in KEYS:
        # The response contains the key, and boto3 cannot parse it.
        with suppress(ClientError):
            s3.create_multipart_upload(Bucket=bucket, Key=key)
    answer = s3.list_multipart_uploads(Bucket=bucket, EncodingType="url")
    assert [unquote_plus(upload["Key"]) for upload in answer["Uploads"]] == sorted(KEYS)
    assert answer["EncodingType"] == "url"


def test_without_an_encoding_the_character_is_a_reference(aws: Aws) -> None:
    bucket = aws.create_bucket()
    aws.client("s3").put_object(Bucket=bucket, Key="a\x01\r\ufffe", Body=b"photo")
    for path in (f"/{bucket}", f"/{bucket}?versions=", f"/{bucket}?list-type=2"):
        headers = signed_headers(aws, "GET", path, service="s3", signer=S3SigV4Auth)
        assert b"<Key>a&#x1;&#xD;&#xFFFE;</Key>" in send_for_body(aws, "GET", path, headers=headers)


def test_delete_objects_cannot_name_a_key_that_xml_cannot_contain(aws: Aws) -> None:
    """Such a key is deleted with DeleteObject."""
    bucket, s3 = aws.create_bucket(), aws.client("s3")
    with pytest.raises(ClientError, match="MalformedXML"):
        s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "a\x01"}]})
