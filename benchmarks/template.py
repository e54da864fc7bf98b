"""The CloudFormation template of the temporary stack."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks import chain
from deploy.names import logical_id

RULE_PREFIXES = {"Chain": "chain/", "Empty": "empty/"}
"""The S3 prefixes whose photos start the state machines of these logical ids."""


@dataclass(frozen=True)
class Function:
    """A Lambda of the temporary stack. `name` is its logical id, `key` that of its zip in the bucket with the code."""

    name: str
    handler: str
    key: str
    memory_mb: int
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Context:
    """What the functions share with those that are measured: stack name, code bucket, layer ARN, runtime, endpoint."""

    name: str
    code_bucket: str
    layer: str
    runtime: str
    architectures: list[str]
    endpoint: str


def template(context: Context, functions: list[Function]) -> dict[str, Any]:
    """Return the template; its outputs are `Bucket`, `ChainArn` and `EmptyArn`."""
    resources: dict[str, Any] = {
        "Bucket": {
            "Type": "AWS::S3::Bucket",
            "Properties": {
                "BucketName": {"Fn::Sub": f"{context.name}-${{AWS::AccountId}}-${{AWS::Region}}"},
                "NotificationConfiguration": {"EventBridgeConfiguration": {"EventBridgeEnabled": True}},
                "PublicAccessBlockConfiguration": {
                    "BlockPublicAcls": True,
                    "BlockPublicPolicy": True,
                    "IgnorePublicAcls": True,
                    "RestrictPublicBuckets": True,
                },
            },
        },
        "FunctionRole": _function_role(context),
        "WorkflowRole": _role("states", "lambda:InvokeFunction", [_arn(logical_id(step)) for step in chain.STEPS]),
        "RuleRole": _role("events", "states:StartExecution", [{"Ref": name} for name in RULE_PREFIXES]),
        "Chain": _state_machine(context, "chain", chain.chain()),
        "Empty": _state_machine(context, "empty", chain.empty()),
    }
    for machine, prefix in RULE_PREFIXES.items():
        resources[f"{machine}Rule"] = _rule(context, machine, prefix)
    for function in functions:
        resources |= _function(context, function)
    outputs = {"Bucket": {"Ref": "Bucket"}, **{f"{name}Arn": {"Ref": name} for name in RULE_PREFIXES}}
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "Baselines of make bench, which deletes this stack at its end",
        "Resources": resources,
        "Outputs": {name: {"Value": value} for name, value in outputs.items()},
    }


def _state_machine(context: Context, name: str, definition: dict[str, Any]) -> dict[str, Any]:
    return {
        "Type": "AWS::StepFunctions::StateMachine",
        "Properties": {
            "StateMachineName": f"{context.name}-{name}",
            "StateMachineType": "STANDARD",
            "RoleArn": _arn("WorkflowRole"),
            "DefinitionString": json.dumps(definition),
            "DefinitionSubstitutions": {step.replace("_", ""): _arn(logical_id(step)) for step in chain.STEPS},
        },
    }


def _rule(context: Context, machine: str, prefix: str) -> dict[str, Any]:
    """Return the rule that starts a state machine for each photo under a prefix; the input names bucket and key."""
    return {
        "Type": "AWS::Events::Rule",
        "Properties": {
            "Name": f"{context.name}-{machine.lower()}",
            "EventPattern": {
                "source": ["aws.s3"],
                "detail-type": ["Object Created"],
                "detail": {"bucket": {"name": [{"Ref": "Bucket"}]}, "object": {"key": [{"prefix": prefix}]}},
            },
            "Targets": [
                {
                    "Id": machine.lower(),
                    "Arn": {"Ref": machine},
                    "RoleArn": _arn("RuleRole"),
                    "InputTransformer": {
                        "InputPathsMap": {"bucket": "$.detail.bucket.name", "key": "$.detail.object.key"},
                        "InputTemplate": '{"s3_bucket":<bucket>,"s3_key":<key>}',
                    },
                }
            ],
        },
    }


def _function(context: Context, function: Function) -> dict[str, Any]:
    name = f"{context.name}-{function.name}"
    return {
        f"{function.name}Logs": {
            "Type": "AWS::Logs::LogGroup",
            "Properties": {"LogGroupName": f"/aws/lambda/{name}", "RetentionInDays": 1},
        },
        function.name: {
            "Type": "AWS::Lambda::Function",
            "DependsOn": f"{function.name}Logs",
            "Properties": {
                "FunctionName": name,
                "Handler": function.handler,
                "Runtime": context.runtime,
                "Architectures": context.architectures,
                "Role": _arn("FunctionRole"),
                "Code": {"S3Bucket": context.code_bucket, "S3Key": function.key},
                "Layers": [context.layer],
                "MemorySize": function.memory_mb,
                "Timeout": 30,
                "Environment": {"Variables": dict(function.variables)},
            },
        },
    }


def _function_role(context: Context) -> dict[str, Any]:
    role = _role("lambda", "s3:GetObject", [{"Fn::Sub": "${Bucket.Arn}/*"}])
    endpoint = f"arn:${{AWS::Partition}}:sagemaker:${{AWS::Region}}:${{AWS::AccountId}}:endpoint/{context.endpoint}"
    logs = f"arn:${{AWS::Partition}}:logs:${{AWS::Region}}:${{AWS::AccountId}}:log-group:/aws/lambda/{context.name}-*"
    role["Properties"]["Policies"][0]["PolicyDocument"]["Statement"] += [
        {"Effect": "Allow", "Action": "sagemaker:InvokeEndpoint", "Resource": {"Fn::Sub": endpoint}},
        {"Effect": "Allow", "Action": ["logs:CreateLogStream", "logs:PutLogEvents"], "Resource": {"Fn::Sub": logs}},
    ]
    return role


def _role(service: str, action: str, resources: list[Any]) -> dict[str, Any]:
    """Return a role of a service that may do one action on these resources."""
    principal = {"Service": f"{service}.amazonaws.com"}
    trust = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    statement = {"Effect": "Allow", "Action": action, "Resource": resources}
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
            "Policies": [
                {"PolicyName": "bench", "PolicyDocument": {"Version": "2012-10-17", "Statement": [statement]}}
            ],
        },
    }


def _arn(name: str) -> dict[str, Any]:
    return {"Fn::GetAtt": [name, "Arn"]}
