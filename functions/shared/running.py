"""Whether an execution is still alive."""

from botocore.exceptions import ClientError

from functions.shared.aws import Client, error_code


def is_running(stepfunctions: Client, execution: str) -> bool:
    """True while an execution runs; False for one that ended or never was."""
    try:
        status = stepfunctions.describe_execution(executionArn=execution)["status"]
    except ClientError as error:
        if error_code(error) in {"ExecutionDoesNotExist", "InvalidArn"}:
            return False
        raise
    return bool(status == "RUNNING")
