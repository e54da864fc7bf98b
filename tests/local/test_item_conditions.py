"""The condition key dynamodb:LeadingKeys in the policy of a user."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from local import users
from tests.local.aws import Aws
from tests.local.http_requests import client_with_key

TABLE = "arn:aws:dynamodb:eu-west-1:000000000000:table/leading"


@pytest.fixture
def dynamodb(aws: Aws) -> Any:
    """The client of a user who may write one item of a table."""
    root = aws.client("dynamodb")
    if "leading" not in root.list_tables()["TableNames"]:
        root.create_table(
            TableName="leading",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
    condition = {"ForAnyValue:StringEquals": {"dynamodb:LeadingKeys": ["own"]}}
    actions = ["dynamodb:PutItem", "dynamodb:DeleteItem", "dynamodb:BatchWriteItem"]
    statement = {"Effect": "Allow", "Action": actions, "Resource": TABLE, "Condition": condition}
    key = users.access_key(aws.server, "leading", {"Version": "2012-10-17", "Statement": [statement]})
    return client_with_key(aws, "dynamodb", key.access_key_id, key.secret_access_key)


def test_the_item_with_the_allowed_key_is_written_and_deleted(dynamodb: Any) -> None:
    dynamodb.put_item(TableName="leading", Item={"id": {"S": "own"}})
    dynamodb.put_item(TableName=TABLE, Item={"id": {"S": "own"}})
    dynamodb.delete_item(TableName="leading", Key={"id": {"S": "own"}})


def test_another_item_is_denied(dynamodb: Any) -> None:
    other = {"id": {"S": "other"}, "own": {"S": "own"}}
    with pytest.raises(ClientError, match="AccessDenied"):
        dynamodb.put_item(TableName="leading", Item=other)
    with pytest.raises(ClientError, match="AccessDenied"):
        dynamodb.delete_item(TableName="leading", Key={"id": {"S": "other"}})
    with pytest.raises(ClientError, match="AccessDenied"):
        dynamodb.batch_write_item(RequestItems={"leading": [{"PutRequest": {"Item": other}}]})
