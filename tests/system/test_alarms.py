"""Every alarm goes off and returns to OK by its own metric; a page arrives, and not during a deployment."""

import json
import time
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import boto3
import pytest

from deploy import removal, system
from deploy.outputs import Deployed
from deploy.target import Target
from deploy.templates import load_template
from tests.support.waiting import eventually

STAGE = "alarms"
PREFIX = f"scones-{STAGE}-"
# Data points of these tests stay this long in the period of an alarm.
SEEN_S = 12.0
LEVELS = ("page", "inform")


def client(service: str) -> Any:
    return boto3.client(service)


@pytest.fixture(scope="module")
def stage(embedded_aws: object) -> Iterator[Deployed]:
    """A stage of its own, whose alarms start no rollback and were not silenced by its deployment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROLLBACK_ALARMS", "none")
        # Nobody uploads to this stage.
        patch.setenv("OPENING_HOURS", "none")
        patch.setattr(system, "silenced", lambda stage, progress: nullcontext())
        target = Target("local", STAGE)
        yield Deployed.of(system.deploy(target, progress=lambda line: None))
        removal.destroy(target, with_data=True, progress=lambda line: None)


def alarms() -> dict[str, dict[str, Any]]:
    """The metric alarms of the stage by the last part of their name, without the one of a deployment."""
    pages = client("cloudwatch").get_paginator("describe_alarms").paginate(AlarmNamePrefix=PREFIX)
    found = [alarm for page in pages for alarm in page["MetricAlarms"]]
    return {name: alarm for alarm in found if (name := alarm["AlarmName"].removeprefix(PREFIX)) != "maintenance"}


def states_since_creation(name: str) -> list[str]:
    """The states that an alarm has entered, oldest first."""
    history = client("cloudwatch").describe_alarm_history(AlarmName=PREFIX + name, HistoryItemType="StateUpdate")
    items = sorted(history["AlarmHistoryItems"], key=lambda item: item["Timestamp"])
    return [json.loads(item["HistoryData"])["newState"]["stateValue"] for item in items]


def publish(alarm: dict[str, Any], values: list[float]) -> None:
    """Publish a value in each evaluation period of an alarm, newest first, that leaves it after SEEN_S seconds."""
    now = time.time()
    for index, value in enumerate(values):
        at = now - alarm["Period"] * (index + 1) + SEEN_S
        datum = {"MetricName": alarm["MetricName"], "Dimensions": alarm["Dimensions"], "Value": value, "Timestamp": at}
        client("cloudwatch").put_metric_data(Namespace=alarm["Namespace"], MetricData=[datum])


def breaching(alarm: dict[str, Any]) -> float:
    over = alarm["ComparisonOperator"].startswith("Greater")
    return float(alarm["Threshold"]) + (1.0 if over else -1.0)


def test_every_alarm_goes_off_and_returns_by_its_own_metric(stage: Deployed) -> None:
    found = alarms()
    template = load_template("app")["Resources"].values()
    assert len(found) == sum(resource["Type"] == "AWS::CloudWatch::Alarm" for resource in template) - 1
    # These go off without data, and return when what they watch has run.
    unseen = {name: found.pop(name) for name in ("watch-not-running", "drift-watch-missing")}
    assert {alarm["TreatMissingData"] for alarm in unseen.values()} == {"breaching"}
    publish(unseen["drift-watch-missing"], [0.0])
    for name, alarm in found.items():
        publish(alarm, [breaching(alarm)] * alarm["EvaluationPeriods"])
        eventually(lambda name=name: "ALARM" in states_since_creation(name), what=f"{name} in ALARM", timeout_s=60)
    for alarm in found.values():
        if alarm["TreatMissingData"] == "ignore":  # only a run that finds nothing ends it
            publish(alarm, [0.0])

    def not_returned() -> list[str]:
        return [
            name
            for name in (*found, *unseen)
            if (states := states_since_creation(name))[-1] != "OK" or "ALARM" not in states
        ]

    eventually(not_returned, lambda names: not names, what="every alarm OK", timeout_s=180)


def test_a_page_arrives_and_is_kept_back_during_a_deployment(stage: Deployed) -> None:
    outputs = system.outputs(Target("local", STAGE))
    notices = {name: subscribe(outputs[name]) for name in ("AlertTopicArn", "NoticeTopicArn")}
    eventually(in_alarm, lambda names: not names, what="no alarm", timeout_s=180)
    maintenance = client("cloudwatch").describe_alarms(AlarmNames=[f"{PREFIX}maintenance"])["MetricAlarms"][0]
    publish(maintenance, [0.0, 1.0])
    eventually(lambda: state_of("maintenance"), lambda state: state == "ALARM", what="a deployment")
    client("sqs").send_message(QueueUrl=stage.unrouted_queue_url, MessageBody="{}")
    eventually(lambda: state_of("page"), lambda state: state == "ALARM", what="the page alarm")
    during = [received(url) for url in notices.values()]
    assert state_of("maintenance") == "ALARM", "the check took longer than the deployment"
    assert during == [[], []]

    (page,) = eventually(lambda: received(notices["AlertTopicArn"]), what="the page", timeout_s=120)
    assert (page["AlarmName"], page["NewStateValue"]) == (f"{PREFIX}page", "ALARM")
    client("sqs").purge_queue(QueueUrl=stage.unrouted_queue_url)
    (ended,) = eventually(lambda: received(notices["AlertTopicArn"]), what="the end of the page", timeout_s=180)
    assert (ended["AlarmName"], ended["NewStateValue"]) == (f"{PREFIX}page", "OK")


def in_alarm() -> list[str]:
    """The alarms that are in ALARM, those of several included."""
    return [*(name for name, alarm in alarms().items() if alarm["StateValue"] == "ALARM"), *composites_in_alarm()]


def composites_in_alarm() -> list[str]:
    return [level for level in LEVELS if state_of(level) == "ALARM"]


def state_of(name: str) -> str:
    found = client("cloudwatch").describe_alarms(
        AlarmNames=[PREFIX + name], AlarmTypes=["MetricAlarm", "CompositeAlarm"]
    )
    return str([*found["MetricAlarms"], *found["CompositeAlarms"]][0]["StateValue"])


def subscribe(topic: str) -> str:
    """Subscribe a new queue to a topic; return its URL."""
    sqs = client("sqs")
    url: str = sqs.create_queue(QueueName=f"{STAGE}-{topic.rpartition('-')[2]}-{time.time_ns()}")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    statement = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage"}
    policy = {"Version": "2012-10-17", "Statement": [{**statement, "Resource": arn}]}
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
    client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    return url


def received(url: str) -> list[dict[str, Any]]:
    """The notices in a queue, which are removed from it."""
    sqs = client("sqs")
    messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    for message in messages:
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return [json.loads(json.loads(message["Body"])["Message"]) for message in messages]
