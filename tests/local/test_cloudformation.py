"""Stacks with resource types that ministack does not have, and state machines with substitutions."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local.aws import ROLE, Aws
from tests.support.waiting import eventually

DEFINITION = json.dumps(
    {"StartAt": "Say", "States": {"Say": {"Type": "Pass", "Result": {"word": "${Word}"}, "End": True}}}
)


def deploy(
    aws: Aws, name: str, resources: dict[str, Any], outputs: dict[str, Any], update: bool = False
) -> dict[str, str]:
    formation = aws.client("cloudformation")
    template = json.dumps({"Resources": resources, "Outputs": {key: {"Value": it} for key, it in outputs.items()}})
    (formation.update_stack if update else formation.create_stack)(StackName=name, TemplateBody=template)
    stack = eventually(
        lambda: formation.describe_stacks(StackName=name)["Stacks"][0],
        lambda found: not found["StackStatus"].endswith("IN_PROGRESS"),
    )
    events = formation.describe_stack_events(StackName=name)["StackEvents"]
    reasons = [event.get("ResourceStatusReason") for event in events]
    assert stack["StackStatus"] in ("CREATE_COMPLETE", "UPDATE_COMPLETE"), reasons
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", ())}


def metric_alarm(name: str) -> dict[str, Any]:
    properties = {
        "AlarmName": name,
        "Namespace": "Tests",
        "MetricName": name,
        "Statistic": "Sum",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 0,
        "ComparisonOperator": "GreaterThanThreshold",
    }
    return {"Type": "AWS::CloudWatch::Alarm", "Properties": properties}


def test_types_that_ministack_lacks_are_created_and_deleted(aws: Aws) -> None:
    queue_policy = {"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sqs:*", "Resource": "*"}]}
    resources = {
        "Group": {"Type": "AWS::SageMaker::ModelPackageGroup", "Properties": {"ModelPackageGroupName": "stack-group"}},
        "Alarm": {
            "Type": "AWS::CloudWatch::CompositeAlarm",
            "Properties": {"AlarmName": "both", "AlarmRule": 'ALARM("one") OR ALARM("two")'},
            "DependsOn": ["One", "Two"],
        },
        "One": metric_alarm("one"),
        "Two": metric_alarm("two"),
        "Target": {
            "Type": "AWS::ApplicationAutoScaling::ScalableTarget",
            "Properties": {"ResourceId": "endpoint/e/variant/v", "MinCapacity": 1, "MaxCapacity": 2},
        },
        "Policy": {
            "Type": "AWS::ApplicationAutoScaling::ScalingPolicy",
            "Properties": {"PolicyName": "p", "ScalingTargetId": {"Ref": "Target"}},
        },
        "Machine": {
            "Type": "AWS::StepFunctions::StateMachine",
            "Properties": {"RoleArn": ROLE, "DefinitionString": DEFINITION, "DefinitionSubstitutions": {"Word": "x"}},
        },
        "Version": {
            "Type": "AWS::StepFunctions::StateMachineVersion",
            "Properties": {"StateMachineArn": {"Ref": "Machine"}},
        },
        "Alias": {
            "Type": "AWS::StepFunctions::StateMachineAlias",
            "Properties": {
                "Name": "live",
                "RoutingConfiguration": [{"StateMachineVersionArn": {"Ref": "Version"}, "Weight": 100}],
            },
        },
        "Bus": {"Type": "AWS::Events::EventBus", "Properties": {"Name": "archived"}},
        "Archive": {"Type": "AWS::Events::Archive", "Properties": {"SourceArn": {"Fn::GetAtt": ["Bus", "Arn"]}}},
        "Queue": {"Type": "AWS::SQS::Queue"},
        "QueueRule": {
            "Type": "AWS::SQS::QueueInlinePolicy",
            "Properties": {"Queue": {"Ref": "Queue"}, "PolicyDocument": queue_policy},
        },
    }
    outputs = deploy(aws, "kept", resources, {"Group": {"Ref": "Group"}, "Alias": {"Ref": "Alias"}})
    assert outputs["Group"] == "arn:aws:sagemaker:eu-west-1:000000000000:model-package-group/stack-group"
    states = aws.client("stepfunctions")
    execution = states.start_execution(stateMachineArn=outputs["Alias"])["executionArn"]
    assert aws.wait_for_execution(execution)["output"] == {"word": "x"}

    alarms = aws.client("cloudwatch")
    alarms.set_alarm_state(AlarmName="one", StateValue="ALARM", StateReason="tried")
    (composite,) = alarms.describe_alarms(AlarmNames=["both"], AlarmTypes=["CompositeAlarm"])["CompositeAlarms"]
    assert composite["StateValue"] == "ALARM"

    formation = aws.client("cloudformation")
    formation.delete_stack(StackName="kept")

    def gone() -> bool:
        try:
            return bool(formation.describe_stacks(StackName="kept")["Stacks"][0]["StackStatus"] == "DELETE_COMPLETE")
        except ClientError:
            return True

    eventually(gone)
    with pytest.raises(ClientError):
        aws.client("sagemaker").describe_model_package_group(ModelPackageGroupName="stack-group")


@pytest.mark.parametrize("source", ["string", "s3"])
def test_an_update_of_the_substitutions_changes_the_state_machine(aws: Aws, source: str) -> None:
    bucket = aws.create_bucket()
    aws.client("s3").put_object(Bucket=bucket, Key="machine.asl.json", Body=DEFINITION.encode())
    where: dict[str, Any] = {"DefinitionString": DEFINITION}
    if source == "s3":
        where = {"DefinitionS3Location": {"Bucket": bucket, "Key": "machine.asl.json"}}

    def resources(word: str) -> dict[str, Any]:
        properties = {"RoleArn": ROLE, **where, "DefinitionSubstitutions": {"Word": word}}
        return {"Machine": {"Type": "AWS::StepFunctions::StateMachine", "Properties": properties}}

    name, states = f"substituted-{source}", aws.client("stepfunctions")
    for word, update in (("one", False), ("two", True)):
        machine = deploy(aws, name, resources(word), {"Arn": {"Ref": "Machine"}}, update)["Arn"]
        execution = states.start_execution(stateMachineArn=machine)["executionArn"]
        assert aws.wait_for_execution(execution)["output"] == {"word": word}


def test_the_reserved_concurrency_of_a_function_is_applied_changed_and_removed(aws: Aws) -> None:
    def template(**reserved: int) -> dict[str, Any]:
        properties = {
            "FunctionName": "reserved",
            "Runtime": "python3.12",
            "Role": ROLE,
            "Handler": "index.handler",
            "Code": {"ZipFile": "def handler(event, context): return 1"},
        }
        return {"Function": {"Type": "AWS::Lambda::Function", "Properties": {**properties, **reserved}}}

    functions = aws.client("lambda")
    deploy(aws, "reserved", template(ReservedConcurrentExecutions=0), {})
    with pytest.raises(functions.exceptions.TooManyRequestsException) as throttled:
        functions.invoke(FunctionName="reserved")
    assert throttled.value.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    deploy(aws, "reserved", template(ReservedConcurrentExecutions=1), {}, update=True)
    assert aws.invoke("reserved") == (1, False)
    assert functions.get_function_concurrency(FunctionName="reserved")["ReservedConcurrentExecutions"] == 1
    deploy(aws, "reserved", template(), {}, update=True)
    assert "ReservedConcurrentExecutions" not in functions.get_function_concurrency(FunctionName="reserved")


def test_the_boundary_of_a_role_is_applied_changed_and_removed(aws: Aws) -> None:
    """ministack creates the role without it, so that nothing would limit the role."""
    iam: Any = aws.client("iam")
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    policy = {"Type": "AWS::IAM::ManagedPolicy", "Properties": {"PolicyDocument": document}}
    role: dict[str, Any] = {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "RoleName": "bounded",
            "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
            "PermissionsBoundary": {"Ref": "Limit"},
        },
    }

    def boundary() -> str | None:
        found = iam.get_role(RoleName="bounded")["Role"].get("PermissionsBoundary")
        return found["PermissionsBoundaryArn"] if found else None

    outputs = {"Limit": {"Ref": "Limit"}, "Other": {"Ref": "Other"}}
    created = deploy(aws, "bounded", {"Limit": policy, "Other": policy, "Role": role}, outputs)
    assert boundary() == created["Limit"]
    role["Properties"]["PermissionsBoundary"] = {"Ref": "Other"}
    deploy(aws, "bounded", {"Limit": policy, "Other": policy, "Role": role}, outputs, update=True)
    assert boundary() == created["Other"]
    del role["Properties"]["PermissionsBoundary"]
    deploy(aws, "bounded", {"Limit": policy, "Other": policy, "Role": role}, outputs, update=True)
    assert boundary() is None
