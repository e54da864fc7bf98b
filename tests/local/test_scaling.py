"""Application Auto Scaling of endpoint variants."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from local import users
from tests.local.aws import Aws
from tests.local.definitions import machine, task
from tests.local.fake_application import FakeApplication, unique_name
from tests.local.http_requests import client_with_key
from tests.support.waiting import eventually

POLICY = {
    "PolicyName": "invocations",
    "PolicyType": "TargetTrackingScaling",
    "TargetTrackingScalingPolicyConfiguration": {
        "TargetValue": 600.0,
        "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
    },
}


@pytest.fixture(scope="module")
def application(aws: Aws) -> FakeApplication:
    return FakeApplication(aws)


@pytest.fixture
def scaling(aws: Aws) -> Any:
    return aws.client("application-autoscaling")


@pytest.fixture
def endpoint(application: FakeApplication) -> str:
    return application.create_endpoint("scaled")


def variant(endpoint: str) -> dict[str, str]:
    """The fields that name the only variant of an endpoint as a scalable target."""
    return {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{endpoint}/variant/AllTraffic",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }


def configuration(application: FakeApplication, instance_type: str = "ml.m5.large", count: int = 1) -> str:
    """An endpoint configuration for another model."""
    name = unique_name("config")
    model = application.create_model("other")
    new = {"VariantName": "AllTraffic", "ModelName": model, "InstanceType": instance_type}
    application.sagemaker.create_endpoint_config(
        EndpointConfigName=name, ProductionVariants=[{**new, "InitialInstanceCount": count}]
    )
    return name


def update(application: FakeApplication, endpoint: str, config: str, **options: Any) -> None:
    """Update an endpoint, and wait until the configuration is in service."""
    application.sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=config, **options)

    def in_service() -> bool:
        found = application.sagemaker.describe_endpoint(EndpointName=endpoint)
        return bool(found["EndpointStatus"] == "InService" and found["EndpointConfigName"] == config)

    eventually(in_service)


def instances(application: FakeApplication, endpoint: str) -> int:
    """The number of instances of the only variant."""
    (found,) = application.sagemaker.describe_endpoint(EndpointName=endpoint)["ProductionVariants"]
    assert found["DesiredInstanceCount"] == found["CurrentInstanceCount"]
    return int(found["DesiredInstanceCount"])


def test_the_limits_of_a_target_change_the_number_of_instances(
    application: FakeApplication, scaling: Any, endpoint: str
) -> None:
    assert instances(application, endpoint) == 1
    created = scaling.register_scalable_target(**variant(endpoint), MinCapacity=2, MaxCapacity=4)
    assert instances(application, endpoint) == 2
    changed = scaling.register_scalable_target(**variant(endpoint), MinCapacity=1, MaxCapacity=1)
    assert instances(application, endpoint) == 1
    assert created["ScalableTargetARN"] == changed["ScalableTargetARN"]
    (found,) = scaling.describe_scalable_targets(
        ServiceNamespace="sagemaker", ResourceIds=[variant(endpoint)["ResourceId"]]
    )["ScalableTargets"]
    assert (found["MinCapacity"], found["MaxCapacity"]) == (1, 1)


def test_a_policy_needs_a_target_and_ends_with_it(scaling: Any, endpoint: str) -> None:
    with pytest.raises(scaling.exceptions.ObjectNotFoundException):
        scaling.put_scaling_policy(**variant(endpoint), **POLICY)
    scaling.register_scalable_target(**variant(endpoint), MinCapacity=1, MaxCapacity=2)
    scaling.put_scaling_policy(**variant(endpoint), **POLICY)
    where = {"ServiceNamespace": "sagemaker", "ResourceId": variant(endpoint)["ResourceId"]}
    (found,) = scaling.describe_scaling_policies(**where)["ScalingPolicies"]
    assert found["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] == 600.0
    scaling.deregister_scalable_target(**variant(endpoint))
    assert scaling.describe_scaling_policies(**where)["ScalingPolicies"] == []
    with pytest.raises(scaling.exceptions.ObjectNotFoundException):
        scaling.deregister_scalable_target(**variant(endpoint))


@pytest.mark.parametrize(
    "wrong",
    [
        {"ResourceId": "endpoint/nothing/variant/AllTraffic"},
        {"ResourceId": "table/photos", "ServiceNamespace": "dynamodb"},
        {"MinCapacity": 3},
        {"ScalableDimension": "sagemaker:variant:Instances"},
    ],
)
def test_wrong_targets_are_refused(scaling: Any, endpoint: str, wrong: dict[str, Any]) -> None:
    right = {**variant(endpoint), "MinCapacity": 1, "MaxCapacity": 2}
    with pytest.raises(scaling.exceptions.ValidationException):
        scaling.register_scalable_target(**{**right, **wrong})


def test_an_update_keeps_the_number_of_instances_only_if_told_to(
    application: FakeApplication, scaling: Any, endpoint: str
) -> None:
    scaling.register_scalable_target(**variant(endpoint), MinCapacity=3, MaxCapacity=4)
    update(application, endpoint, configuration(application), RetainAllVariantProperties=True)
    assert instances(application, endpoint) == 3
    update(application, endpoint, configuration(application, count=2))
    assert instances(application, endpoint) == 2


def test_the_instance_type_of_a_target_cannot_change(application: FakeApplication, scaling: Any, endpoint: str) -> None:
    scaling.register_scalable_target(**variant(endpoint), MinCapacity=1, MaxCapacity=2)
    larger = configuration(application, "ml.m5.xlarge")
    with pytest.raises(ClientError, match="instance type of variant AllTraffic"):
        application.sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=larger)
    scaling.deregister_scalable_target(**variant(endpoint))
    update(application, endpoint, larger)


def test_deleting_an_endpoint_deregisters_its_variants(
    application: FakeApplication, scaling: Any, endpoint: str
) -> None:
    scaling.register_scalable_target(**variant(endpoint), MinCapacity=1, MaxCapacity=2)
    application.sagemaker.delete_endpoint(EndpointName=endpoint)
    application.sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=endpoint, WaiterConfig={"Delay": 0.1})
    with pytest.raises(scaling.exceptions.ObjectNotFoundException):
        scaling.deregister_scalable_target(**variant(endpoint))


def test_a_task_state_has_the_errors_of_application_auto_scaling(aws: Aws, endpoint: str) -> None:
    resource = "arn:aws:states:::aws-sdk:applicationautoscaling"
    limits = {"MinCapacity": 1, "MaxCapacity": 2}
    ended = aws.run_to_end(machine(task(f"{resource}:registerScalableTarget", {**variant(endpoint), **limits})))
    assert ended["status"] == "SUCCEEDED", ended
    missing = variant("nothing")
    ended = aws.run_to_end(machine(task(f"{resource}:deregisterScalableTarget", missing)))
    assert ended["error"] == "ApplicationAutoScaling.ObjectNotFoundException"
    ended = aws.run_to_end(machine(task(f"{resource}:registerScalableTarget", {**missing, **limits})))
    assert ended["error"] == "ApplicationAutoScaling.ValidationException"


def test_a_user_needs_the_permissions_of_application_auto_scaling_and_of_what_it_calls(aws: Aws, endpoint: str) -> None:
    """Each of them is missing once; with all of them the variant is registered."""
    arn, alarms = "arn:aws:sagemaker:eu-west-1:000000000000", "arn:aws:cloudwatch:eu-west-1:000000000000:alarm"
    needed = {
        "application-autoscaling:RegisterScalableTarget": "arn:aws:application-autoscaling:*:*:scalable-target/*",
        "application-autoscaling:PutScalingPolicy": "arn:aws:application-autoscaling:*:*:scalable-target/*",
        "sagemaker:DescribeEndpoint": f"{arn}:endpoint/{endpoint}",
        "sagemaker:DescribeEndpointConfig": f"{arn}:endpoint-config/*",
        "sagemaker:UpdateEndpointWeightsAndCapacities": f"{arn}:endpoint/{endpoint}",
        "cloudwatch:PutMetricAlarm": f"{alarms}:TargetTracking-endpoint/{endpoint}/*",
        "cloudwatch:DescribeAlarms": f"{alarms}:TargetTracking-endpoint/{endpoint}/*",
    }

    def scale(left_out: str | None) -> None:
        granted = {action: where for action, where in needed.items() if action != left_out}
        keys = {"application-autoscaling:service-namespace": "sagemaker"}
        statements = [
            {"Effect": "Allow", "Action": action, "Resource": where}
            | ({"Condition": {"StringEquals": keys}} if action.startswith("application-autoscaling") else {})
            for action, where in granted.items()
        ]
        key = users.access_key(aws.server, unique_name("scaler"), {"Version": "2012-10-17", "Statement": statements})
        client = client_with_key(aws, "application-autoscaling", key.access_key_id, key.secret_access_key)
        client.register_scalable_target(**variant(endpoint), MinCapacity=1, MaxCapacity=2)
        client.put_scaling_policy(**variant(endpoint), **POLICY)

    # The service-linked role of the account exists from the first target on.
    aws.client("application-autoscaling").register_scalable_target(**variant(endpoint), MinCapacity=1, MaxCapacity=2)
    for action in needed:
        with pytest.raises(ClientError, match="AccessDenied"):
            scale(action)
    scale(None)
