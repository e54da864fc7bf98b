"""The permissions and the settings of the scaling of the endpoint."""

from typing import Any

import pytest

from deploy.templates import load_template

RESOURCES: dict[str, Any] = load_template("app")["Resources"]


@pytest.mark.parametrize("workflow", ["RetrainModelWorkflow", "RollbackModelWorkflow"])
def test_the_workflows_that_change_the_endpoint_may_scale_it(workflow: str) -> None:
    substitutions = RESOURCES[workflow]["Properties"]["DefinitionSubstitutions"]
    for name in ("EndpointMinInstances", "EndpointMaxInstances", "EndpointTargetInvocations"):
        assert substitutions[name] == {"Ref": name}
    (policy,) = RESOURCES[f"{workflow}Role"]["Properties"]["Policies"]
    statements = policy["PolicyDocument"]["Statement"]
    (scale,) = [one for one in statements if "application-autoscaling:RegisterScalableTarget" in one["Action"]]
    assert scale["Condition"]["StringEquals"]["application-autoscaling:service-namespace"] == "sagemaker"
    (alarms,) = [one for one in statements if "cloudwatch:PutMetricAlarm" in one["Action"]]
    assert alarms["Resource"]["Fn::Sub"].endswith(":alarm:TargetTracking-endpoint/scones-${Stage}-vehicles/*")


def test_the_first_endpoint_of_an_account_may_create_the_role_of_application_auto_scaling() -> None:
    """The workflow that creates an endpoint registers it first; other workflows find the role."""
    roles = {
        name: one
        for name, resource in RESOURCES.items()
        for policy in resource["Properties"].get("Policies", ())
        for one in policy["PolicyDocument"]["Statement"]
        if one["Action"] == "iam:CreateServiceLinkedRole"
    }
    service = "sagemaker.application-autoscaling.amazonaws.com"
    assert list(roles) == ["RetrainModelWorkflowRole"]
    assert roles["RetrainModelWorkflowRole"]["Condition"]["StringEquals"] == {"iam:AWSServiceName": service}
    assert service in roles["RetrainModelWorkflowRole"]["Resource"]["Fn::Sub"]


def test_who_deletes_the_endpoint_may_deregister_it_from_scaling() -> None:
    """SageMaker deregisters the variants for the caller, and otherwise refuses the deletion."""
    for role, resource in RESOURCES.items():
        actions = [
            action
            for policy in resource["Properties"].get("Policies", ())
            for one in policy["PolicyDocument"]["Statement"]
            for action in ([one["Action"]] if isinstance(one["Action"], str) else one["Action"])
        ]
        if "sagemaker:DeleteEndpoint" in actions:
            assert "application-autoscaling:DeregisterScalableTarget" in actions, role
