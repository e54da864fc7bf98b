"""The permissions that a reviewer needs: the managed policy ReviewerPolicy of a stage."""

from typing import TYPE_CHECKING, Any

import boto3

from deploy.outputs import Deployed
from deploy.stack import Stack

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient


def policy(deployed: Deployed) -> Any:
    """Return the document of the policy, which deploy/templates/data.yaml defines.

    Raises DeployError when the stage is not deployed, and ClientError when the caller may not read policies.
    """
    arn = Stack(f"{deployed.app_name}-data").outputs()["ReviewerPolicyArn"]
    iam: IAMClient = boto3.client("iam")
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    return iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
