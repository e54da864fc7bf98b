"""A bus with rules and a rule with targets are not deleted, as on AWS."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError

from tests.local.aws import Aws
from tests.support.waiting import eventually

PATTERN = json.dumps({"source": ["orders"]})


def test_a_bus_is_deleted_after_its_rules_and_a_rule_after_its_targets(aws: Aws) -> None:
    events = aws.client("events")
    events.create_event_bus(Name="orders")
    rule = {"Name": "all", "EventBusName": "orders"}
    events.put_rule(**rule, EventPattern=PATTERN)
    target = {"Id": "queue", "Arn": "arn:aws:sqs:eu-west-1:000000000000:orders"}
    events.put_targets(Rule="all", EventBusName="orders", Targets=[target])
    with pytest.raises(ClientError, match=r"\(ValidationException\).*EventBus can't be deleted since it has rules"):
        events.delete_event_bus(Name="orders")
    with pytest.raises(ClientError, match=r"\(ValidationException\).*Rule can't be deleted since it has targets"):
        events.delete_rule(**rule)
    events.remove_targets(Rule="all", EventBusName="orders", Ids=["queue"])
    events.delete_rule(**rule)
    events.delete_event_bus(Name="orders")
    assert events.list_event_buses(NamePrefix="orders")["EventBuses"] == []


def test_the_deletion_of_a_stack_fails_while_others_have_rules_on_its_bus(aws: Aws) -> None:
    formation, events = aws.client("cloudformation"), aws.client("events")
    bus = {"Type": "AWS::Events::EventBus", "Properties": {"Name": "stack-bus"}}
    own = {"EventBusName": {"Ref": "Bus"}, "Name": "own", "EventPattern": json.loads(PATTERN)}
    resources = {"Bus": bus, "Rule": {"Type": "AWS::Events::Rule", "Properties": own}}

    def status(ending: str) -> str:
        found = eventually(
            lambda: formation.describe_stacks(StackName="with-bus")["Stacks"][0]["StackStatus"],
            lambda status: status.endswith(ending),
        )
        return str(found)

    formation.create_stack(StackName="with-bus", TemplateBody=json.dumps({"Resources": resources}))
    assert status("_COMPLETE") == "CREATE_COMPLETE"
    events.put_rule(Name="foreign", EventBusName="stack-bus", EventPattern=PATTERN)
    formation.delete_stack(StackName="with-bus")
    assert status("_FAILED") == "DELETE_FAILED"
    events.delete_rule(Name="foreign", EventBusName="stack-bus")
    formation.delete_stack(StackName="with-bus")
    eventually(lambda: events.list_event_buses(NamePrefix="stack-bus")["EventBuses"], lambda found: found == [])
