"""IAM: the resource that a request to SageMaker needs permission for.

Patches: ministack knows no resources of SageMaker, so a policy that names one allows nothing, and no action of
InvokeEndpoint, so that everybody may call it. Here a request is authorized on the resource that its action names
("Actions, resources, and condition keys for Amazon SageMaker", Service Authorization Reference).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from ministack.core import iam_actions, responses

from local import authorization, patches
from local.authorization import Permission
from local.sagemaker import scaling_permissions

INVOCATION = re.compile(r"/endpoints/([^/]+)/invocations")
_SCALING = "application-autoscaling"

# The noun of an action, the field with the name, and the type in the ARN; longer nouns before their beginnings.
_RESOURCES = (
    ("EndpointConfig", "EndpointConfigName", "endpoint-config"),
    ("Endpoint", "EndpointName", "endpoint"),
    ("ModelPackageGroup", "ModelPackageGroupName", "model-package-group"),
    ("ModelPackage", "ModelPackageName", "model-package"),
    ("Model", "ModelName", "model"),
    ("TrainingJob", "TrainingJobName", "training-job"),
    ("ProcessingJob", "ProcessingJobName", "processing-job"),
)


def _resource(path: str, target: str, body: bytes) -> str | None:
    """The type and name of the resource that a request names, such as `endpoint/a`, or its ARN; None without one."""
    if invocation := INVOCATION.fullmatch(path):
        return f"endpoint/{unquote(invocation[1]).lower()}"
    action = target.rpartition(".")[2]
    try:
        request: Any = json.loads(body or b"{}")
    except ValueError:
        return None
    return _of_action(action, request)


def _of_action(action: str, request: Any) -> str | None:
    """The type and name of the resource that a request of an action names, or its ARN; None without one."""
    if action == "CreateModelPackage" and isinstance(request, dict) and "ModelPackageGroupName" in request:
        # A version of a group gets a number, which the request does not have.
        return f"model-package/{request['ModelPackageGroupName']}/1"
    for noun, field, kind in _RESOURCES:
        if action.endswith(noun):
            # Some requests name a resource by its ARN, as UpdateModelPackage does.
            names = [request.get(key) for key in (field, f"{noun}Arn")] if isinstance(request, dict) else []
            name = next((found for found in names if found), None)
            if not isinstance(name, str) or not name:
                return None
            return name if name.startswith("arn:") else f"{kind}/{name.lower()}"
    return None


def named(action: str, request: Mapping[str, Any], region: str, account: str) -> str | None:
    """The ARN of the resource that a request of an action, such as CreateModel, names; None without one."""
    resource = _of_action(action, request)
    if resource is None or resource.startswith("arn:"):
        return resource
    return f"arn:aws:sagemaker:{region}:{account}:{resource}"


def permissions(
    action: str, request: Mapping[str, Any], region: str, account: str
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield action, resource and condition keys of every permission that a request needs.

    A change of an endpoint needs its configuration too, tags need AddTags, and a role must be passed.
    """
    arn = named(action, request, region, account) or "*"
    yield f"sagemaker:{action}", arn, {}
    if action in ("CreateEndpoint", "UpdateEndpoint"):
        yield f"sagemaker:{action}", named("EndpointConfig", request, region, account) or "*", {}
    rollback = request.get("DeploymentConfig", {}).get("AutoRollbackConfiguration", {})
    if rollback.get("Alarms"):
        # It is authorized for all alarms ("Actions, resources, and condition keys for Amazon CloudWatch").
        yield "cloudwatch:DescribeAlarms", f"arn:aws:cloudwatch:{region}:{account}:alarm:*", {}
    if action == "CreateModelPackage" and request.get("ModelPackageGroupName"):
        yield f"sagemaker:{action}", named("CreateModelPackageGroup", request, region, account) or "*", {}
    if request.get("Tags"):
        yield "sagemaker:AddTags", arn, {}
    for field in ("RoleArn", "ExecutionRoleArn"):
        if action.startswith("Create") and request.get(field):
            yield "iam:PassRole", str(request[field]), {"iam:passedtoservice": "sagemaker.amazonaws.com"}


def _required(asked: Permission, body: bytes, region: str) -> Iterator[Permission]:
    """What a request to SageMaker or Application Auto Scaling needs; first the permission for its own resource."""
    try:
        request = json.loads(body or b"{}")
    except ValueError:
        request = None
    if not isinstance(request, dict):
        yield asked
        return
    of_service = permissions if asked.service == "sagemaker" else scaling_permissions.permissions
    (_, _, keys), *more = of_service(asked.action.rpartition(":")[2], request, region, responses.get_account_id())
    yield replace(asked, context={**asked.context, **keys})
    for action, resource, keys in more:
        yield replace(asked, action=action, resource=resource, context={**asked.context, **keys})


def install() -> None:
    """Apply the patches."""

    def extract_resource_arn(
        service: str,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        query_params: Any,
        region: str,
        account_id: str,
    ) -> str:
        if service == "sagemaker" and (resource := _resource(path, headers.get("x-amz-target", ""), body)):
            return resource if resource.startswith("arn:") else f"arn:aws:sagemaker:{region}:{account_id}:{resource}"
        if service == _SCALING:
            return scaling_permissions.target_arn(region, account_id)
        arn: str = original(service, method, path, headers, body, query_params, region, account_id)
        return arn

    def extract_iam_action(
        service: str, method: str, path: str, headers: Mapping[str, str], body: bytes, query_params: Any
    ) -> str | None:
        if service == "sagemaker" and INVOCATION.fullmatch(path):
            return "sagemaker:InvokeEndpoint"
        action: str | None = original_action(service, method, path, headers, body, query_params)
        return action

    original_action = patches.replace(
        iam_actions, "extract_iam_action", "service method path headers body query_params", extract_iam_action
    )
    parameters = "service method path headers body query_params region account_id"
    original = patches.replace(iam_actions, "extract_resource_arn", parameters, extract_resource_arn)
    for service in ("sagemaker", _SCALING):
        authorization.require(service, _required)
