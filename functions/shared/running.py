"""The status of an execution."""

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from functions.shared.aws import error_code

# The error of an execution that was stopped because its photo is deleted: nobody has to look at it.
PHOTO_FORGOTTEN = "PhotoForgotten"

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient


def is_running(stepfunctions: "SFNClient", execution: str) -> bool:
    """Whether an execution runs; False for one that ended or does not exist."""
    try:
        status = stepfunctions.describe_execution(executionArn=execution)["status"]
    except ClientError as error:
        if error_code(error) in {"ExecutionDoesNotExist", "InvalidArn"}:
            return False
        raise
    return bool(status == "RUNNING")
