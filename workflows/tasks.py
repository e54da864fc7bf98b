"""Small helpers with which the workflows are written."""

from functools import cache
from typing import Any

import boto3

from workflows.sdk import Catch, Retry, sagemaker


def call(function_arn: str, payload: dict[str, Any]) -> dict[str, Any]:
    """Parameters of a Lambda state."""
    return {"FunctionName": function_arn, "Payload": payload}


def retry(*errors: str, first_s: int = 1, attempts: int, longest_s: int = 60) -> Any:
    """A retrier that doubles its wait from `first_s` up to `longest_s` seconds.

    Each wait is drawn between zero and its length, so that a burst does not come back as a burst. `attempts=0`
    switches retrying off for these errors.
    """
    if attempts == 0:
        return Retry(error_equals=list(errors), max_attempts=0)
    return Retry(
        error_equals=list(errors),
        interval_seconds=first_s,
        max_attempts=attempts,
        backoff_rate=2.0,
        asl={"MaxDelaySeconds": longest_s, "JitterStrategy": "FULL"},
    )


def on_error(step: Any, errors: list[str], then: Any) -> None:
    """Sends these errors of `step` to `then`, with the error in `$.error` and the rest of the input kept."""
    step.add_catch(Catch(error_equals=errors, next_step=then, result_path="$.error"))


@cache
def offline_session() -> Any:
    """A SageMaker session that never calls AWS and reads no configuration of this machine."""
    nobody: dict[str, Any] = dict.fromkeys(("aws_access_key_id", "aws_secret_access_key"), "none")
    return sagemaker.Session(
        boto_session=boto3.Session(region_name="eu-west-1", **nobody),
        default_bucket="none",
        sagemaker_config={"SchemaVersion": "1.0"},
    )
