"""The permissions that a reviewer needs: the managed policy ReviewerPolicy of a stage."""

from typing import TYPE_CHECKING, Any

import boto3

from deploy.errors import DeployError
from deploy.outputs import Deployed
from deploy.stack import Stack

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient


def policy(deployed: Deployed) -> Any:
    """Return the document of the policy, which deploy/templates/people.yaml defines.

    Raises DeployError when no administrator has created the policies, and ClientError when the caller may not read
    them.
    """
    arn = Stack(f"{deployed.app_name}-people").present_outputs().get("ReviewerPolicyArn")
    if arn is None:
        raise DeployError(f"Stage {deployed.stage} has no policies for people. An administrator runs `make people`.")
    iam: IAMClient = boto3.client("iam")
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    return iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
