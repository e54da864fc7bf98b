"""Alarms go off on what Step Functions and SQS publish by themselves."""

from __future__ import annotations

from typing import Any

from tests.local.conftest import Aws, eventually
from tests.local.test_states import machine


def alarm(aws: Aws, name: str, **metric: Any) -> str:
    """The alarm's state once it is ALARM."""
    client = aws.client("cloudwatch")
    client.put_metric_alarm(
        AlarmName=name,
        Period=60,
        EvaluationPeriods=1,
        Threshold=0,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="notBreaching",
        **metric,
    )
    return str(
        eventually(
            lambda: client.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]["StateValue"], lambda it: it == "ALARM"
        )
    )


def test_a_failed_execution_and_a_waiting_message_raise_alarms(aws: Aws) -> None:
    ended = aws.execute(machine({"Type": "Fail", "Error": "Own"}))
    dimension = [{"Name": "StateMachineArn", "Value": ended["stateMachineArn"]}]
    states = {"Namespace": "AWS/States", "MetricName": "ExecutionsFailed", "Statistic": "Sum", "Dimensions": dimension}
    assert alarm(aws, "failed", **states)

    url = aws.client("sqs").create_queue(QueueName="watched")["QueueUrl"]
    aws.client("sqs").send_message(QueueUrl=url, MessageBody="unrouted")
    dimension = [{"Name": "QueueName", "Value": "watched"}]
    for name in ("ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage"):
        queue = {"Namespace": "AWS/SQS", "MetricName": name, "Statistic": "Maximum", "Dimensions": dimension}
        assert alarm(aws, name, **queue)
