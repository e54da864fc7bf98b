"""Roles for tests, on an embedded AWS that enforces IAM."""

import json
from typing import Any

import boto3


def create_role(name: str, service: str, *statements: dict[str, Any], policies: tuple[str, ...] = ()) -> str:
    """Create a role that a service may assume, with a policy of these statements and managed policies; return its ARN.

    A role of this name is used as it is.
    """
    iam: Any = boto3.client("iam")
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    try:
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=_document(trust))["Role"]["Arn"]
    except iam.exceptions.EntityAlreadyExistsException:
        return str(iam.get_role(RoleName=name)["Role"]["Arn"])
    if statements:
        iam.put_role_policy(RoleName=name, PolicyName="test", PolicyDocument=_document(*statements))
    for policy in policies:
        iam.attach_role_policy(RoleName=name, PolicyArn=policy)
    return str(role)


def _document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
