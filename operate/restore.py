"""Copy what a table of the stage has lost from a table that point-in-time recovery has restored: docs/restore.md."""

from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import ClientError

from deploy.outputs import Deployed
from functions.shared.aws import error_code
from operate.errors import CommandError
from operate.terminal import console

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

# The item of the model table that a running execution holds.
LOCK = "lock"


def run(deployed: Deployed, restored: str) -> tuple[int, int]:
    """Write each item of the table `restored` that the table of the stage does not have.

    An item that is there is newer, and stays. Return how many were written, and how many were there. The name of the
    restored table begins with the name of the stage's. Raises CommandError for another one.
    """
    keys = {deployed.photo_table: "photo_id", deployed.model_table: "id"}
    table = next((name for name in keys if restored.startswith(f"{name}-")), None)
    if table is None:
        raise CommandError(
            f"{restored} is no copy of {' or '.join(keys)}: its name has to begin with theirs and a dash."
        )
    written = there = 0
    dynamodb: DynamoDBClient = boto3.client("dynamodb")
    for item in _items(dynamodb, restored):
        if item[keys[table]] == {"S": LOCK}:
            continue
        try:
            dynamodb.put_item(
                TableName=table,
                Item=item,
                ConditionExpression="attribute_not_exists(#key)",
                ExpressionAttributeNames={"#key": keys[table]},
            )
            written += 1
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise
            there += 1
    console.print(f"{written} items of {restored} written to {table}; {there} were there and stay.", soft_wrap=True)
    if table == deployed.photo_table:
        console.print("Now repeat `make forget` for the drivers since then, and run `make reconcile`.", soft_wrap=True)
    else:
        console.print("Now run `make deploy` and `make status`.", soft_wrap=True)
    return written, there


def _items(dynamodb: "DynamoDBClient", table: str) -> Any:
    try:
        for page in dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True):
            yield from page["Items"]
    except dynamodb.exceptions.ResourceNotFoundException as error:
        raise CommandError(f"There is no table {table}. `aws dynamodb list-tables` lists them.") from error
