"""The resources of SageMaker in the policy of a user."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from local import users
from local.sagemaker.resource_arns import named
from tests.local.aws import Aws
from tests.local.http_requests import client_with_key

ARN = "arn:aws:sagemaker:eu-west-1:000000000000"


@pytest.fixture
def sagemaker(aws: Aws) -> Any:
    """The client of a user who may describe one endpoint, its configurations, and one model."""
    resources = [f"{ARN}:endpoint/mine", f"{ARN}:endpoint-config/mine-*", f"{ARN}:model/mine"]
    statement = {"Effect": "Allow", "Action": "sagemaker:Describe*", "Resource": resources}
    key = users.access_key(aws.server, "models", {"Version": "2012-10-17", "Statement": [statement]})
    return client_with_key(aws, "sagemaker", key.access_key_id, key.secret_access_key)


def code(call: Any, **parameters: str) -> str:
    with pytest.raises(ClientError) as raised:
        call(**parameters)
    return str(raised.value.response["Error"]["Code"])


def test_a_policy_allows_the_resources_that_it_names_and_no_others(sagemaker: Any) -> None:
    """None of them exists, so what is allowed ends in another error than what is denied."""
    for allowed in (
        code(sagemaker.describe_endpoint, EndpointName="mine"),
        code(sagemaker.describe_endpoint_config, EndpointConfigName="mine-1"),
        code(sagemaker.describe_model, ModelName="mine"),
    ):
        assert allowed == "ValidationException"
    for denied in (
        code(sagemaker.describe_endpoint, EndpointName="other"),
        code(sagemaker.describe_endpoint_config, EndpointConfigName="other"),
        code(sagemaker.describe_model, ModelName="mine-too"),
        code(sagemaker.describe_training_job, TrainingJobName="mine"),
        code(sagemaker.delete_endpoint, EndpointName="mine"),
    ):
        assert denied == "AccessDeniedException"


@pytest.mark.parametrize(("name", "expected"), [("mine", "ValidationError"), ("other", "AccessDeniedException")])
def test_an_endpoint_is_invoked_only_with_permission(aws: Aws, name: str, expected: str) -> None:
    """Neither exists, so what is allowed ends in another error than what is denied."""
    statement = {"Effect": "Allow", "Action": "sagemaker:InvokeEndpoint", "Resource": f"{ARN}:endpoint/mine"}
    key = users.access_key(aws.server, "callers", {"Version": "2012-10-17", "Statement": [statement]})
    runtime = client_with_key(aws, "sagemaker-runtime", key.access_key_id, key.secret_access_key)
    assert code(runtime.invoke_endpoint, EndpointName=name, Body="x") == expected


def test_a_request_that_names_a_package_by_its_arn_needs_the_permission_on_it() -> None:
    """Actions, resources, and condition keys for Amazon SageMaker, Service Authorization Reference."""
    arn = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/vehicles/3"
    assert named("UpdateModelPackage", {"ModelPackageArn": arn}, "eu-west-1", "123456789012") == arn
    assert named("DescribeModelPackage", {"ModelPackageName": arn}, "eu-west-1", "123456789012") == arn
    assert named("UpdateModelPackage", {}, "eu-west-1", "123456789012") is None
