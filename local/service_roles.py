"""IAM: what a service may do with a role that it assumes: tasks of workflows, targets of rules, jobs, endpoints, logs.

ministack makes these calls itself, without a request that could be authorized. Here the trust policy and the policies
of the role are evaluated first, as on AWS ("How IAM roles work with AWS services", IAM User Guide). A service sends the
condition keys aws:SourceAccount and aws:SourceArn ("The confused deputy problem", IAM User Guide). Policies are
evaluated only when IAM is enforced for everybody (`authorization.always`).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ministack.core import iam_evaluator
from ministack.core.responses import get_account_id, get_region
from ministack.services import iam, sts

from local import authorization, patches
from local.credentials import AccessKey

_secret = secrets.token_bytes(32)
logger = logging.getLogger("local.service_roles")


class NotAuthorized(Exception):
    """The role may not be assumed, or it does not allow the action; the message is AWS's."""


@dataclass(frozen=True)
class SessionKey(AccessKey):
    """The temporary access key of an assumed role."""

    session_token: str = field(repr=False)


@dataclass(frozen=True)
class ServiceRole:
    """A role that `service`, such as states.amazonaws.com, assumes for its resource with the ARN `source`."""

    arn: str
    service: str
    source: str

    @property
    def name(self) -> str:
        """The name of the role, without its path."""
        return self.arn.rpartition("/")[2]

    @property
    def session_arn(self) -> str:
        """The ARN of the session; it is named after the source."""
        session = self.source.rpartition(":")[2].rpartition("/")[2][:64]
        return f"arn:aws:sts::{get_account_id()}:assumed-role/{self.name}/{session}"

    def check_trust(self) -> None:
        """Raise NotAuthorized unless the service may assume the role."""
        if not authorization.always():
            return
        role = iam._roles.get(self.name)
        context = self._context(
            "sts:AssumeRole", self.arn, {"aws:sourcearn": self.source, "aws:sourceaccount": get_account_id()}
        )
        document = iam_evaluator.parse_policy_document
        trusted = [
            one
            for one in _statements(role["AssumeRolePolicyDocument"] if role else {})
            if iam_evaluator._service_principal_matches(one.get("Principal"), self.service)
        ]
        if iam_evaluator.evaluate(context, [document({"Statement": trusted})]).decision != "Allow":
            raise NotAuthorized(f"The role {self.arn} cannot be assumed by {self.service} for {self.source}.")

    def require(self, action: str, resource: str, context: Mapping[str, Any] | None = None) -> None:
        """Raise NotAuthorized unless the service may assume the role, and the role allows the action.

        `context` has the values of condition keys, in lower case.
        """
        if not authorization.always():
            return
        self.check_trust()
        account = get_account_id()
        policies = iam_evaluator._gather_role_policies(self.name, account)
        result = iam_evaluator.evaluate(self._context(action, resource, context or {}), policies)
        if result.decision != "Allow":
            raise NotAuthorized(
                f"User: {self.session_arn} is not authorized to perform: {action} on resource: {resource} because no "
                f"identity-based policy allows the {action} action"
            )

    def allows(self, action: str, resource: str, otherwise: str) -> bool:
        """Whether `require` accepts the action; if not, log `otherwise`, what does not happen, and the reason."""
        try:
            self.require(action, resource)
        except NotAuthorized as error:
            logger.warning("%s: %s", otherwise, error)
            return False
        return True

    def access_key(self) -> SessionKey | None:
        """Return a key of a session of the role; None when IAM is not enforced. Raises NotAuthorized."""
        if not authorization.always():
            return None
        self.check_trust()
        key_id = f"ASIA{self._derived('id')[:16].upper()}"
        key = SessionKey(key_id, self._derived("secret"), self._derived("token"))
        session = self.session_arn.rpartition("/")[2]
        sts.register_session(
            key_id,
            {
                "Arn": self.session_arn,
                "UserId": f"{sts._role_id(self.arn)}:{session}",
                "SecretAccessKey": key.secret_access_key,
                "SessionToken": key.session_token,
            },
        )
        return key

    def _derived(self, purpose: str) -> str:
        """A secret value, the same for each session of the role for one source."""
        text = f"{purpose}:{self.arn}:{self.service}:{self.source}"
        return hmac.new(_secret, text.encode(), hashlib.sha256).hexdigest()

    def _context(self, action: str, resource: str, context: Mapping[str, Any]) -> Any:
        return iam_evaluator.EvalContext(
            principal_arn=self.session_arn,
            principal_type="AssumedRole",
            principal_account=get_account_id(),
            action=action,
            resource_arn=resource,
            region=get_region(),
            service_context=dict(context),
        )


def resource_policy_allows(policy: Any, service: str, action: str, resource: str, source: str) -> bool:
    """Whether the policy of a resource allows a service to act on it for `source`; True when IAM is not enforced."""
    if not authorization.always():
        return True
    account = get_account_id()
    context = iam_evaluator.EvalContext(
        principal_arn=service,
        principal_type="Service",
        principal_account=account,
        action=action,
        resource_arn=resource,
        region=get_region(),
        secure_transport=True,
        service_context={"aws:sourcearn": source, "aws:sourceaccount": account},
    )
    return bool(iam_evaluator.evaluate_resource_policy(policy, context, service=service).decision == "Allow")


def _statements(document: Any) -> list[dict[str, Any]]:
    parsed = json.loads(document) if isinstance(document, str) else document
    statements = parsed.get("Statement", [])
    return [statements] if isinstance(statements, dict) else list(statements)


def install() -> None:
    """Check that ministack has what this module uses."""
    patches.expect(iam_evaluator, "_service_principal_matches", "principal service")
    patches.expect(iam_evaluator, "_gather_role_policies", "role_name account_id")
    patches.expect(iam_evaluator, "parse_policy_document", "doc")
    patches.expect(iam_evaluator, "evaluate_resource_policy", "doc ctx service named_only direct_only")
    patches.expect(sts, "register_session", "access_key session")
    patches.expect(sts, "_role_id", "role_arn")
