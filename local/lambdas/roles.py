"""The role of a function: its credentials when IAM is enforced, otherwise those of the root user; its failed events.

Patches:
- `lambda_runtime.execution_credentials` derives the secret of a role from the names of function and role, so that
  anyone who knows the names can sign as the role. On AWS the credentials are temporary and secret ("Defining Lambda
  function permissions with an execution role").
- `lambda_svc._route_async_failure` sends to a destination without asking. On AWS the role needs permission ("Adding a
  destination", AWS Lambda Developer Guide).
"""

from __future__ import annotations

from typing import Any

from ministack.core import lambda_runtime
from ministack.services import lambda_svc

from local import authorization, patches
from local.service_roles import ServiceRole

SERVICE = "lambda.amazonaws.com"
DESTINATIONS = {"sqs": "sqs:SendMessage", "sns": "sns:Publish", "lambda": "lambda:InvokeFunction"}


def function_role(config: dict[str, Any]) -> ServiceRole:
    """The role of a function, from its configuration."""
    return ServiceRole(str(config.get("Role", "")), SERVICE, str(config.get("FunctionArn", "")))


def install() -> None:
    """Apply the patches of this module."""

    def execution_credentials(config: dict[str, Any]) -> dict[str, str]:
        key = function_role(config).access_key()
        if key is None:
            with authorization.enforced(False):
                return original(config)  # type: ignore[no-any-return]
        return {
            "AWS_ACCESS_KEY_ID": key.access_key_id,
            "AWS_SECRET_ACCESS_KEY": key.secret_access_key,
            "AWS_SESSION_TOKEN": key.session_token,
        }

    def route_async_failure(target_arn: str, func_name: str, event: dict[str, Any], result: dict[str, Any]) -> None:
        config = (lambda_svc._functions.get(func_name) or {}).get("config", {})
        action = DESTINATIONS.get(target_arn.split(":")[2:3][0] if ":" in target_arn else "")
        if not action or function_role(config).allows(action, target_arn, f"A failed event of {func_name} is lost"):
            original_route(target_arn, func_name, event, result)

    original = patches.replace(lambda_runtime, "execution_credentials", "config", execution_credentials)
    patches.replace(lambda_svc, "execution_credentials", "config", execution_credentials)
    original_route = patches.replace(
        lambda_svc, "_route_async_failure", "target_arn func_name event result", route_async_failure
    )
