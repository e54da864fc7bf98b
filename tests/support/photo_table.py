"""The photo table of the data template, for tests without CloudFormation."""

from typing import Any

from deploy.templates import load_template

_CREATED_WITH = ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")


def create_photo_table(dynamodb: Any, name: str) -> None:
    """Create the table with the keys and indexes that a deployment creates."""
    properties = load_template("data")["Resources"]["PhotoTable"]["Properties"]
    dynamodb.create_table(TableName=name, **{key: properties[key] for key in _CREATED_WITH})
