"""IAM: the resource that a request to SageMaker needs permission for.

Patches: ministack knows no resources of SageMaker, so a policy that names one allows nothing, and no action of
InvokeEndpoint, so that everybody may call it. Here a request is authorized on the resource that its action names
("Actions, resources, and condition keys for Amazon SageMaker", Service Authorization Reference).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from ministack.core import iam_actions, iam_evaluator, responses

from local import patches
from local.sagemaker import scaling_permissions

INVOCATION = re.compile(r"/endpoints/([^/]+)/invocations")
# The name under which the body of a request travels to `enforce`, which does not get it.
_BODY = "local:sagemakerbody"
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
            name = request.get(field) if isinstance(request, dict) else None
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
    if action == "CreateModelPackage" and request.get("ModelPackageGroupName"):
        yield f"sagemaker:{action}", named("CreateModelPackageGroup", request, region, account) or "*", {}
    if request.get("Tags"):
        yield "sagemaker:AddTags", arn, {}
    for field in ("RoleArn", "ExecutionRoleArn"):
        if action.startswith("Create") and request.get(field):
            yield "iam:PassRole", str(request[field]), {"iam:passedtoservice": "sagemaker.amazonaws.com"}


def _all_permissions(service: str, iam_action: str, body: bytes, region: str) -> list[tuple[str, str, dict[str, Any]]]:
    """What a request to SageMaker or Application Auto Scaling needs; first the permission for its own resource."""
    try:
        request = json.loads(body or b"{}")
    except ValueError:
        return []
    action = iam_action.rpartition(":")[2]
    if service not in ("sagemaker", _SCALING) or not isinstance(request, dict):
        return []
    of_service = permissions if service == "sagemaker" else scaling_permissions.permissions
    return list(of_service(action, request, region, responses.get_account_id()))


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

    def request_tag_context(service: str, iam_action: str, body: bytes, params: Any) -> dict[str, Any]:
        context: dict[str, Any] = original_context(service, iam_action, body, params)
        return {**context, _BODY: body} if service in ("sagemaker", _SCALING) else context

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

    def enforce(
        access_key_id: str,
        iam_action: str,
        service: str,
        region: str,
        resource_arn: str = "*",
        service_context: Mapping[str, Any] | None = None,
    ) -> Any:
        context = dict(service_context or {})
        body = context.pop(_BODY, b"")
        needed = _all_permissions(service, iam_action, body, region)
        keys = needed[0][2] if needed else {}
        denied = original_enforce(access_key_id, iam_action, service, region, resource_arn, {**context, **keys})
        for action, resource, keys in needed[1:]:
            denied = denied or original_enforce(access_key_id, action, service, region, resource, {**context, **keys})
        return denied

    original_context = patches.replace(
        iam_actions, "request_tag_context", "service iam_action body params", request_tag_context
    )
    original_enforce = patches.replace(
        iam_evaluator, "enforce", "access_key_id iam_action service region resource_arn service_context", enforce
    )
    parameters = "service method path headers body query_params region account_id"
    original = patches.replace(iam_actions, "extract_resource_arn", parameters, extract_resource_arn)
