"""CloudFormation resource types that ministack does not have, and properties that it ignores.

`ReservedConcurrentExecutions` of a function is applied: invocations over it are throttled, as on AWS ("Configuring
reserved concurrency for a function", AWS Lambda Developer Guide). `PermissionsBoundary` of a role limits it.

SageMaker resources, state machine versions and aliases, composite alarms and event archives are created. Types that
only affect scaling, cost or monitoring of a real account are accepted without effect.

Patch: entries in `provisioners._RESOURCE_HANDLERS`: create(logical_id, properties, stack_name) returns physical id and
attributes; update(physical_id, old, new, stack_name); delete(physical_id, properties). Source: "AWS resource and
property types reference", AWS CloudFormation User Guide.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

from ministack.core.responses import get_account_id, get_region
from ministack.services import cloudwatch, eventbridge, iam, lambda_svc, stepfunctions
from ministack.services.cloudformation import provisioners

from local import patches
from local.sagemaker.errors import SageMakerError
from local.sagemaker.service import SageMaker

Properties = dict[str, Any]
Created = tuple[str, dict[str, Any]]
TYPES_WITHOUT_EFFECT = (
    "AWS::ApplicationAutoScaling::ScalableTarget",
    "AWS::ApplicationAutoScaling::ScalingPolicy",
    "AWS::Budgets::Budget",
    "AWS::CloudWatch::AnomalyDetector",
    "AWS::Logs::QueryDefinition",
    "AWS::ResourceGroups::Group",
    "AWS::XRay::SamplingRule",
)
NAMES = ("AlarmName", "PolicyName", "Name", "ResourceId")
SERVICES = {"CloudWatch": "cloudwatch", "ApplicationAutoScaling": "application-autoscaling", "Logs": "logs"}


def _arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:{get_region()}:{get_account_id()}:{resource}"


def _without_effect(kind: str) -> dict[str, Callable[..., Any]]:
    """Handlers of a type that is accepted without effect."""

    def create(logical_id: str, properties: Properties, stack_name: str) -> Created:
        name = next((str(properties[key]) for key in NAMES if key in properties), f"{stack_name}-{logical_id}")
        _, service, resource = kind.split("::")
        arn = _arn(SERVICES.get(service, service.lower()), f"{resource.lower()}:{name}")
        return name, {"Arn": arn, "Id": uuid.uuid4().hex}

    def update(physical_id: str, _old: Properties, _new: Properties, _stack_name: str) -> Created:
        return physical_id, {}

    return {"create": create, "update": update, "delete": lambda _physical_id, _properties: None}


def _parse_response(response: tuple[int, Any, bytes]) -> dict[str, Any]:
    """Return the JSON content of a response; raises ValueError with the message of an error response."""
    status, _headers, body = response
    content: dict[str, Any] = json.loads(body) if body else {}
    if status >= 400:
        raise ValueError(content.get("message") or content.get("Message") or str(content))
    return content


def _call(service: SageMaker, operation: str, request: dict[str, Any]) -> dict[str, Any]:
    try:
        return service.call(operation, request)
    except SageMakerError as error:
        raise ValueError(f"{error.message} (Service: SageMaker, Status Code: {error.status})") from error


def _sagemaker(service: SageMaker, kind: str, create_operation: str, attribute: str) -> dict[str, Callable[..., Any]]:
    """Handlers of a SageMaker type whose physical id is an ARN and whose name is `kind`Name."""
    name_key = f"{kind}Name"

    def create(logical_id: str, properties: Properties, stack_name: str) -> Created:
        name = properties.get(name_key) or f"{stack_name}-{logical_id}-{uuid.uuid4().hex[:8]}"[-63:].strip("-")
        arn = _call(service, create_operation, {**_with_numbers(properties), name_key: name})[f"{kind}Arn"]
        return arn, {name_key: name, attribute: arn}

    def update(physical_id: str, _old: Properties, _new: Properties, _stack_name: str) -> Created:
        return physical_id, {name_key: physical_id.rpartition("/")[2], attribute: physical_id}

    def delete(physical_id: str, _properties: Properties) -> None:
        try:
            service.call(f"Delete{kind}", {name_key: physical_id.rpartition("/")[2]})
        except SageMakerError as error:
            if error.code == "ConflictException":
                raise ValueError(error.message) from error

    return {"create": create, "update": update, "delete": delete}


def _with_numbers(properties: Properties) -> Properties:
    """Return the properties with numbers in place of numeric strings."""

    def convert(key: str, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: convert(name, item) for name, item in value.items()}
        if isinstance(value, list):
            return [convert(key, item) for item in value]
        if isinstance(value, str) and key.endswith(("Count", "Weight", "Percentage", "InSeconds", "InGB")):
            return float(value) if "." in value else int(value)
        return value

    converted: Properties = convert("", properties)
    return converted


def _state_machine_version() -> dict[str, Callable[..., Any]]:
    def create(_logical_id: str, properties: Properties, _stack_name: str) -> Created:
        request = {"stateMachineArn": properties["StateMachineArn"]}
        arn = _parse_response(stepfunctions._publish_state_machine_version(request))["stateMachineVersionArn"]
        return arn, {"Arn": arn}

    def delete(physical_id: str, _properties: Properties) -> None:
        stepfunctions._delete_state_machine_version({"stateMachineVersionArn": physical_id})

    return {"create": create, "delete": delete}


def _state_machine_alias() -> dict[str, Callable[..., Any]]:
    def routing(properties: Properties) -> list[dict[str, Any]]:
        routes = properties.get("RoutingConfiguration") or [
            {"StateMachineVersionArn": properties["DeploymentPreference"]["StateMachineVersionArn"], "Weight": 100}
        ]
        return [{"stateMachineVersionArn": r["StateMachineVersionArn"], "weight": int(r["Weight"])} for r in routes]

    def create(logical_id: str, properties: Properties, _stack_name: str) -> Created:
        name = properties.get("Name", logical_id)
        request = {"name": name, "routingConfiguration": routing(properties)}
        arn = _parse_response(stepfunctions._create_state_machine_alias(request))["stateMachineAliasArn"]
        return arn, {"Arn": arn}

    def update(physical_id: str, _old: Properties, new: Properties, _stack_name: str) -> Created:
        request = {"stateMachineAliasArn": physical_id, "routingConfiguration": routing(new)}
        _parse_response(stepfunctions._update_state_machine_alias(request))
        return physical_id, {"Arn": physical_id}

    def delete(physical_id: str, _properties: Properties) -> None:
        stepfunctions._delete_state_machine_alias({"stateMachineAliasArn": physical_id})

    return {"create": create, "update": update, "delete": delete}


def _composite_alarm() -> dict[str, Callable[..., Any]]:
    def put(name: str, properties: Properties) -> Created:
        enabled = str(properties.get("ActionsEnabled", True)).lower() != "false"
        request = {**properties, "AlarmName": name, "ActionsEnabled": enabled}
        _parse_response(cloudwatch._put_composite_alarm({}, request, False, True))
        return name, {"Arn": _arn("cloudwatch", f"alarm:{name}")}

    def create(logical_id: str, properties: Properties, stack_name: str) -> Created:
        return put(properties.get("AlarmName") or f"{stack_name}-{logical_id}", properties)

    def update(physical_id: str, _old: Properties, new: Properties, _stack_name: str) -> Created:
        return put(physical_id, new)

    def delete(physical_id: str, _properties: Properties) -> None:
        cloudwatch._delete_alarms({}, {"AlarmNames": [physical_id]}, False, True)

    return {"create": create, "update": update, "delete": delete}


def _archive() -> dict[str, Callable[..., Any]]:
    def request(name: str, properties: Properties) -> dict[str, Any]:
        pattern = properties.get("EventPattern")
        return {
            "ArchiveName": name,
            "EventSourceArn": properties["SourceArn"],
            "RetentionDays": int(properties.get("RetentionDays", 0)),
            **({"EventPattern": json.dumps(pattern)} if pattern else {}),
        }

    def create(logical_id: str, properties: Properties, stack_name: str) -> Created:
        name = properties.get("ArchiveName") or f"{stack_name}-{logical_id}"[:48]
        return name, {"Arn": _parse_response(eventbridge._create_archive(request(name, properties)))["ArchiveArn"]}

    def update(physical_id: str, _old: Properties, new: Properties, _stack_name: str) -> Created:
        return physical_id, {
            "Arn": _parse_response(eventbridge._update_archive(request(physical_id, new)))["ArchiveArn"]
        }

    def delete(physical_id: str, _properties: Properties) -> None:
        eventbridge._delete_archive({"ArchiveName": physical_id})

    return {"create": create, "update": update, "delete": delete}


def install(service: SageMaker) -> None:
    """Apply the patches of this module."""
    handlers = patches.attribute(provisioners, "_RESOURCE_HANDLERS", dict)
    added = {
        **{kind: _without_effect(kind) for kind in TYPES_WITHOUT_EFFECT},
        "AWS::SageMaker::ModelPackageGroup": _sagemaker(
            service, "ModelPackageGroup", "CreateModelPackageGroup", "ModelPackageGroupArn"
        ),
        "AWS::SageMaker::Model": _sagemaker(service, "Model", "CreateModel", "ModelArn"),
        "AWS::StepFunctions::StateMachineVersion": _state_machine_version(),
        "AWS::StepFunctions::StateMachineAlias": _state_machine_alias(),
        "AWS::Events::Archive": _archive(),
        "AWS::CloudWatch::CompositeAlarm": _composite_alarm(),
        # The properties of AWS::SQS::QueuePolicy, with one queue URL instead of a list.
        "AWS::SQS::QueueInlinePolicy": _inline_queue_policy(handlers["AWS::SQS::QueuePolicy"]),
    }
    for kind, handler in added.items():
        handlers.setdefault(kind, handler)
    handlers["AWS::Lambda::Function"] = _with(handlers["AWS::Lambda::Function"], _reserve_concurrency)
    handlers["AWS::IAM::Role"] = _with(handlers["AWS::IAM::Role"], _set_boundary)


def _reserve_concurrency(physical_id: str, properties: Properties) -> None:
    reserved = properties.get("ReservedConcurrentExecutions")
    lambda_svc._functions[physical_id]["concurrency"] = None if reserved is None else int(reserved)


def _set_boundary(physical_id: str, properties: Properties) -> None:
    iam._roles[physical_id]["PermissionsBoundary"] = properties.get("PermissionsBoundary")


def _with(ministacks: dict[str, Any], set_property: Callable[[str, Properties], None]) -> dict[str, Any]:
    """Handlers of a type that also set a property of each resource, or remove it."""

    def create(logical_id: str, properties: Properties, stack_name: str) -> Created:
        created: Created = ministacks["create"](logical_id, properties, stack_name)
        set_property(created[0], properties)
        return created

    def update(physical_id: str, old: Properties, new: Properties, stack_name: str, logical_id: str = "") -> Created:
        updated: Created = ministacks["update"](physical_id, old, new, stack_name, logical_id)
        set_property(updated[0], new)
        return updated

    return {**ministacks, "create": create, "update": update}


def _inline_queue_policy(policy: dict[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    def listed(properties: Properties) -> Properties:
        return {"PolicyDocument": properties["PolicyDocument"], "Queues": [properties["Queue"]]}

    def create(logical_id: str, properties: Properties, stack_name: str) -> Created:
        policy["create"](logical_id, listed(properties), stack_name)
        return str(properties["Queue"]), {}

    def delete(physical_id: str, properties: Properties) -> None:
        policy["delete"](physical_id, listed(properties))

    return {"create": create, "delete": delete}
