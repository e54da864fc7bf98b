"""IAM: what a call of Application Auto Scaling needs, which calls SageMaker and CloudWatch for its caller.

Sources: "Actions, resources, and condition keys for AWS Application Auto Scaling", Service Authorization Reference;
"Permissions validation", Application Auto Scaling User Guide; "Auto scaling prerequisites", Amazon SageMaker AI
Developer Guide.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ministack.services import iam

from local import patches

_ENDPOINT = re.compile("endpoint/([^/]+)/variant/[^/]+")
SERVICE_ROLE = "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
PRINCIPAL = "sagemaker.application-autoscaling.amazonaws.com"
# What CloudWatch is asked for by each action on a target tracking policy.
_ALARM_ACTIONS = {
    "PutScalingPolicy": ("PutMetricAlarm", "DescribeAlarms"),
    "DeleteScalingPolicy": ("DeleteAlarms",),
    "DeregisterScalableTarget": ("DeleteAlarms",),
}


def target_arn(region: str, account: str) -> str:
    """Return the ARN of a scalable target; requests name the scaled resource instead, so every target has this one."""
    return f"arn:aws:application-autoscaling:{region}:{account}:scalable-target/0000000000000000000000000"


def service_role_arn(account: str) -> str:
    """Return the ARN of the role with which Application Auto Scaling changes endpoints."""
    return f"arn:aws:iam::{account}:role/aws-service-role/{PRINCIPAL}/{SERVICE_ROLE}"


class _Served:
    """The name of the configuration that an endpoint serves; None for an unknown endpoint. `install` sets it."""

    config: Callable[[str], str | None] = staticmethod(lambda endpoint: None)


def permissions(
    action: str, request: Mapping[str, Any], region: str, account: str
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield action, resource and condition keys of every permission that a request needs; the first is its own.

    Registering the first target of an account creates the service-linked role.
    """
    keys = {
        f"application-autoscaling:{key}": request[field]
        for key, field in (("service-namespace", "ServiceNamespace"), ("scalable-dimension", "ScalableDimension"))
        if field in request
    }
    yield f"application-autoscaling:{action}", target_arn(region, account), keys
    found = _ENDPOINT.fullmatch(str(request.get("ResourceId", "")))
    if found is None:
        return
    endpoint = f"arn:aws:sagemaker:{region}:{account}:endpoint/{found[1].lower()}"
    if action == "RegisterScalableTarget":
        yield "sagemaker:DescribeEndpoint", endpoint, {}
        yield "sagemaker:UpdateEndpointWeightsAndCapacities", endpoint, {}
        if config := _Served.config(found[1]):
            yield (
                "sagemaker:DescribeEndpointConfig",
                f"arn:aws:sagemaker:{region}:{account}:endpoint-config/{config}",
                {},
            )
        if SERVICE_ROLE not in iam._roles:
            yield "iam:CreateServiceLinkedRole", service_role_arn(account), {"iam:awsservicename": PRINCIPAL}
    alarms = f"arn:aws:cloudwatch:{region}:{account}:alarm:TargetTracking-{request['ResourceId']}-AlarmHigh-0"
    for name in _ALARM_ACTIONS.get(action, ()):
        yield f"cloudwatch:{name}", alarms, {}


def install(served_config: Callable[[str], str | None]) -> None:
    """Use this function for the configuration that an endpoint serves."""
    patches.attribute(iam, "_roles", object)
    _Served.config = staticmethod(served_config)
