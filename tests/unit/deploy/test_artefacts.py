"""Artefacts in their bucket: an existing one is used only when S3 computed the same SHA-256."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from moto import mock_aws

from deploy.artefacts import KEPT, remove_unused, upload_once
from deploy.errors import DeployError

BUCKET = "scones-artifacts"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        client = boto3.client("s3", region_name="eu-west-1")
        client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        yield client


def test_an_artefact_is_uploaded_once(s3: Any) -> None:
    assert upload_once(s3, BUCKET, "code.zip", b"code")
    assert not upload_once(s3, BUCKET, "code.zip", b"code")
    assert s3.get_object(Bucket=BUCKET, Key="code.zip")["Body"].read() == b"code"


@pytest.mark.parametrize("checksum", [{}, {"ChecksumAlgorithm": "SHA256"}, {"ChecksumAlgorithm": "CRC32"}])
def test_an_artefact_with_another_content_is_refused(s3: Any, checksum: dict[str, str]) -> None:
    s3.put_object(Bucket=BUCKET, Key="code.zip", Body=b"forged", **checksum)
    with pytest.raises(DeployError, match=f"s3://{BUCKET}/code.zip is not what was built"):
        upload_once(s3, BUCKET, "code.zip", b"code")


def test_old_artefacts_are_removed_unless_the_stack_uses_them(s3: Any) -> None:
    for name in ("code-1.zip", "code-2.zip", "layer-1.zip"):
        upload_once(s3, BUCKET, name, name.encode())
    used = ("code-2.zip", "30", "python3.12")
    assert remove_unused(s3, BUCKET, used) == 0, "they are new"
    later = datetime.now(UTC) + KEPT + timedelta(days=1)
    assert remove_unused(s3, BUCKET, used, now=later) == 2
    assert [found["Key"] for found in s3.list_objects_v2(Bucket=BUCKET)["Contents"]] == ["code-2.zip"]
    assert upload_once(s3, BUCKET, "code-1.zip", b"code-1.zip"), "an older version of the code is deployed again"
