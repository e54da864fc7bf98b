"""AWS Lambda: read a photo from S3 into the state, as base64 text."""

import base64
from typing import Any

import boto3

s3 = boto3.client("s3")


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """Return the photo of `event["s3_bucket"]` and `event["s3_key"]` as `image_data`."""
    content = s3.get_object(Bucket=event["s3_bucket"], Key=event["s3_key"])["Body"].read()
    return {**event, "image_data": base64.b64encode(content).decode(), "inferences": None}
