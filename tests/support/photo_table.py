"""The tables of photos, uploads per minute and batch results from the templates, for tests without CloudFormation."""

from typing import Any

from deploy.templates import load_template

_CREATED_WITH = ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")


def create_photo_table(dynamodb: Any, name: str) -> None:
    """Create the table with the keys and indexes that a deployment creates."""
    _create_table(dynamodb, name, load_template("data")["Resources"]["PhotoTable"]["Properties"])


def create_upload_count_table(dynamodb: Any, name: str) -> None:
    """Create the table that counts the uploads of drivers."""
    _create_table(dynamodb, name, load_template("app")["Resources"]["UploadCountTable"]["Properties"])


def create_batch_result_table(dynamodb: Any, name: str) -> None:
    """Create the table of the results of batches."""
    _create_table(dynamodb, name, load_template("app")["Resources"]["BatchResultTable"]["Properties"])


def _create_table(dynamodb: Any, name: str, properties: dict[str, Any]) -> None:
    dynamodb.create_table(TableName=name, **{key: properties[key] for key in _CREATED_WITH if key in properties})
