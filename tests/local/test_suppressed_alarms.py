"""Composite alarms whose actions another alarm suppresses."""

import json
from typing import Any

from tests.local.aws import Aws
from tests.support.waiting import eventually


def deploy(aws: Aws, suffix: str, wait_s: int, extension_s: int) -> tuple[str, str]:
    """Create an alarm, its suppressor and the composite alarm; return the stem of their names, and a queue's URL."""
    sqs, name = aws.client("sqs"), f"suppression-{suffix}"
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topic = aws.client("sns").create_topic(Name=name)["TopicArn"]
    aws.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue)
    cloudwatch = aws.client("cloudwatch")
    for part in ("child", "maintenance"):
        cloudwatch.put_metric_alarm(
            AlarmName=f"{name}-{part}", Namespace="Tests", MetricName=name, Statistic="Sum", Period=60, Threshold=0,
            EvaluationPeriods=1, ComparisonOperator="GreaterThanThreshold", TreatMissingData="ignore",
        )  # fmt: skip
        set_state(aws, f"{name}-{part}", "OK")
    arn = cloudwatch.describe_alarms(AlarmNames=[f"{name}-maintenance"])["MetricAlarms"][0]["AlarmArn"]
    cloudwatch.put_composite_alarm(
        AlarmName=name,
        AlarmRule=f'ALARM("{name}-child")',
        AlarmActions=[topic],
        OKActions=[topic],
        ActionsSuppressor=arn,
        ActionsSuppressorWaitPeriod=wait_s,
        ActionsSuppressorExtensionPeriod=extension_s,
    )
    eventually(lambda: states_in(aws, url), what="the first notice")
    return name, url


def set_state(aws: Aws, alarm: str, state: str) -> None:
    aws.client("cloudwatch").set_alarm_state(AlarmName=alarm, StateValue=state, StateReason="set by a test")


def states_in(aws: Aws, url: str) -> list[str]:
    """The states in the notices in a queue, which are removed from it."""
    sqs = aws.client("sqs")
    messages: list[Any] = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    for message in messages:
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return [json.loads(json.loads(message["Body"])["Message"])["NewStateValue"] for message in messages]


def test_an_alarm_notifies_after_its_wait_without_a_suppressor_in_alarm(aws: Aws) -> None:
    name, url = deploy(aws, "wait", wait_s=1, extension_s=1)
    set_state(aws, f"{name}-child", "ALARM")
    assert eventually(lambda: states_in(aws, url), what="a notice", timeout_s=30) == ["ALARM"]


def test_a_suppressed_alarm_notifies_when_the_suppression_is_over(aws: Aws) -> None:
    name, url = deploy(aws, "held", wait_s=1, extension_s=1)
    set_state(aws, f"{name}-maintenance", "ALARM")
    set_state(aws, f"{name}-child", "ALARM")
    assert states_in(aws, url) == []
    set_state(aws, f"{name}-maintenance", "OK")
    assert eventually(lambda: states_in(aws, url), what="a notice", timeout_s=30) == ["ALARM"]


def test_an_alarm_that_is_over_before_the_suppression_is_notifies_nobody(aws: Aws) -> None:
    name, url = deploy(aws, "over", wait_s=1, extension_s=1)
    set_state(aws, f"{name}-maintenance", "ALARM")
    set_state(aws, f"{name}-child", "ALARM")
    set_state(aws, f"{name}-child", "OK")
    set_state(aws, f"{name}-maintenance", "OK")
    set_state(aws, f"{name}-child", "ALARM")
    assert eventually(lambda: states_in(aws, url), what="a notice", timeout_s=30) == ["ALARM"]
