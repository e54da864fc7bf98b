"""Deployments of an endpoint: canary and linear traffic shifting, baking, and the rollback by an alarm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from local.sagemaker import resource_arns
from local.sagemaker.deployments import read_deployment
from tests.local.aws import Aws, call_refused
from tests.local.fake_application import FakeApplication, unique_name
from tests.support.waiting import eventually

# Longer than any test waits for what happens in this time.
LONG_S = 120


@pytest.fixture(scope="module")
def application(aws: Aws) -> FakeApplication:
    return FakeApplication(aws)


@pytest.fixture
def alarm(aws: Aws) -> Iterator[str]:
    """The name of an alarm without data, in the state OK."""
    name, cloudwatch = unique_name("alarm"), aws.client("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName=name, Namespace="Test", MetricName="Errors", Statistic="Sum", Period=60, EvaluationPeriods=1,
        Threshold=0, ComparisonOperator="GreaterThanThreshold", TreatMissingData="ignore",
    )  # fmt: skip
    set_state(aws, name, "OK")
    yield name
    cloudwatch.delete_alarms(AlarmNames=[name])


def set_state(aws: Aws, alarm: str, state: str) -> None:
    aws.client("cloudwatch").set_alarm_state(AlarmName=alarm, StateValue=state, StateReason="a test")


def routing(kind: str, wait_s: int = 0, **more: Any) -> dict[str, Any]:
    """A DeploymentConfig; `more` are fields of its policy, apart from the size of a step."""
    sizes = {name: more.pop(name) for name in ("CanarySize", "LinearStepSize") if name in more}
    return {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": {"Type": kind, "WaitIntervalInSeconds": wait_s, **sizes},
            **more,
        }
    }


def percent(value: int) -> dict[str, Any]:
    return {"Type": "CAPACITY_PERCENT", "Value": value}


def rollback(*alarms: str) -> dict[str, Any]:
    return {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name} for name in alarms]}}


class Update:
    """An update of an endpoint that serves the word `old` with two instances to one that serves `new`."""

    def __init__(self, application: FakeApplication, deployment: dict[str, Any]) -> None:
        self.application = application
        self.endpoint = unique_name("endpoint")
        self.config = application.create_endpoint_config(application.create_model("old"), 2)
        application.sagemaker.create_endpoint(EndpointName=self.endpoint, EndpointConfigName=self.config)
        assert application.wait_for_endpoint(self.endpoint)["EndpointStatus"] == "InService"
        self.new_config = application.create_endpoint_config(application.create_model("new"), 2)
        application.sagemaker.update_endpoint(
            EndpointName=self.endpoint, EndpointConfigName=self.new_config, DeploymentConfig=deployment
        )

    def stages(self) -> list[str]:
        """The status of the pending variants; empty when no deployment runs."""
        found = self.application.sagemaker.describe_endpoint(EndpointName=self.endpoint)
        pending = found.get("PendingDeploymentSummary", {}).get("ProductionVariants", ())
        return [status["Status"] for variant in pending for status in variant["VariantStatus"]]

    def wait_for_baking(self) -> None:
        eventually(self.stages, lambda stages: stages == ["Baking"], what="the baking period", timeout_s=60)

    def answers(self, count: int) -> Counter[str]:
        """The words of this many answers."""
        return Counter(self.application.invoke(self.endpoint, "x").split()[0] for _ in range(count))

    def ended(self) -> tuple[str, str, str]:
        """Wait for the end; returns status, configuration and failure reason."""
        found = self.application.wait_for_endpoint(self.endpoint)
        return found["EndpointStatus"], found["EndpointConfigName"], found.get("FailureReason", "")


@contextmanager
def updating(application: FakeApplication, deployment: dict[str, Any]) -> Iterator[Update]:
    update = Update(application, deployment)
    yield update
    application.wait_for_endpoint(update.endpoint)
    application.sagemaker.delete_endpoint(EndpointName=update.endpoint)


def test_a_canary_gets_its_share_of_the_traffic_and_then_all_of_it(application: FakeApplication, alarm: str) -> None:
    deployment = routing("CANARY", 8, CanarySize=percent(50)) | rollback(alarm)
    with updating(application, deployment) as update:
        update.wait_for_baking()
        shares = update.answers(200)
        # In 200 requests, a share of 50% is between these limits except once in ten million times.
        assert 60 < shares["new"] < 140
        assert update.ended()[:2] == ("InService", update.new_config)
        assert update.answers(20) == {"new": 20}
        described = application.sagemaker.describe_endpoint(EndpointName=update.endpoint)
        assert described["LastDeploymentConfig"] == deployment


@pytest.mark.parametrize(
    "deployment",
    [
        routing("CANARY", LONG_S, CanarySize=percent(50)),
        routing("LINEAR", LONG_S, LinearStepSize=percent(50)),
        routing("ALL_AT_ONCE", TerminationWaitInSeconds=LONG_S),
    ],
)
def test_an_alarm_during_the_baking_period_returns_all_traffic_to_the_old_fleet(
    application: FakeApplication, alarm: str, deployment: dict[str, Any]
) -> None:
    with updating(application, deployment | rollback(alarm)) as update:
        update.wait_for_baking()
        assert update.answers(20)["new"]
        set_state(application.aws, alarm, "ALARM")
        status, config, reason = update.ended()
        assert (status, config) == ("InService", update.config)
        assert alarm in reason
        assert update.answers(20) == {"old": 20}


def test_an_alarm_that_went_off_before_ends_a_deployment_without_traffic(
    application: FakeApplication, alarm: str
) -> None:
    set_state(application.aws, alarm, "ALARM")
    with updating(application, rollback(alarm)) as update:
        assert update.ended()[:2] == ("InService", update.config)
        assert update.answers(20) == {"old": 20}


def test_traffic_shifts_in_linear_steps() -> None:
    deployment = read_deployment(routing("LINEAR", 5, LinearStepSize=percent(30), TerminationWaitInSeconds=7), {"a": 4})
    assert [(round(step.share, 2), step.wait_s) for step in deployment.steps] == [(0.3, 5), (0.6, 5), (0.9, 5), (1, 7)]


@pytest.mark.parametrize(
    ("instances", "deployment", "message"),
    [
        (1, routing("CANARY", CanarySize=percent(50)), "at least one instance"),
        (4, routing("CANARY", CanarySize=percent(51)), "at most 50%"),
        (4, routing("CANARY", CanarySize={"Type": "INSTANCE_COUNT", "Value": 3}), "at most 50%"),
        (20, routing("LINEAR", LinearStepSize=percent(5)), "10%"),
        (2, routing("CANARY"), "CanarySize is required"),
        (2, rollback("no-such-alarm"), "no-such-alarm do not exist"),
        (
            2,
            routing("ALL_AT_ONCE", TerminationWaitInSeconds=600, MaximumExecutionTimeoutInSeconds=600),
            "larger than the total waiting time",
        ),
    ],
)
def test_a_deployment_that_aws_refuses_is_refused(
    application: FakeApplication, instances: int, deployment: dict[str, Any], message: str
) -> None:
    config = application.create_endpoint_config(application.create_model("old"), instances)
    endpoint = unique_name("endpoint")
    application.sagemaker.create_endpoint(EndpointName=endpoint, EndpointConfigName=config)
    assert application.wait_for_endpoint(endpoint)["EndpointStatus"] == "InService"
    request = {"EndpointName": endpoint, "EndpointConfigName": config, "DeploymentConfig": deployment}
    code, text = call_refused(application.sagemaker.update_endpoint, **request)
    assert code == "ValidationException"
    assert message in text
    assert application.sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointStatus"] == "InService"
    application.sagemaker.delete_endpoint(EndpointName=endpoint)


def test_the_caller_needs_the_permission_to_describe_the_alarms() -> None:
    request = {"EndpointName": "a", "EndpointConfigName": "b", "DeploymentConfig": rollback("errors")}
    needed = list(resource_arns.permissions("UpdateEndpoint", request, "eu-west-1", "1"))
    assert ("cloudwatch:DescribeAlarms", "arn:aws:cloudwatch:eu-west-1:1:alarm:*", {}) in needed
