"""The permissions that a reviewer or an operator needs: the managed policies of a stage."""

from typing import TYPE_CHECKING, Any

import boto3

from deploy.errors import DeployError
from deploy.outputs import Deployed
from deploy.stack import Stack

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient


def policy(deployed: Deployed, *, operator: bool = False) -> Any:
    """Return the document of a reviewer's policy, with `operator` those of a reviewer and an operator in one.

    deploy/templates/people.yaml defines both.

    Raises DeployError when no administrator has created the policies, and ClientError when the caller may not read
    them.
    """
    outputs = Stack(f"{deployed.app_name}-people").present_outputs()
    names = ["ReviewerPolicyArn", *(["OperatorPolicyArn"] if operator else [])]
    if not all(name in outputs for name in names):
        raise DeployError(f"Stage {deployed.stage} has no policies for people. An administrator runs `make people`.")
    documents = [_document(outputs[name]) for name in names]
    return {**documents[0], "Statement": [one for document in documents for one in document["Statement"]]}


def _document(arn: str) -> Any:
    iam: IAMClient = boto3.client("iam")
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    return iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
