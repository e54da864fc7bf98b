"""Application Auto Scaling of endpoint variants: scalable targets and target tracking policies.

The calls are checked and recorded, and a target's limits change the number of instances. Policies are not evaluated:
the embedded AWS runs one process per variant, whatever the number of its instances.

Patches: entries for Application Auto Scaling, which ministack does not have, in its routing tables, in
`iam_actions.SERVICE_TO_IAM_NAMESPACE`, and in the tables of `aws-sdk` tasks in `stepfunctions`. Sources: the
Application Auto Scaling API Reference; "Update endpoints that use auto scaling" and "Delete endpoints configured for
auto scaling", Amazon SageMaker AI Developer Guide.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
import uuid
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from botocore import xform_name
from ministack import app
from ministack.core import iam_actions, router
from ministack.core.responses import _service_model, get_account_id, get_region
from ministack.services import iam, stepfunctions

from local import patches
from local.sagemaker import scaling_permissions, validation
from local.sagemaker.endpoints import Endpoint, Endpoints
from local.sagemaker.errors import SageMakerError, validation_error

NAMESPACE = "sagemaker"
DIMENSION = "sagemaker:variant:DesiredInstanceCount"
SERVICE = "application-autoscaling"
TARGET_PREFIX = "AnyScaleFrontendService"
_RESOURCE = re.compile("endpoint/([^/]+)/variant/([^/]+)")
_METRICS = ("SageMakerVariantInvocationsPerInstance", "SageMakerVariantConcurrentRequestsPerModelHighResolution")


class Scaling:
    """The operations on scalable targets and policies. Each is kept with its endpoint, so it ends with it."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints

    def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """Run one operation; raises SageMakerError."""
        model = _service_model(SERVICE)
        method = getattr(self, xform_name(operation), None)
        if operation not in model.operation_names or method is None:
            text = f"The embedded AWS does not implement {operation} of Application Auto Scaling."
            raise SageMakerError("UnknownOperationException", text)
        validation.validate(model.operation_model(operation), request)
        answer: dict[str, Any] = method(request)
        return answer

    def served_config(self, endpoint: str) -> str | None:
        """Return the name of the configuration that an endpoint serves; None for an unknown endpoint."""
        found = self._endpoints.endpoints.get(endpoint)
        return None if found is None else str(found.config["EndpointConfigName"])

    def register_scalable_target(self, request: dict[str, Any]) -> dict[str, Any]:
        endpoint, variant = self._variant(request)
        with endpoint.lock:
            known = endpoint.targets.get(variant, {})
            least, most = (request.get(name, known.get(name)) for name in ("MinCapacity", "MaxCapacity"))
            if least is None or most is None:
                raise validation_error("MinCapacity and MaxCapacity are required to register a new scalable target.")
            if least > most:
                raise validation_error("Maximum capacity cannot be less than minimum capacity")
            kind = endpoint.instance_types()[variant]
            if kind.startswith("ml.t2."):
                raise validation_error(f"Auto scaling is not supported for the burstable instance type {kind}.")
            address = f"arn:aws:{SERVICE}:{get_region()}:{get_account_id()}:scalable-target/{uuid.uuid4().hex[:26]}"
            new = {"ScalableTargetARN": address, "CreationTime": time.time(), "Policies": {}}
            endpoint.targets[variant] = {**new, **known, "MinCapacity": least, "MaxCapacity": most}
            endpoint.counts[variant] = min(max(endpoint.counts[variant], least), most)
            _create_service_role()
            return {"ScalableTargetARN": endpoint.targets[variant]["ScalableTargetARN"]}

    def deregister_scalable_target(self, request: dict[str, Any]) -> dict[str, Any]:
        endpoint, variant = self._target(request)
        with endpoint.lock:
            endpoint.targets.pop(variant, None)
        return {}

    def describe_scalable_targets(self, request: dict[str, Any]) -> dict[str, Any]:
        wanted = request.get("ResourceIds")
        shown = ("ScalableTargetARN", "CreationTime", "MinCapacity", "MaxCapacity")
        suspended = dict.fromkeys(
            ("DynamicScalingInSuspended", "DynamicScalingOutSuspended", "ScheduledScalingSuspended"), False
        )
        targets = [
            {**named, **{name: target[name] for name in shown}, "SuspendedState": suspended}
            for named, target in self._all()
            if wanted is None or named["ResourceId"] in wanted
        ]
        return {"ScalableTargets": targets if request["ServiceNamespace"] == NAMESPACE else []}

    def put_scaling_policy(self, request: dict[str, Any]) -> dict[str, Any]:
        endpoint, variant = self._target(request)
        policy = endpoint.targets[variant]["Policies"].get(request["PolicyName"], {})
        kind = request.get("PolicyType", policy.get("PolicyType"))
        settings = request.get("TargetTrackingScalingPolicyConfiguration")
        if kind != "TargetTrackingScaling" or settings is None:
            raise validation_error("The embedded AWS has policies of the type TargetTrackingScaling only.")
        metric = settings.get("PredefinedMetricSpecification", {}).get("PredefinedMetricType")
        if metric not in _METRICS and "CustomizedMetricSpecification" not in settings:
            raise validation_error(f"The metric {metric} is not one of {', '.join(_METRICS)}.")
        if settings["TargetValue"] <= 0:
            raise validation_error("TargetValue must be greater than 0.")
        where = f"resource/{NAMESPACE}/{request['ResourceId']}:policyName/{request['PolicyName']}"
        address = f"arn:aws:autoscaling:{get_region()}:{get_account_id()}:scalingPolicy:{uuid.uuid4()}:{where}"
        new = {"PolicyARN": address, "CreationTime": time.time(), **policy}
        with endpoint.lock:
            endpoint.targets[variant]["Policies"][request["PolicyName"]] = {**new, **request, "PolicyType": kind}
        return {"PolicyARN": new["PolicyARN"], "Alarms": []}

    def delete_scaling_policy(self, request: dict[str, Any]) -> dict[str, Any]:
        endpoint, variant = self._target(request)
        with endpoint.lock:
            if endpoint.targets[variant]["Policies"].pop(request["PolicyName"], None) is None:
                raise _not_found("scaling policy", request)
        return {}

    def describe_scaling_policies(self, request: dict[str, Any]) -> dict[str, Any]:
        wanted = request.get("ResourceId")
        policies = [
            {**policy, "Alarms": []}
            for named, target in self._all()
            for policy in target["Policies"].values()
            if wanted in (None, named["ResourceId"])
            and policy["PolicyName"] in request.get("PolicyNames", [policy["PolicyName"]])
        ]
        return {"ScalingPolicies": policies if request["ServiceNamespace"] == NAMESPACE else []}

    def _all(self) -> Iterator[tuple[dict[str, str], dict[str, Any]]]:
        """Yield the fields that name each target, and the target."""
        for endpoint in self._endpoints.endpoints:
            for variant, target in list(endpoint.targets.items()):
                resource = f"endpoint/{endpoint.name}/variant/{variant}"
                role = scaling_permissions.service_role_arn(get_account_id())
                named = {"ServiceNamespace": NAMESPACE, "ResourceId": resource, "ScalableDimension": DIMENSION}
                yield {**named, "RoleARN": role}, target

    def _variant(self, request: dict[str, Any]) -> tuple[Endpoint, str]:
        """Return the endpoint and the name of the variant that a request names. Raises ValidationException."""
        parts = _RESOURCE.fullmatch(request["ResourceId"])
        if request["ServiceNamespace"] != NAMESPACE or request["ScalableDimension"] != DIMENSION or parts is None:
            raise validation_error("Unsupported service namespace, resource type or scalable dimension")
        endpoint = self._endpoints.endpoints.get(parts[1])
        if endpoint is None or parts[2] not in endpoint.counts:
            raise validation_error(f"SageMaker endpoint variant does not exist: {request['ResourceId']}")
        return endpoint, parts[2]

    def _target(self, request: dict[str, Any]) -> tuple[Endpoint, str]:
        """Return the endpoint and the variant of a registered target. Raises ObjectNotFoundException."""
        parts = _RESOURCE.fullmatch(request["ResourceId"])
        endpoint = self._endpoints.endpoints.get(parts[1]) if parts else None
        if parts is None or endpoint is None or parts[2] not in endpoint.targets:
            raise _not_found("scalable target", request)
        return endpoint, parts[2]

    async def handle_request(
        self, method: str, path: str, headers: dict[str, str], body: bytes, query_params: dict[str, Any]
    ) -> tuple[int, dict[str, str], bytes]:
        """Handle a request to Application Auto Scaling; called by ministack."""
        kind = {"Content-Type": "application/x-amz-json-1.1"}
        operation = headers.get("x-amz-target", "").rpartition(".")[2]
        try:
            answer = await asyncio.to_thread(self.call, operation, json.loads(body or b"{}"))
        except SageMakerError as error:
            return error.status, kind, json.dumps({"__type": error.code, "Message": error.message}).encode()
        return 200, kind, json.dumps(answer).encode()


def _create_service_role() -> None:
    """Create the service-linked role of the account if there is none."""
    name, principal = scaling_permissions.SERVICE_ROLE, scaling_permissions.PRINCIPAL
    trusted = {"Effect": "Allow", "Principal": {"Service": principal}, "Action": "sts:AssumeRole"}
    role = {
        "RoleName": name,
        "Arn": scaling_permissions.service_role_arn(get_account_id()),
        "RoleId": f"AROA{uuid.uuid4().hex[:17].upper()}",
        "CreateDate": iam._now(),
        "Path": f"/aws-service-role/{principal}/",
        "AssumeRolePolicyDocument": json.dumps({"Version": "2012-10-17", "Statement": [trusted]}),
        "Description": "",
        "MaxSessionDuration": 3600,
        "AttachedPolicies": [],
        "InlinePolicies": {},
        "Tags": [],
    }
    iam._roles.setdefault(name, role)


def _not_found(what: str, request: dict[str, Any]) -> SageMakerError:
    return SageMakerError(
        "ObjectNotFoundException",
        f"No {what} found for service namespace: {request['ServiceNamespace']}, resource ID: {request['ResourceId']}, "
        f"scalable dimension: {request['ScalableDimension']}",
    )


def install(endpoints: Endpoints) -> None:
    """Route the requests to Application Auto Scaling to this module."""
    scaling = Scaling(endpoints)
    scaling_permissions.install(scaling.served_config)
    patches.expect(iam, "_now", "")
    patches.attribute(router, "SERVICE_PATTERNS", dict)[SERVICE] = {
        "host_patterns": [rf"{SERVICE}\."],
        "target_prefixes": [f"{TARGET_PREFIX}."],
    }
    patches.attribute(app, "SERVICE_HANDLERS", dict)[SERVICE] = scaling.handle_request
    patches.attribute(app, "SERVICE_REGISTRY", dict)[SERVICE] = {"module": SERVICE}
    patches.attribute(app, "_loaded_modules", dict)[SERVICE] = SimpleNamespace(
        handle_request=scaling.handle_request, reset=lambda: None
    )
    patches.attribute(iam_actions, "SERVICE_TO_IAM_NAMESPACE", dict)[SERVICE] = SERVICE
    services = patches.attribute(stepfunctions, "_AWS_SDK_SERVICE_MAP", dict)
    services["applicationautoscaling"] = {"target_prefix": TARGET_PREFIX, "protocol": "json", "service_key": SERVICE}
    patches.attribute(stepfunctions, "_AWS_SDK_ERROR_PREFIX", dict)["applicationautoscaling"] = "ApplicationAutoScaling"
