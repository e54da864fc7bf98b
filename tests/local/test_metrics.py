"""Alarms: evaluation of custom metrics and metrics of AWS services, and events of state changes."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from local import alarms
from tests.local.aws import Aws
from tests.local.definitions import machine
from tests.support.waiting import eventually

ALARM = {
    "Threshold": 0.0,
    "ComparisonOperator": "GreaterThanThreshold",
    "EvaluationPeriods": 3,
    "StateValue": "OK",
}


@pytest.mark.parametrize(
    ("found", "missing", "needed", "expected"),
    [
        ([1.0, 1.0, 1.0], "missing", None, "ALARM"),
        ([1.0, 0.0, 1.0], "missing", None, "OK"),
        ([1.0, 0.0, 1.0], "missing", 2, "ALARM"),
        ([1.0, None, None], "missing", None, "ALARM"),
        ([1.0, None, None], "notBreaching", None, "OK"),
        ([1.0, None, None], "breaching", None, "ALARM"),
        ([None, None, None], "missing", None, "INSUFFICIENT_DATA"),
        ([None, None, None], "notBreaching", None, "OK"),
        ([None, None, None], "breaching", None, "ALARM"),
        ([None, None, None], "ignore", None, None),
    ],
)
def test_the_state_follows_periods_and_missing_data(
    found: list[float | None], missing: str, needed: int | None, expected: str | None
) -> None:
    outcome = alarms.next_state({**ALARM, "TreatMissingData": missing, "DatapointsToAlarm": needed}, found)
    assert (outcome and outcome[0]) == expected


def put_alarm(aws: Aws, name: str, **metric: Any) -> None:
    aws.client("cloudwatch").put_metric_alarm(
        AlarmName=name,
        Period=60,
        EvaluationPeriods=1,
        Threshold=0,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="notBreaching",
        **metric,
    )


def alarm_state(aws: Aws, name: str) -> str:
    described = aws.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
    return str(described[0]["StateValue"])


def test_a_failed_execution_and_a_waiting_message_raise_alarms(aws: Aws) -> None:
    ended = aws.run_to_end(machine({"Type": "Fail", "Error": "Own"}))
    dimension = [{"Name": "StateMachineArn", "Value": ended["stateMachineArn"]}]
    states = {"Namespace": "AWS/States", "MetricName": "ExecutionsFailed", "Statistic": "Sum"}
    put_alarm(aws, "failed", **states, Dimensions=dimension)
    assert eventually(lambda: alarm_state(aws, "failed"), lambda found: found == "ALARM")

    sqs = aws.client("sqs")
    url = sqs.create_queue(QueueName="watched")["QueueUrl"]
    sqs.create_queue(QueueName="empty")
    sqs.send_message(QueueUrl=url, MessageBody="unrouted")
    names = {}
    for queue in ("watched", "empty"):
        for metric in ("ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage"):
            names[queue, metric] = f"{queue}-{metric}"
            dimension = [{"Name": "QueueName", "Value": queue}]
            waiting = {"Namespace": "AWS/SQS", "MetricName": metric, "Statistic": "Maximum", "Dimensions": dimension}
            put_alarm(aws, names[queue, metric], **waiting)
    for (queue, _metric), name in names.items():
        expected = "ALARM" if queue == "watched" else "OK"
        assert eventually(lambda name=name: alarm_state(aws, name), lambda found, expected=expected: found == expected)


def test_a_change_of_state_is_an_event(aws: Aws) -> None:
    url = aws.client("sqs").create_queue(QueueName=f"alarms-{time.time_ns()}")["QueueUrl"]
    address = aws.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"][
        "QueueArn"
    ]
    events = aws.client("events")
    pattern = {"source": ["aws.cloudwatch"], "detail": {"alarmName": ["drift"], "state": {"value": ["ALARM"]}}}
    events.put_rule(Name="drift", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="drift", Targets=[{"Id": "queue", "Arn": address}])
    put_alarm(aws, "drift", Namespace="Tests", MetricName="Drift", Statistic="Sum")
    aws.client("cloudwatch").set_alarm_state(AlarmName="drift", StateValue="ALARM", StateReason="tried")
    message = eventually(lambda: aws.client("sqs").receive_message(QueueUrl=url).get("Messages"))[0]
    event = json.loads(message["Body"])
    assert event["detail-type"] == "CloudWatch Alarm State Change"
    assert event["detail"]["state"]["reason"] == "tried"
    assert event["detail"]["configuration"]["metrics"][0]["metricStat"]["metric"]["name"] == "Drift"
    assert alarm_state(aws, "drift") == "ALARM"
