"""The Application Auto Scaling states of the workflows, one function each.

The endpoint's variant is a scalable target while the endpoint is in service. A CloudFormation resource would fail on a
new stage, which has no endpoint. Sources: "Update endpoints that use auto scaling", Amazon SageMaker AI Developer
Guide; the Application Auto Scaling API Reference.
"""

from typing import Any

from workflows.errors import SCALING_TARGET_MISSING, SCALING_TRANSIENT
from workflows.sdk import Task
from workflows.tasks import API_TIMEOUT_S, payload_template, retry, to_number

POLICY = "invocations-per-instance"
TARGET = {
    "ServiceNamespace": "sagemaker",
    # AllTraffic is the name that the SDK gives to the only variant.
    "ResourceId": "endpoint/${EndpointName}/variant/AllTraffic",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}
# An instance takes minutes to start. Until then, more would not help; and a lull of ten minutes ends no rush hour.
SCALE_OUT_COOLDOWN_S = 300
SCALE_IN_COOLDOWN_S = 600


def deregister_target(name: str, comment: str) -> Any:
    """Return the step that ends the scaling of the endpoint; its instances remain.

    SageMaker refuses to change the instance type of a variant that is a scalable target.
    """
    return _call(name, comment, "deregisterScalableTarget", TARGET)


def register_target(name: str, comment: str) -> Any:
    """Return the step that makes the endpoint's variant a scalable target, within the limits of the deployment."""
    limits = {
        "MinCapacity": to_number("${EndpointMinInstances}"),
        "MaxCapacity": to_number("${EndpointMaxInstances}"),
    }
    return _call(name, comment, "registerScalableTarget", payload_template(**TARGET, **limits))


def put_policy(name: str, comment: str) -> Any:
    """Return the step that scales the target by the requests per instance and minute."""
    policy = {
        **payload_template(TargetValue=to_number("${EndpointTargetInvocations}")),
        "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
        "ScaleOutCooldown": SCALE_OUT_COOLDOWN_S,
        "ScaleInCooldown": SCALE_IN_COOLDOWN_S,
    }
    named = {"PolicyName": POLICY, "PolicyType": "TargetTrackingScaling"}
    request = {**TARGET, **named, "TargetTrackingScalingPolicyConfiguration": policy}
    return _call(name, comment, "putScalingPolicy", request, SCALING_TARGET_MISSING)


def _call(name: str, comment: str, action: str, parameters: dict[str, Any], *retried: str) -> Any:
    return Task(
        name,
        resource=f"arn:aws:states:::aws-sdk:applicationautoscaling:{action}",
        comment=comment,
        parameters=parameters,
        asl={"ResultPath": None},
        timeout_seconds=API_TIMEOUT_S,
        retry=[retry(*SCALING_TRANSIENT, *retried, interval_s=2, max_attempts=6)],
    )
