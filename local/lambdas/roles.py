"""The credentials of a function: those of its role when IAM is enforced, otherwise those of the root user.

Patch: `lambda_runtime.execution_credentials` derives the secret of a role from the names of function and role, so that
anyone who knows the names can sign as the role. On AWS the credentials are temporary and secret ("Defining Lambda
function permissions with an execution role"). Its UserId has the name of the role instead of the role's id ("IAM JSON
policy elements: Variables and tags", the values of aws:userid).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Any

from ministack.core import lambda_runtime
from ministack.services import lambda_svc, sts

from local import authorization, patches

_secret = secrets.token_bytes(32)


def _derived(purpose: str, function: str, role: str) -> str:
    """A secret value, the same for each worker of a function."""
    return hmac.new(_secret, f"{purpose}:{function}:{role}".encode(), hashlib.sha256).hexdigest()


def install() -> None:
    """Apply the patches of this module."""

    def execution_credentials(config: dict[str, Any]) -> dict[str, str]:
        if not authorization.always():
            with authorization.enforced(False):
                return original(config)  # type: ignore[no-any-return]
        function, role = config.get("FunctionArn", ""), config.get("Role", "")
        account, _region = lambda_runtime._account_region_from_function_config(config)
        key_id = f"ASIA{_derived('id', function, role)[:16].upper()}"
        secret, token = _derived("secret", function, role), _derived("token", function, role)
        role_name, session_name = role.rpartition("/")[2], config.get("FunctionName", "function")[:64]
        sts.register_session(
            key_id,
            {
                "Arn": f"arn:aws:sts::{account}:assumed-role/{role_name}/{session_name}",
                "UserId": f"{sts._role_id(role)}:{session_name}",
                "SecretAccessKey": secret,
                "SessionToken": token,
            },
        )
        return {"AWS_ACCESS_KEY_ID": key_id, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": token}

    original = patches.replace(lambda_runtime, "execution_credentials", "config", execution_credentials)
    patches.replace(lambda_svc, "execution_credentials", "config", execution_credentials)
    patches.expect(sts, "register_session", "access_key session")
    patches.expect(sts, "_role_id", "role_arn")
