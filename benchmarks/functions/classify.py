"""AWS Lambda: send the photo in the state to the endpoint."""

import base64
import json
import os
from typing import Any

import boto3

runtime = boto3.client("sagemaker-runtime")


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """Return the event with the endpoint's answer for `image_data` as `inferences`."""
    answer = runtime.invoke_endpoint(
        EndpointName=os.environ["ENDPOINT_NAME"],
        ContentType="application/x-image",
        Body=base64.b64decode(event["image_data"]),
    )
    return {**event, "inferences": json.loads(answer["Body"].read())}
