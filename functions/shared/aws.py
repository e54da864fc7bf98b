"""AWS clients, created once per process, with timeouts shorter than those of the functions."""

import re
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack, overload

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from functions.shared.errors import AwsRefused, AwsUnavailable, SconesError

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_stepfunctions import SFNClient


class Limits(TypedDict, total=False):
    """Time limits in seconds; `attempts` counts the first call and botocore's own retries of it."""

    connect_timeout_s: float
    read_timeout_s: float
    attempts: int


@overload
def client(service: Literal["application-autoscaling"], **limits: Unpack[Limits]) -> Any: ...  # no types are installed
@overload
def client(service: Literal["cloudwatch"], **limits: Unpack[Limits]) -> "CloudWatchClient": ...
@overload
def client(service: Literal["dynamodb"], **limits: Unpack[Limits]) -> "DynamoDBClient": ...
@overload
def client(service: Literal["events"], **limits: Unpack[Limits]) -> "EventBridgeClient": ...
@overload
def client(service: Literal["s3"], **limits: Unpack[Limits]) -> "S3Client": ...
@overload
def client(service: Literal["sagemaker"], **limits: Unpack[Limits]) -> "SageMakerClient": ...
@overload
def client(service: Literal["sagemaker-runtime"], **limits: Unpack[Limits]) -> "SageMakerRuntimeClient": ...
@overload
def client(service: Literal["sns"], **limits: Unpack[Limits]) -> Any: ...  # no types of SNS are installed
@overload
def client(service: Literal["sqs"], **limits: Unpack[Limits]) -> "SQSClient": ...
@overload
def client(service: Literal["ssm"], **limits: Unpack[Limits]) -> "SSMClient": ...
@overload
def client(service: Literal["stepfunctions"], **limits: Unpack[Limits]) -> "SFNClient": ...
@cache
def client(service: str, *, connect_timeout_s: float = 2, read_timeout_s: float = 5, attempts: int = 3) -> Any:
    """Return the client for one AWS service, the same one for the same limits."""
    return boto3.client(  # type: ignore[call-overload]  # the overloads accept only literal service names
        service,
        config=Config(
            connect_timeout=connect_timeout_s,
            read_timeout=read_timeout_s,
            retries={"mode": "standard", "total_max_attempts": attempts},
        ),
    )


# Codes with which AWS services ask for a retry, beside every answer of the status 5xx.
_TRANSIENT = ("Throttl", "TooManyRequests", "LimitExceeded", "ThroughputExceeded", "SlowDown", "RequestTimeout")


def call_failed(error: ClientError | BotoCoreError) -> SconesError:
    """Return the error of this project for a failed call of AWS that the function does not expect."""
    what = describe_error(error)
    if not isinstance(error, ClientError):
        return AwsUnavailable(f"AWS did not answer: {what}; start the execution again")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    code = error_code(error)
    if status >= 500 or "Internal" in code or "Unavailable" in code or any(part in code for part in _TRANSIENT):
        return AwsUnavailable(f"{what}; start the execution again")
    return AwsRefused(f"{what}; see the permissions of the function's role and whether the resource exists")


# A key of the uploads bucket, which names a driver, in a URL, an ARN or a query.
_PHOTO_KEY = re.compile("uploads(/|%2F)", re.IGNORECASE)


def describe_error(error: Exception) -> str:
    """Return the text of an error of boto3 for logs and errors: only its code when the text contains a photo's key.

    S3 names the object in AccessDenied, botocore the URL in errors of the connection.
    """
    return error_code(error) if _PHOTO_KEY.search(str(error)) else str(error)


def error_code(error: Exception) -> str:
    """Return the code of an AWS error response, such as `NoSuchKey`; the exception's own name for any other error."""
    # A timeout has a response too: None.
    response: dict[str, Any] = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code") or type(error).__name__)
