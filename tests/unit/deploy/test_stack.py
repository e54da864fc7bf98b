"""One stack on CloudFormation: parameters, change sets, and statuses that need a person."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import boto3
import pytest

from deploy.changes import ResourceChange
from deploy.errors import DeployError
from deploy.stack import Stack
from tests.support.account import empty_account
from tests.support.fake_cloudformation import FakeCloudFormation

NAME = "scones-test"


@pytest.fixture
def cloudformation() -> Iterator[FakeCloudFormation]:
    with empty_account() as started:
        boto3.client("s3").create_bucket(
            Bucket="scones-ml", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )
        yield started.cloudformation


@pytest.fixture
def stack(cloudformation: FakeCloudFormation) -> Stack:
    return Stack(NAME, lambda line: None)


def template(*names: str, parameters: dict[str, Any] | None = None, **outputs: str) -> dict[str, Any]:
    """Return a template with topics of these names, which is also their logical id."""
    return {
        "Parameters": parameters or {},
        "Resources": {name: {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": name}} for name in names},
        "Outputs": {name: {"Value": value} for name, value in outputs.items()},
    }


def test_a_short_template_is_sent_in_the_request(stack: Stack) -> None:
    assert stack._template_source("{}", "scones-ml") == {"TemplateBody": "{}"}
    assert "Contents" not in boto3.client("s3").list_objects_v2(Bucket="scones-ml")


def test_a_long_template_is_read_from_the_bucket(stack: Stack) -> None:
    body = json.dumps({"Description": "d" * 60_000})
    source = stack._template_source(body, "scones-ml")
    (uploaded,) = boto3.client("s3").list_objects_v2(Bucket="scones-ml")["Contents"]
    assert source == {"TemplateURL": f"https://s3.eu-west-1.amazonaws.com/scones-ml/{uploaded['Key']}"}
    assert boto3.client("s3").get_object(Bucket="scones-ml", Key=uploaded["Key"])["Body"].read().decode() == body


def test_a_long_template_without_a_bucket_is_an_error(stack: Stack) -> None:
    with pytest.raises(DeployError, match="more than 51200"):
        stack.deploy({"Description": "d" * 60_000}, {"Stage": "test"})


def test_a_parameter_that_is_not_given_keeps_its_value(stack: Stack) -> None:
    declared = {"Gate": {"Type": "String", "Default": "{}"}, "Kept": {"Type": "String", "Default": "1"}}
    stack.deploy(template("One", parameters=declared), {"Gate": "strict", "Kept": "2"})
    added = {**declared, "New": {"Type": "String", "Default": "new"}}
    stack.deploy(template("One", "Two", parameters=added), {"Kept": "3"})
    assert stack.parameters() == {"Gate": "strict", "Kept": "3", "New": "new"}
    stack.deploy(template("One", parameters={"Kept": declared["Kept"]}), {})
    assert stack.parameters() == {"Kept": "3"}, "a parameter that the new template lacks is not sent"


def test_the_changes_are_known_before_they_are_made(stack: Stack) -> None:
    seen: list[Sequence[ResourceChange]] = []
    stack.deploy(template("One", "Two"), {}, approve=lambda name, changes: seen.append(changes))
    changed = template("Two", *(f"Topic{number}" for number in range(12)))
    changed["Resources"]["Two"]["Properties"]["TopicName"] = "Another"
    stack.deploy(changed, {}, approve=lambda name, changes: seen.append(changes))
    assert [change.action for change in seen[0]] == ["add", "add"]
    assert [str(change) for change in seen[1][:2]] == [
        "DELETE       One (AWS::SNS::Topic)",
        "REPLACE      Two (AWS::SNS::Topic): TopicName",
    ]
    assert [change.action for change in seen[1][2:]] == ["add"] * 12, "DescribeChangeSet answers in pages"


def test_a_change_that_is_not_approved_leaves_nothing_behind(stack: Stack, cloudformation: FakeCloudFormation) -> None:
    def refuse(name: str, changes: Sequence[ResourceChange]) -> None:
        raise DeployError("No.")

    with pytest.raises(DeployError, match="No"):
        stack.deploy(template("One"), {}, approve=refuse)
    assert stack.status() is None
    stack.deploy(template("One"), {})
    with pytest.raises(DeployError, match="No"):
        stack.deploy(template("Two"), {}, approve=refuse)
    assert (stack.status(), cloudformation.change_sets) == ("CREATE_COMPLETE", {})
    assert set(stack.resources("AWS::SNS::Topic")) == {"One"}


def test_a_new_output_is_a_change(stack: Stack) -> None:
    """Its change set has no resource change."""
    stack.deploy(template("One"), {})
    assert stack.deploy(template("One", Answer="42"), {})
    assert stack.outputs() == {"Answer": "42"}
    assert not stack.deploy(template("One", Answer="42"), {})


def test_a_plan_changes_nothing(stack: Stack, cloudformation: FakeCloudFormation) -> None:
    assert [str(change) for change in stack.plan(template("One"), {}) or []] == ["add          One (AWS::SNS::Topic)"]
    assert stack.status() is None
    stack.deploy(template("One"), {})
    assert stack.plan(template("One"), {}) is None
    assert [change.action for change in stack.plan(template("Two"), {}) or []] == ["DELETE", "add"]
    assert (set(stack.resources("AWS::SNS::Topic")), cloudformation.change_sets) == ({"One"}, {})


def test_a_failed_creation_is_deleted_with_a_sentence_and_made_again(cloudformation: FakeCloudFormation) -> None:
    lines: list[str] = []
    stack = Stack(NAME, lines.append)
    cloudformation.failing = {"Two"}
    with pytest.raises(DeployError, match=r"ended as ROLLBACK_COMPLETE:\n  Two: Resource handler returned message: no"):
        stack.deploy(template("One", "Two"), {})
    assert stack.resources("AWS::SNS::Topic") == {}
    cloudformation.failing = set()
    stack.deploy(template("One", "Two"), {})
    assert f"{NAME}: its creation failed earlier (ROLLBACK_COMPLETE); deleting what is left of it" in lines
    assert stack.status() == "CREATE_COMPLETE"


def test_a_stack_that_is_half_deleted_is_not_deployed(stack: Stack, cloudformation: FakeCloudFormation) -> None:
    stack.deploy(template("One", "Two"), {})
    cloudformation.stuck = {"One"}
    with pytest.raises(DeployError, match=r"ended as DELETE_FAILED:\n  One: .*it is in use"):
        stack.delete()
    with pytest.raises(DeployError, match=r"somebody began to delete it.*Run `make destroy` to finish"):
        stack.deploy(template("One", "Two"), {})
    assert set(stack.resources("AWS::SNS::Topic")) == {"One"}
    cloudformation.stuck = set()
    assert stack.delete()
    assert stack.status() is None


@pytest.mark.parametrize("status", ["UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"])
def test_a_stack_that_another_command_changes_is_left_alone(
    stack: Stack, cloudformation: FakeCloudFormation, status: str
) -> None:
    stack.deploy(template("One"), {})
    cloudformation.set_status(NAME, status)
    for change in (lambda: stack.deploy(template("Two"), {}), stack.delete):
        with pytest.raises(DeployError, match=f"{status}: another command changes it"):
            change()


def test_a_rollback_that_failed_is_explained(stack: Stack, cloudformation: FakeCloudFormation) -> None:
    stack.deploy(template("One"), {})
    cloudformation.failing, cloudformation.rollback_fails = {"Two"}, True
    with pytest.raises(DeployError, match="ended as UPDATE_ROLLBACK_FAILED"):
        stack.deploy(template("One", "Two"), {})
    with pytest.raises(DeployError, match=f"continue-update-rollback --stack-name {NAME}"):
        stack.deploy(template("One", "Two"), {})
