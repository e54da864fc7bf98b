"""An AWS account in this process for the commands of deploy/: moto, with the stacks of FakeCloudFormation."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from tests.support.cloudformation_templates import REGION
from tests.support.fake_cloudformation import FakeCloudFormation
from tests.support.stubbed_services import Functions, Quotas

_TABLE = ("TableName", "BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")


@dataclass(frozen=True)
class EmptyAccount:
    """What a test can set in the account."""

    cloudformation: FakeCloudFormation
    quotas: Quotas
    functions: Functions


@contextmanager
def empty_account() -> Iterator[EmptyAccount]:
    """Start an account without any resource."""
    with ExitStack() as block:
        environment = block.enter_context(pytest.MonkeyPatch.context())
        for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL"):
            environment.delenv(name, raising=False)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            environment.setenv(name, "testing")
        for name in ("AWS_DEFAULT_REGION", "AWS_REGION"):
            environment.setenv(name, REGION)
        block.enter_context(mock_aws())
        cloudformation = FakeCloudFormation()
        cloudformation.on_create, cloudformation.on_delete = _create, _delete
        block.enter_context(cloudformation.installed())
        quotas, functions = Quotas(), Functions()
        quotas.install()
        functions.install()
        yield EmptyAccount(cloudformation, quotas, functions)


def _create(kind: str, properties: dict[str, Any]) -> None:
    """Create what the commands use beside CloudFormation: buckets, tables, the bus and its rules."""
    if kind == "AWS::S3::Bucket":
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket=properties["BucketName"], CreateBucketConfiguration={"LocationConstraint": REGION})
        if "VersioningConfiguration" in properties:
            s3.put_bucket_versioning(Bucket=properties["BucketName"], VersioningConfiguration={"Status": "Enabled"})
    elif kind == "AWS::DynamoDB::Table":
        request: Any = {name: properties[name] for name in _TABLE if name in properties}
        protected = properties.get("DeletionProtectionEnabled", False)
        boto3.client("dynamodb").create_table(**request, DeletionProtectionEnabled=protected)
    elif kind == "AWS::Events::EventBus":
        boto3.client("events").create_event_bus(Name=properties["Name"])
    elif kind == "AWS::Events::Rule" and "EventBusName" in properties:
        boto3.client("events").put_rule(
            Name=properties["Name"],
            EventBusName=properties["EventBusName"],
            EventPattern=json.dumps(properties["EventPattern"]),
        )


def _delete(kind: str, properties: dict[str, Any]) -> None:
    """Delete it, with the errors of AWS. What somebody else deleted is no error."""
    events = boto3.client("events")
    if kind == "AWS::S3::Bucket":
        try:
            boto3.client("s3").delete_bucket(Bucket=properties["BucketName"])
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchBucket":
                raise
    elif kind == "AWS::DynamoDB::Table":
        boto3.client("dynamodb").delete_table(TableName=properties["TableName"])
    elif kind == "AWS::Events::EventBus":
        if events.list_rules(EventBusName=properties["Name"])["Rules"]:
            message = "Cannot delete event bus because it has rules"
            raise ClientError({"Error": {"Code": "ValidationException", "Message": message}}, "DeleteEventBus")
        events.delete_event_bus(Name=properties["Name"])
    elif kind == "AWS::Events::Rule" and "EventBusName" in properties:
        events.delete_rule(Name=properties["Name"], EventBusName=properties["EventBusName"])
