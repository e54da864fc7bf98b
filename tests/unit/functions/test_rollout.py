"""How a challenger is put into service: the share of the traffic, the times, and the alarms that end it."""

from typing import Any

import boto3
import pytest

from functions.build_dataset.rollout import LONGEST_S, Rollout, usable_alarms
from workflows.endpoint_states import MAX_POLLS, POLL_S


def policy(rollout: Rollout) -> dict[str, Any]:
    return dict(rollout.as_deployment_config()["BlueGreenUpdatePolicy"])


def test_with_two_instances_a_canary_gets_its_share_first() -> None:
    config = Rollout(50, 120, 2, ["errors", "latency"]).as_deployment_config()
    assert config["AutoRollbackConfiguration"] == {"Alarms": [{"AlarmName": "errors"}, {"AlarmName": "latency"}]}
    assert config["BlueGreenUpdatePolicy"] == {
        "TrafficRoutingConfiguration": {
            "Type": "CANARY",
            "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 50},
            "WaitIntervalInSeconds": 120,
        },
        "TerminationWaitInSeconds": 120,
        "MaximumExecutionTimeoutInSeconds": LONGEST_S,
    }


def test_one_instance_gets_all_traffic_at_once_and_the_old_one_is_kept() -> None:
    found = policy(Rollout(50, 120, 1, ["errors"]))
    assert found["TrafficRoutingConfiguration"] == {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}
    assert found["TerminationWaitInSeconds"] == 120


def test_without_alarms_nothing_is_waited_for() -> None:
    config = Rollout(50, 120, 2).as_deployment_config()
    assert "AutoRollbackConfiguration" not in config
    assert policy(Rollout(50, 120, 2))["TerminationWaitInSeconds"] == 0


def test_sagemaker_gives_up_when_the_workflow_does() -> None:
    assert LONGEST_S == MAX_POLLS * POLL_S
    longest = Rollout(50, 600, 2, ["errors"]).as_deployment_config()["BlueGreenUpdatePolicy"]
    waited = longest["TrafficRoutingConfiguration"]["WaitIntervalInSeconds"] + longest["TerminationWaitInSeconds"]
    # "The timeout value should be larger than the total waiting time" (BlueGreenUpdatePolicy), and instances start.
    assert waited + 20 * 60 < LONGEST_S


def test_an_alarm_that_the_champion_has_set_off_does_not_end_the_deployment(account: dict[str, Any]) -> None:
    cloudwatch = boto3.client("cloudwatch")
    for name, state in (("errors", "OK"), ("latency", "ALARM"), ("new", "INSUFFICIENT_DATA")):
        cloudwatch.put_metric_alarm(
            AlarmName=name, Namespace="Test", MetricName="m", Statistic="Sum", Period=60, EvaluationPeriods=1,
            Threshold=0, ComparisonOperator="GreaterThanThreshold",
        )  # fmt: skip
        cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason="a test")
    assert usable_alarms(["errors", "latency", "new", "never-created"], cloudwatch) == ["errors", "new"]


@pytest.mark.parametrize("names", [["none"], []])
def test_no_alarm_is_looked_up_when_none_is_named(names: list[str]) -> None:
    assert usable_alarms(names, boto3.client("cloudwatch", region_name="eu-west-1")) == []
