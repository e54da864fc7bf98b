"""The training input: data, code and options of the champion's training, which automatic retrainings use again."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from functions.shared.s3 import check_document, read_json
from functions.shared.shapes import object_with, optional

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

KEY = "training/current.json"


def read_training_input(s3: "S3Client", bucket: str) -> dict[str, Any] | None:
    """Return the recorded training input, or None before the first promotion of a trained model."""
    uri = f"s3://{bucket}/{KEY}"
    recorded: dict[str, Any] | None = read_json(s3, uri)
    check_document(optional(object_with({})), recorded, uri)
    return recorded


def write_training_input(s3: "S3Client", bucket: str, training_input: Mapping[str, Any]) -> None:
    """Record the training input of the champion. Raises ClientError and BotoCoreError."""
    s3.put_object(Bucket=bucket, Key=KEY, Body=json.dumps(training_input).encode())
