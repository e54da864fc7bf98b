"""What is shown while a new model is put into service."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from operate import rollout
from operate.rollout import RolloutDisplay

NOW = datetime.now(UTC)
ROLLOUT = {
    "BlueGreenUpdatePolicy": {
        "TrafficRoutingConfiguration": {
            "Type": "CANARY",
            "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 50},
            "WaitIntervalInSeconds": 120,
        },
        "TerminationWaitInSeconds": 600,
    },
    "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}]},
}
PREPARED = {"rollout": ROLLOUT, "bake_s": 300}


class FakeSageMaker:
    """An endpoint whose description a test sets."""

    def __init__(self) -> None:
        self.described: dict[str, Any] = {"EndpointStatus": "InService", "EndpointConfigName": "champion"}

    def describe_endpoint(self, EndpointName: str) -> dict[str, Any]:  # the API's name
        return self.described

    def bake_since(self, began: datetime) -> None:
        status = [{"Status": "Baking", "StartTime": began}]
        variants = [{"VariantName": "AllTraffic", "VariantStatus": status}]
        self.described["PendingDeploymentSummary"] = {"ProductionVariants": variants}


class FakeCloudWatch:
    """Alarms, of which those in `in_alarm` are in ALARM."""

    def __init__(self) -> None:
        self.in_alarm: list[str] = []

    def describe_alarms(self, **request: Any) -> dict[str, Any]:
        assert (request["AlarmNames"], request["StateValue"]) == (["errors"], "ALARM")
        return {"MetricAlarms": [{"AlarmName": name} for name in self.in_alarm], "CompositeAlarms": []}


@pytest.fixture
def sagemaker(monkeypatch: pytest.MonkeyPatch) -> FakeSageMaker:
    monkeypatch.setattr(rollout, "POLL_S", 0)
    return FakeSageMaker()


def display(sagemaker: FakeSageMaker, cloudwatch: FakeCloudWatch | None = None) -> RolloutDisplay:
    return RolloutDisplay("endpoint", sagemaker, cloudwatch or FakeCloudWatch())  # type: ignore[arg-type]  # fakes


def entered(state: str, at: datetime = NOW) -> Any:
    details = {"name": state, "input": json.dumps({"prepared": PREPARED})}
    return {"type": "TaskStateEntered", "id": 1, "timestamp": at, "stateEnteredEventDetails": details}


def test_a_rollout_is_shown_with_its_alarms_shares_and_the_time_left(sagemaker: FakeSageMaker) -> None:
    shown = display(sagemaker)
    shown.see(entered("UpdateEndpoint"))
    assert shown.poll() == ["the endpoint is updated; alarms that stop it: errors"]
    assert (shown.poll(), shown.note()) == ([], "")
    sagemaker.bake_since(NOW)
    (line,) = shown.poll()
    assert line.startswith("canary: the new model has 50% of the traffic, ")
    assert shown.poll() == []
    assert shown.note().startswith("canary: ")
    sagemaker.bake_since(NOW + timedelta(seconds=1))
    (line,) = shown.poll()
    assert line.startswith("old instances are kept: the new model has 100% of the traffic, ")
    shown.see(entered("ProbeEndpoint"))
    assert (shown.poll(), shown.note()) == ([], "")
    shown.see(entered("Bake"))
    (line,) = shown.poll()
    assert line.startswith("bake: the new model has 100% of the traffic, ")
    shown.see(entered("ProbeAgain"))
    assert shown.poll() == ["the bake has ended; the alarms since its beginning decide now"]


def test_an_alarm_and_what_sagemaker_did_about_it_are_shown(sagemaker: FakeSageMaker) -> None:
    cloudwatch = FakeCloudWatch()
    shown = display(sagemaker, cloudwatch)
    shown.see(entered("UpdateEndpoint"))
    sagemaker.bake_since(NOW)
    shown.poll()
    cloudwatch.in_alarm = ["errors"]
    assert shown.poll() == ["in ALARM: errors"]
    assert shown.poll() == []
    sagemaker.described = {**sagemaker.described, "FailureReason": "Deployment rolled back."}
    shown.see(entered("ReportEndpointNotInService"))
    assert shown.poll() == [
        "the new model is not in service: Deployment rolled back. (the endpoint is InService with champion)"
    ]


def test_a_bake_that_is_over_has_no_time_left(sagemaker: FakeSageMaker) -> None:
    shown = display(sagemaker)
    shown.see(entered("Bake", NOW - timedelta(hours=1)))
    assert shown.poll() == ["bake: the new model has 100% of the traffic, 0 s left"]


def test_an_endpoint_that_was_not_created_is_named(sagemaker: FakeSageMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: str) -> None:
        error = {"Code": "ValidationException", "Message": 'Could not find endpoint "endpoint".'}
        raise ClientError({"Error": error}, "DescribeEndpoint")

    monkeypatch.setattr(sagemaker, "describe_endpoint", refuse)
    shown = display(sagemaker)
    shown.see(entered("UpdateEndpoint"))
    assert shown.poll() == ["the endpoint is updated; alarms that stop it: errors"]
    shown.see(entered("ReportEndpointNotInService"))
    assert shown.poll() == ["the new model is not in service: there is no endpoint"]
