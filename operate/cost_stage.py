"""What `make cost` reads of a stage: its definition, its settings, and the durations in the logs of its functions."""

import dataclasses
import json
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import boto3

import workflows
from deploy.names import logical_id
from deploy.outputs import Deployed
from deploy.stack import Stack
from deploy.templates import load_template
from functions.shared.photo_reader import LABEL_WANTED
from functions.shared.times import now
from operate import cost_model, cost_paths

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_stepfunctions import SFNClient

FUNCTIONS = ("classify-photo", "request-review", "assign-bay", "reject-photo", "reject-excess-photo")
MEASURED = timedelta(days=7)
# Enough for a mean; a busy stage writes millions of lines.
LINES_AT_MOST = 2000
_BILLED = re.compile(r"^REPORT .*?\bBilled Duration: ([\d.]+) ms")


def of_checkout(lambda_ms: Mapping[str, float]) -> cost_model.Stage:
    """Return the stage that a deployment of this checkout with default settings creates."""
    app, data = load_template("app"), load_template("data")
    defaults = {name: parameter.get("Default") for name, parameter in app["Parameters"].items()}
    kinds = [resource["Type"] for resource in app["Resources"].values()]
    indexes = {index["IndexName"] for index in data["Resources"]["PhotoTable"]["Properties"]["GlobalSecondaryIndexes"]}
    functions = {name: app["Resources"][f"{logical_id(name.replace('-', '_'))}Function"] for name in FUNCTIONS}
    return cost_model.Stage(
        definition=_rendered("classify-photo"),
        hourly_transitions=cost_paths.nothing_new(_rendered("retrain-model")).transitions,
        instance_type=str(defaults["EndpointInstanceType"]),
        min_instances=int(defaults["EndpointMinInstances"]),
        target_per_minute=float(defaults["EndpointTargetInvocations"]),
        # The index of wanted labels has few of the photos.
        indexes=len(indexes - {LABEL_WANTED}),
        alarms=kinds.count("AWS::CloudWatch::Alarm"),
        memory_mb={name: int(function["Properties"]["MemorySize"]) for name, function in functions.items()},
        lambda_ms=dict(lambda_ms),
    )


def of_deployed(deployed: Deployed, checkout: cost_model.Stage) -> tuple[cost_model.Stage, dict[str, int]]:
    """Return a deployed stage, and the number of invocations that were measured by function.

    The definition and the settings of the endpoint are the deployed ones. The duration of a function without
    invocations in the last seven days is that of `checkout`.
    """
    states: SFNClient = boto3.client("stepfunctions")
    definition = json.loads(states.describe_state_machine(stateMachineArn=deployed.classify_photo_arn)["definition"])
    settings = Stack(deployed.app_name).parameters()
    measured = {name: _billed_ms(deployed.log_group(name)) for name in FUNCTIONS}
    means = {name: sum(values) / len(values) for name, values in measured.items() if values}
    stage = dataclasses.replace(
        checkout,
        definition=definition,
        instance_type=settings["EndpointInstanceType"],
        min_instances=int(settings["EndpointMinInstances"]),
        target_per_minute=float(settings["EndpointTargetInvocations"]),
        lambda_ms={**checkout.lambda_ms, **means},
    )
    return stage, {name: len(values) for name, values in measured.items()}


def _rendered(workflow: str) -> dict[str, Any]:
    definition: dict[str, Any] = json.loads(workflows.asl_path(workflow).read_text(encoding="utf-8"))
    return definition


def _billed_ms(group: str) -> list[float]:
    """Return the billed milliseconds of the last invocations in a log group."""
    logs: CloudWatchLogsClient = boto3.client("logs")
    began_ms = int((now() - MEASURED).timestamp() * 1000)
    request: Any = {"logGroupName": group, "startTime": began_ms, "filterPattern": "REPORT"}
    found: list[float] = []
    for page in logs.get_paginator("filter_log_events").paginate(**request):
        found += [float(match[1]) for event in page["events"] if (match := _BILLED.search(event["message"]))]
        if len(found) >= LINES_AT_MOST:
            break
    return found
