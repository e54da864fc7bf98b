"""Every action and every resource that a role allows is needed by a call of the tests, which all run with IAM enforced.

The calls of the whole folder are recorded and matched with the policies of the roles. This test runs last, in a process
of its own when `python -m tests` runs the others in two.
"""

import json
import os
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import boto3
import pytest

import local
from deploy.outputs import Deployed
from tests.support.recorded_calls import Call, Statement, parts, read_calls, unneeded
from tests.system.conftest import CALLS

# The files with the calls of earlier processes that ran all other tests, separated as in PATH.
RECORDED = "TEST_RECORDED_CALLS"
# The name of a role of a stack: its stage and its logical id.
ROLE = re.compile(r"scones-([a-z0-9]+)-(?:data-)?([A-Za-z]+Role)-")
# What the embedded AWS cannot see: role or `*`, action, and why it is needed on AWS.
INVISIBLE = {
    **{
        ("NotifyFailure", action): "SNS uses it; the embedded CloudFormation creates the topic without its key"
        for action in ("kms:Decrypt", "kms:GenerateDataKey")
    },
    **{
        ("*Workflow", action): "Step Functions calls it when a state machine with a log is created or changed"
        for action in (
            "logs:CreateLogDelivery", "logs:GetLogDelivery", "logs:UpdateLogDelivery",
            "logs:DeleteLogDelivery", "logs:ListLogDeliveries", "logs:PutResourcePolicy",
            "logs:DescribeResourcePolicies", "logs:DescribeLogGroups",
        )
    },
    **{
        ("*Workflow", action): "Step Functions sends traces, which the embedded AWS does not have"
        for action in (
            "xray:PutTraceSegments", "xray:PutTelemetryRecords", "xray:GetSamplingRules", "xray:GetSamplingTargets",
        )
    },
    ("Endpoint", "cloudwatch:DescribeAlarms"): "SageMaker monitors the alarms of a deployment with it",
    **{
        ("ClassifyBatchWorkflow", action): "Step Functions needs it for a Distributed Map and its results"
        for action in (
            "states:DescribeExecution", "states:StopExecution",
            "s3:GetObject", "s3:ListMultipartUploadParts", "s3:AbortMultipartUpload",
        )
    },
}  # fmt: skip

# Branches that no test of this folder enters, because each needs an execution that is stopped, or an endpoint that
# fails, at one moment. Tests in process enter them, without IAM: role, end of an action or a resource, and when.
RARE = {
    **{
        ("BuildDatasetRole", part): "a retraining was stopped before its model was recorded as the first champion"
        for part in (
            "sagemaker:DescribeEndpointConfig",
            "sagemaker:DescribeModel",
            "endpoint-config/vehicles-test-*",
            "model/vehicles-test-*",
        )
    },
    **{
        ("AuditDecisionsRole", part): "a photo that a reviewer routed is in the sample of second opinions"
        for part in ("dynamodb:GetItem", "table/scones-test-photos")
    },
    **{
        ("ClassifyBatchRole", part): "a photo that a list names is not in the bucket"
        for part in ("s3:ListBucket", ":scones-test-uploads-000000000000-eu-west-1")
    },
    ("RetrainModelWorkflowRole", "sagemaker:DeleteEndpoint"): "the first model of a stage fails its probe",
    ("RollbackModelWorkflowRole", "sagemaker:CreateEndpoint"): "the endpoint is gone when a rollback starts",
    ("RollbackModelWorkflowRole", "sagemaker:AddTags"): "the endpoint is gone when a rollback starts",
    ("RollbackModelWorkflowRole", "sagemaker:DeleteEndpoint"): "the endpoint has failed when a rollback starts",
}


def policies_of_roles(stack: str) -> dict[str, list[Statement]]:
    """The statements of the policies of each role in a stack, by logical id."""
    iam: Any = boto3.client("iam")
    resources = boto3.client("cloudformation").describe_stack_resources(StackName=stack)["StackResources"]
    found = {}
    for resource in resources:
        if resource["ResourceType"] == "AWS::IAM::Role":
            role = resource["PhysicalResourceId"]
            documents = [
                iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
                for name in iam.list_role_policies(RoleName=role)["PolicyNames"]
            ]
            found[resource["LogicalResourceId"]] = [one for document in documents for one in document["Statement"]]
    return found


def calls_by_role(files: Iterable[Path], stage: str) -> dict[str, list[Call]]:
    """The calls of the roles of all stages, by logical id, as if this stage had made them."""
    found = defaultdict(list)
    for call in chain.from_iterable(map(read_calls, files)):
        if role := ROLE.match(call.name):
            renamed = re.sub(rf"\b(scones[-/]|vehicles-){role[1]}\b", rf"\g<1>{stage}", call.resource)
            context = {
                name: value.replace(f"scones-{role[1]}-", f"scones-{stage}-") if isinstance(value, str) else value
                for name, value in call.context.items()
            }
            found[role[2]].append(replace(call, resource=renamed, context=context))
    return found


def is_excepted(role: str, part: str, statement: Statement) -> bool:
    """Whether RARE or INVISIBLE has the action or the resource of this role."""
    invisible = {action for kind, action in INVISIBLE if role.removesuffix("Role").endswith(kind.removeprefix("*"))}
    actions = set(parts(statement, "Action"))
    rare = any(name == role and part.endswith(end) for name, end in RARE)
    return rare or part in invisible or (part not in actions and actions <= invisible)


def test_every_permission_of_every_role_is_needed(
    request: pytest.FixtureRequest, embedded_aws: local.ServerInfo, deployed: Deployed
) -> None:
    files = [Path(name) for name in os.environ.get(RECORDED, "").split(os.pathsep) if name]
    collected = {item.path for item in request.session.items}
    if not files and not collected >= set(Path(__file__).parent.glob("test_*.py")):
        pytest.skip("the calls of all tests of this folder are needed: make test ARGS=tests/system")
    calls = calls_by_role(files or [embedded_aws.directory / CALLS], deployed.stage)
    left = [
        f"{logical_id}: {part} in {json.dumps(statements[number], sort_keys=True)}"
        for stack in (deployed.app_name, f"{deployed.app_name}-data")
        for logical_id, statements in policies_of_roles(stack).items()
        for number, part in unneeded(statements, calls[logical_id])
        if not is_excepted(logical_id, part, statements[number])
    ]
    assert not left, "\n".join(left)
