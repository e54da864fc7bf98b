"""Every action and every resource that a role allows is needed by a call of the tests, which all run with IAM enforced.

The calls of the whole folder are recorded and matched with the policies of the roles. This test runs last.
"""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import boto3
import pytest

import local
from deploy.outputs import Deployed
from tests.support.recorded_calls import Call, Statement, parts, read_calls, unneeded
from tests.support.retraining_stage import RetrainingStage
from tests.system.conftest import CALLS

# What the embedded AWS cannot see: role or `*`, action, and why it is needed on AWS.
INVISIBLE = {
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
}  # fmt: skip


def policies_of_roles(stack: str) -> dict[str, tuple[str, list[Statement]]]:
    """The name of each role in a stack and the statements of its policies, by logical id."""
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
            found[resource["LogicalResourceId"]] = (
                role,
                [one for document in documents for one in document["Statement"]],
            )
    return found


def calls_by_role(file: Path) -> dict[str, list[Call]]:
    found = defaultdict(list)
    for call in read_calls(file):
        found[call.name].append(call)
    return found


def is_invisible(role: str, part: str, statement: Statement) -> bool:
    """Whether INVISIBLE has an action for this role, or all actions of the statement with a resource."""
    invisible = {action for kind, action in INVISIBLE if role.removesuffix("Role").endswith(kind.removeprefix("*"))}
    return part in invisible or (
        part not in parts(statement, "Action") and set(parts(statement, "Action")) <= invisible
    )


def without_stage(text: str, stage: str) -> str:
    """The text of a part of a policy, alike for each stage."""
    return text.replace(f"-{stage}", "-STAGE").replace(f"/{stage}/", "/STAGE/")


def test_every_permission_of_every_role_is_needed(
    request: pytest.FixtureRequest,
    embedded_aws: local.ServerInfo,
    deployed: Deployed,
    retraining_stage: RetrainingStage,
) -> None:
    collected = {item.path for item in request.session.items}
    if not collected >= set(Path(__file__).parent.glob("test_*.py")):
        pytest.skip("the calls of all tests of this folder are needed: make test ARGS=tests/system")
    calls = calls_by_role(embedded_aws.directory / CALLS)
    left: dict[str, set[str]] = {}
    for stage in (deployed.stage, retraining_stage.deployed.stage):
        for stack in (f"scones-{stage}", f"scones-{stage}-data"):
            for logical_id, (role, statements) in policies_of_roles(stack).items():
                unused = {
                    without_stage(f"{logical_id}: {part} in {json.dumps(statements[number], sort_keys=True)}", stage)
                    for number, part in unneeded(statements, calls[role])
                    if not is_invisible(logical_id, part, statements[number])
                }
                left[logical_id] = left.get(logical_id, unused) & unused
    assert sorted(part for found in left.values() for part in found) == []
