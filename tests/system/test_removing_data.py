"""Removing a stage with its data: any key, and errors half-way."""

import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from deploy import removal, system
from deploy.errors import DeployError
from deploy.stack import Stack
from deploy.target import Target
from tests.support.object_keys import KEYS
from tests.system.test_deployment import all_resources, resources_of


def test_photos_with_any_key_are_removed_with_the_data(embedded_aws: Any) -> None:
    target = Target("local", "anykey")
    bucket = system.deploy(target, progress=lambda line: None)["UploadsBucket"]
    keys = [key if key.startswith("uploads/") else f"uploads/{key}" for key in KEYS]
    for key in keys:
        boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=b"photo")
    lines: list[str] = []
    removal.destroy(target, with_data=True, progress=lines.append)
    assert f"{bucket}: {len(keys)} objects removed" in lines
    # A function that still runs creates its log group again.
    assert resources_of(all_resources(), "anykey").keys() <= {"log groups"}


@pytest.mark.parametrize("name", ["golden/a.jpg", "golden/\x01.jpg"])
def test_removing_the_data_goes_on_after_an_object_that_could_not_be_deleted(embedded_aws: Any, name: str) -> None:
    target = Target("local", "halfway")
    bucket = system.deploy(target, progress=lambda line: None)["MlBucket"]
    s3 = boto3.client("s3")
    s3.put_object(Bucket=bucket, Key=name, Body=b"kept")
    statement = {"Effect": "Deny", "Principal": "*", "Action": "s3:DeleteObject*"}
    resource = f"arn:aws:s3:::{bucket}/golden/*.jpg"
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Statement": {**statement, "Resource": resource}}))
    with pytest.raises(DeployError) as failed:
        removal.destroy(target, with_data=True, progress=lambda line: None)
    message = str(failed.value)
    assert f"s3://{bucket}/{name}".replace("\x01", "\\x01") in message
    # The response about a key that XML cannot contain cannot be parsed: boto3 reports its status only.
    assert "AccessDenied" in message or "(403)" in message
    assert message.endswith("The app stack is removed, but only a part of the data. Run `make destroy DATA=yes` again.")
    s3.delete_bucket_policy(Bucket=bucket)
    removal.destroy(target, with_data=True, progress=lambda line: None)
    assert resources_of(all_resources(), "halfway") == {}


@pytest.mark.parametrize("with_data", [False, True])
def test_a_removal_that_fails_before_the_data_says_how_to_go_on(
    embedded_aws: Any, monkeypatch: pytest.MonkeyPatch, with_data: bool
) -> None:
    target = Target("local", "stuck")
    system.deploy(target, progress=lambda line: None)

    def refuse(*_arguments: Any) -> None:
        raise ClientError({"Error": {"Code": "Throttling", "Message": "Rate exceeded"}}, "DeleteStack")

    command = "make destroy DATA=yes" if with_data else "make destroy"
    with monkeypatch.context() as patched:
        patched.setattr(Stack, "set_parameter", refuse)
        with pytest.raises(DeployError, match=f"Rate exceeded\nNothing was removed. Run `{command}` again"):
            removal.destroy(target, with_data=with_data, progress=lambda line: None)
    with monkeypatch.context() as patched:
        patched.setattr(Stack, "delete", refuse)
        with pytest.raises(DeployError, match=f"accepts no uploads, and only a part.*`{command}` to remove the rest"):
            removal.destroy(target, with_data=with_data, progress=lambda line: None)
    removal.destroy(target, with_data=True, progress=lambda line: None)


def test_the_photo_table_of_production_is_not_deleted_by_mistake(embedded_aws: Any) -> None:
    target = Target("local", "prod")
    deployed = system.deploy(target, progress=lambda line: None)
    before = resources_of(all_resources(), "prod")
    with pytest.raises(DeployError, match=r"scones-prod-photos is protected[^\n]*\nNothing was removed"):
        removal.destroy(target, with_data=True, progress=lambda line: None)
    assert resources_of(all_resources(), "prod") == before
    boto3.client("dynamodb").update_table(TableName=deployed["PhotoTable"], DeletionProtectionEnabled=False)
    removal.destroy(target, with_data=True, progress=lambda line: None)
    assert resources_of(all_resources(), "prod") == {}
