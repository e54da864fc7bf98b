"""How the template of a stack reaches CloudFormation."""

import json
from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws

from deploy.errors import DeployError
from deploy.stack import Stack


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with mock_aws():
        boto3.client("s3").create_bucket(
            Bucket="scones-ml", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )
        yield "scones-ml"


def test_a_short_template_is_sent_in_the_request(bucket: str) -> None:
    assert Stack("scones-test")._template_source("{}", bucket) == {"TemplateBody": "{}"}
    assert "Contents" not in boto3.client("s3").list_objects_v2(Bucket=bucket)


def test_a_long_template_is_read_from_the_bucket(bucket: str) -> None:
    body = json.dumps({"Description": "d" * 60_000})
    source = Stack("scones-test")._template_source(body, bucket)
    (uploaded,) = boto3.client("s3").list_objects_v2(Bucket=bucket)["Contents"]
    assert source == {"TemplateURL": f"https://s3.eu-west-1.amazonaws.com/scones-ml/{uploaded['Key']}"}
    assert boto3.client("s3").get_object(Bucket=bucket, Key=uploaded["Key"])["Body"].read().decode() == body


def test_a_long_template_without_a_bucket_is_an_error(bucket: str) -> None:
    with pytest.raises(DeployError, match="CloudFormation accepts 51200"):
        Stack("scones-test").deploy({"Description": "d" * 60_000}, {"Stage": "test"})
