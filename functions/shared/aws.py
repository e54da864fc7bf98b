"""AWS clients, made once per process and with time limits that fit inside a function's own."""

from functools import cache
from typing import Any, TypeAlias

import boto3
from botocore.config import Config

# boto3 generates its clients at run time; types for them are packages that do not belong in a function.
Client: TypeAlias = Any


@cache
def client(service: str, *, connect_timeout_s: float = 2, read_timeout_s: float = 5, attempts: int = 3) -> Client:
    """A client for one AWS service; `attempts` counts the first call and botocore's own retries of it."""
    return boto3.client(  # type: ignore[call-overload]  # the overloads want literal service names
        service,
        config=Config(
            connect_timeout=connect_timeout_s,
            read_timeout=read_timeout_s,
            retries={"mode": "standard", "total_max_attempts": attempts},
        ),
    )


def error_code(error: Exception) -> str:
    """The code of an AWS error response, such as `NoSuchKey`; the exception's own name for any other error."""
    # A timeout has a response too: None.
    response: dict[str, Any] = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code") or type(error).__name__)
