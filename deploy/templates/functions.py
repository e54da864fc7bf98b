"""Expand the entries of functions.yaml into the log group, the role and the function of each Lambda."""

from collections.abc import Collection, Mapping
from typing import Any

from deploy.errors import DeployError
from deploy.names import logical_id

FIELDS = {"Description", "MemorySize", "Timeout", "Environment", "Statement"}
OPTIONAL = {"Condition", "ReservedConcurrentExecutions", "Schedule"}
# A scheduled run that is delivered late is not needed: the next one does its work.
RETRY_POLICY = {"MaximumRetryAttempts": 3, "MaximumEventAgeInSeconds": 600}
METRICS_NAMESPACE = "Scones/Vehicles"
_POLICY_VERSION = "2012-10-17"


def add_functions(template: dict[str, Any], entries: Mapping[str, Any], folders: Collection[str]) -> None:
    """Add the parameters and resources of all functions to a template.

    `entries` is the content of functions.yaml by folder, `folders` the folders of functions/ with a handler.py.
    Raises DeployError naming every folder without an entry, entry without a folder, and missing or unknown field.
    """
    if mistakes := _mistakes(entries, folders):
        raise DeployError(f"deploy/templates/functions.yaml: {'; '.join(mistakes)}")
    for name, entry in entries.items():
        template["Parameters"][f"{logical_id(name)}Key"] = {"Type": "String"}
        condition = {"Condition": entry["Condition"]} if "Condition" in entry else {}
        template["Resources"] |= {key: {**one, **condition} for key, one in _resources(name, entry).items()}
        if "Schedule" in entry:
            template["Resources"] |= _schedule(name, **entry["Schedule"])


def _mistakes(entries: Mapping[str, Any], folders: Collection[str]) -> list[str]:
    mistakes = [f"functions/{name} has no entry" for name in sorted(set(folders) - set(entries))]
    mistakes += [f"{name} has no functions/{name}/handler.py" for name in sorted(set(entries) - set(folders))]
    for name, entry in entries.items():
        given = set(entry) if isinstance(entry, dict) else set()
        mistakes += [f"{name} lacks {field}" for field in sorted(FIELDS - given)]
        mistakes += [f"{name} has the unknown field {field}" for field in sorted(given - FIELDS - OPTIONAL)]
    return mistakes


def _resources(name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    resource, service = logical_id(name), name.replace("_", "-")
    own_logs = {
        "Effect": "Allow",
        "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
        "Resource": {"Fn::GetAtt": [f"{resource}Logs", "Arn"]},
    }
    return {
        f"{resource}Logs": {
            "Type": "AWS::Logs::LogGroup",
            "Properties": {
                "LogGroupName": {"Fn::Sub": f"/aws/lambda/scones-${{Stage}}-{service}"},
                "RetentionInDays": {"Ref": "LogRetentionDays"},
            },
        },
        f"{resource}Role": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "PermissionsBoundary": {"Fn::If": ["Bounded", {"Ref": "PermissionsBoundary"}, {"Ref": "AWS::NoValue"}]},
                "AssumeRolePolicyDocument": _policy(
                    {
                        "Effect": "Allow",
                        "Principal": {"Service": "lambda.amazonaws.com"},
                        "Action": "sts:AssumeRole",
                        "Condition": {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}},
                    }
                ),
                "Policies": [{"PolicyName": service, "PolicyDocument": _policy(own_logs, *entry["Statement"])}],
            },
        },
        f"{resource}Function": {
            "Type": "AWS::Lambda::Function",
            "DependsOn": f"{resource}Logs",
            "Properties": {
                "FunctionName": {"Fn::Sub": f"scones-${{Stage}}-{service}"},
                "Description": entry["Description"],
                "Handler": f"functions.{name}.handler.handler",
                "Runtime": {"Ref": "Runtime"},
                "Architectures": ["arm64"],
                "Role": {"Fn::GetAtt": [f"{resource}Role", "Arn"]},
                "Code": {"S3Bucket": {"Ref": "ArtifactsBucket"}, "S3Key": {"Ref": f"{resource}Key"}},
                "Layers": [{"Ref": "DependencyLayer"}],
                "MemorySize": entry["MemorySize"],
                "Timeout": entry["Timeout"],
                **{field: entry[field] for field in ("ReservedConcurrentExecutions",) if field in entry},
                "Environment": {
                    "Variables": {
                        "STAGE": {"Ref": "Stage"},
                        "POWERTOOLS_SERVICE_NAME": service,
                        "POWERTOOLS_METRICS_NAMESPACE": METRICS_NAMESPACE,
                        **entry["Environment"],
                    }
                },
            },
        },
    }


def _schedule(
    name: str,
    Expression: str,
    Input: str,
    RetryPolicy: Mapping[str, int] = RETRY_POLICY,
) -> dict[str, Any]:
    """Return the rule that invokes a function at fixed times; Lambda does not repeat a run that failed.

    A run that cannot be delivered goes to the unrouted queue, unless the policy has no retry.
    """
    resource, service = logical_id(name), name.replace("_", "-")
    dead_letters = {"DeadLetterConfig": {"Arn": {"Fn::GetAtt": ["UnroutedQueue", "Arn"]}}}
    function = {"Ref": f"{resource}Function"}
    return {
        f"{resource}Schedule": {
            "Type": "AWS::Events::Rule",
            "Properties": {
                "Name": {"Fn::Sub": f"scones-${{Stage}}-{service}"},
                "ScheduleExpression": Expression,
                "Targets": [
                    {
                        "Id": service,
                        "Arn": {"Fn::GetAtt": [f"{resource}Function", "Arn"]},
                        "Input": Input,
                        "RetryPolicy": dict(RetryPolicy),
                        **(dead_letters if RetryPolicy["MaximumRetryAttempts"] else {}),
                    }
                ],
            },
        },
        f"{resource}Invocations": {
            "Type": "AWS::Lambda::EventInvokeConfig",
            "Properties": {
                "FunctionName": function,
                "Qualifier": "$LATEST",
                "MaximumRetryAttempts": 0,
                "MaximumEventAgeInSeconds": RetryPolicy["MaximumEventAgeInSeconds"],
            },
        },
        f"{resource}Permission": {
            "Type": "AWS::Lambda::Permission",
            "Properties": {
                "Action": "lambda:InvokeFunction",
                "FunctionName": function,
                "Principal": "events.amazonaws.com",
                "SourceArn": {"Fn::GetAtt": [f"{resource}Schedule", "Arn"]},
            },
        },
    }


def _policy(*statements: Mapping[str, Any]) -> dict[str, Any]:
    return {"Version": _POLICY_VERSION, "Statement": list(statements)}
