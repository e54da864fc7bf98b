"""The stack with the managed policies for people and the boundary of the stage's roles, which an administrator deploys.

Whoever may change these policies may give themselves every permission, so they are in a stack that a deployer cannot
change.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import boto3

from deploy.changes import Approve, accept
from deploy.errors import DeployError
from deploy.stack import Progress, Stack
from deploy.target import Target
from deploy.templates import load_template

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient


def deploy_people(target: Target, progress: Progress = print, approve: Approve = accept) -> dict[str, str]:
    """Create or update the stack; return its outputs, the ARNs of the policies. Raises DeployError."""
    stack = Stack(target.people_stack, progress)
    stack.deploy(load_template("people"), {"Stage": target.stage}, approve=approve)
    return stack.outputs()


def boundary(target: Target) -> str:
    """Return the ARN of the permissions boundary of the stage's roles, "" where no administrator has deployed one."""
    return Stack(target.people_stack).present_outputs().get("BoundaryArn", "")


def check_unattached(target: Target) -> None:
    """Raise DeployError naming who has a policy of the stack: IAM deletes none that somebody has."""
    if attached := list(_attachments(target)):
        raise DeployError(
            f"{target.people_stack} cannot be removed while somebody has its policies:\n"
            + "\n".join(f"  {one}" for one in attached)
            + "\nDetach each with `aws iam detach-user-policy`, `detach-group-policy` or `detach-role-policy`, those "
            "of permission sets in IAM Identity Center."
        )


def remove_people(target: Target, progress: Progress = print) -> None:
    """Delete the stack. Raises DeployError while the stage has roles, or somebody has a policy of the stack."""
    if Stack(target.console_stack).status() is not None:
        raise DeployError(f"{target.console_stack} uses these policies. First run `make console REMOVE=yes`.")
    for name in (target.app_stack, target.data_stack):
        if Stack(name).status() is not None:
            raise DeployError(f"{target.people_stack} limits the roles of {name}. First run `make destroy DATA=yes`.")
    check_unattached(target)
    Stack(target.people_stack, progress).delete()


def _attachments(target: Target) -> Iterator[str]:
    """Yield each policy of the stack with who has it, users, groups and roles, but not as their boundary."""
    iam: IAMClient = boto3.client("iam")
    for name, arn in sorted(Stack(target.people_stack).resources("AWS::IAM::ManagedPolicy").items()):
        for page in iam.get_paginator("list_entities_for_policy").paginate(
            PolicyArn=arn, PolicyUsageFilter="PermissionsPolicy"
        ):
            found = [f"user {one['UserName']}" for one in page["PolicyUsers"]]
            found += [f"group {one['GroupName']}" for one in page["PolicyGroups"]]
            found += [f"role {one['RoleName']}" for one in page["PolicyRoles"]]
            yield from (f"{name}: {one}" for one in found)
