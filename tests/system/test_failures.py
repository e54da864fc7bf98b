"""Executions that fail: one notice each at a subscription of the alert topic, and a record that says so."""

import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import boto3
import pytest

from console.aws import Aws
from console.failed_messages import FailedMessage
from console.failed_requests import FailedRequests, Result
from deploy import system
from deploy.outputs import Deployed
from deploy.target import Target
from functions.shared.photo import Photo
from functions.shared.photo_record import REJECTED, UNROUTED, PhotoRecord
from functions.shared.photo_table import PhotoTable
from tests.support.upload_stage import wait_for_execution
from tests.support.waiting import eventually

NOT_A_PHOTO = b"Dear driver, this is not a photo."


def client(service: str) -> Any:
    return boto3.client(service)  # type: ignore[call-overload]


class Subscription:
    """An SQS queue that is subscribed to the alert topic."""

    def __init__(self, topic: str) -> None:
        self.url = client("sqs").create_queue(QueueName=f"notices-{uuid.uuid4().hex[:8]}")["QueueUrl"]
        names = ["QueueArn"]
        arn = client("sqs").get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]["QueueArn"]
        allow = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [{**allow, "Resource": arn}]})
        client("sqs").set_queue_attributes(QueueUrl=self.url, Attributes={"Policy": policy})
        client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
        self._received: dict[str, Mapping[str, Any]] = {}

    def notices(self, text: str) -> list[Mapping[str, Any]]:
        """Return the messages so far that contain `text`."""
        found = client("sqs").receive_message(QueueUrl=self.url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        for message in found.get("Messages", []):
            self._received[message["MessageId"]] = json.loads(message["Body"])
        return [body for body in self._received.values() if text in body["Message"]]

    def only_notice(self, text: str) -> Mapping[str, Any]:
        """Wait for a message that contains `text`, and check that no second one follows within two seconds."""
        eventually(lambda: self.notices(text), what=f"a notice with {text}", timeout_s=60)
        self.notices(text)
        (notice,) = self.notices(text)
        return notice


@pytest.fixture(scope="module", autouse=True)
def no_messages_left(deployed: Deployed) -> Iterator[None]:
    """Leave no message of these tests in the unrouted queue of the stage."""
    yield
    client("sqs").purge_queue(QueueUrl=deployed.unrouted_queue_url)


@pytest.fixture(scope="module")
def subscription(deployed: Deployed, target: Target) -> Subscription:
    return Subscription(system.outputs(target)["AlertTopicArn"])


def upload(deployed: Deployed, name: str, content: bytes = NOT_A_PHOTO) -> Photo:
    key = f"uploads/driver-17/{name}-{uuid.uuid4().hex[:8]}.jpg"
    etag = client("s3").put_object(Bucket=deployed.uploads_bucket, Key=key, Body=content)["ETag"]
    return Photo(deployed.uploads_bucket, key, etag.strip('"'), len(content))


def execution_of(deployed: Deployed, photo: Photo) -> str:
    """Wait for the first execution of classify-photo for a photo; returns its ARN."""

    def find() -> str | None:
        states = client("stepfunctions")
        found = states.list_executions(stateMachineArn=deployed.classify_photo_arn)["executions"]
        arns = [execution["executionArn"] for execution in found]
        inputs = {arn: states.describe_execution(executionArn=arn)["input"] for arn in arns}
        return next((arn for arn in arns if json.loads(inputs[arn])["photo"]["key"] == photo.key), None)

    arn: str = eventually(find, what="the execution", timeout_s=30)
    return arn


def record_of(deployed: Deployed, photo: Photo) -> PhotoRecord | None:
    return PhotoTable(deployed.photo_table, client("dynamodb")).get(photo.photo_id)


def queued(deployed: Deployed, photo: Photo) -> list[dict[str, Any]]:
    """Return the bodies in the unrouted queue that are about a photo; the messages stay visible."""
    found = client("sqs").receive_message(
        QueueUrl=deployed.unrouted_queue_url, MaxNumberOfMessages=10, VisibilityTimeout=0
    )
    bodies = [json.loads(message["Body"]) for message in found.get("Messages", [])]
    return [body for body in bodies if body.get("photo", {}).get("key") == photo.key]


@contextmanager
def without_table(function: str) -> Iterator[None]:
    """Let a function write to a table that does not exist."""
    name = f"scones-test-{function}"
    found = client("lambda").get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    broken = {"Variables": {**found, "PHOTO_TABLE": "no-such-table"}}
    client("lambda").update_function_configuration(FunctionName=name, Environment=broken)
    try:
        yield
    finally:
        client("lambda").update_function_configuration(FunctionName=name, Environment={"Variables": found})


@pytest.fixture(scope="module")
def unrouted(deployed: Deployed, subscription: Subscription) -> Photo:
    """A photo that is not routed, because its outcome could not be written."""
    with without_table("reject-photo"):
        photo = upload(deployed, "unrouted")
        assert wait_for_execution(execution_of(deployed, photo))["status"] == "FAILED"
    return photo


def test_a_photo_that_is_not_routed_is_reported_once(
    deployed: Deployed, subscription: Subscription, unrouted: Photo
) -> None:
    notice = subscription.only_notice(unrouted.photo_id)
    assert notice["Subject"] == f"test: {unrouted} is not routed, RejectPhoto failed"
    execution = execution_of(deployed, unrouted)
    for part in (
        f"Photo:     {unrouted.photo_id}",
        "Failed in: RejectPhoto",
        "Error:     RecordUnavailable",
        "DynamoDB did not read or write",
        f"Execution: {execution.rpartition(':')[2]}",
        "make redrive STAGE=test",
    ):
        assert part in notice["Message"], part
    assert "driver-17" not in notice["Message"]
    record = record_of(deployed, unrouted)
    assert record is not None
    assert (record.status, record.execution) == (UNROUTED, execution)
    assert record.error is not None
    assert (record.error["Error"], record.error["State"]) == ("RecordUnavailable", "RejectPhoto")
    assert len(queued(deployed, unrouted)) == 1


def test_a_replay_after_looking_gives_the_photo_its_outcome(
    deployed: Deployed, subscription: Subscription, unrouted: Photo
) -> None:
    subscription.only_notice(unrouted.photo_id)
    failed = FailedRequests(deployed, Aws())
    (message,) = [one for one in failed.list_both()[1] if one.photo == unrouted]
    (replayed,) = failed.replay(message.message_id)
    assert replayed.result is Result.REPLAYED
    record = eventually(lambda: record_of(deployed, unrouted), lambda found: found.announced, what="the outcome")
    assert (record.status, record.outcome["rejected"]["reason"]) == (REJECTED, "UnreadablePhoto")
    assert queued(deployed, unrouted) == []


def test_an_upload_that_eventbridge_did_not_deliver_is_replayed(deployed: Deployed) -> None:
    """Step Functions refuses the input of a broken template, so that the event becomes a dead letter."""
    rule = "scones-test-photo-uploaded"
    (target,) = client("events").list_targets_by_rule(Rule=rule)["Targets"]
    broken = {**target["InputTransformer"], "InputTemplate": "not JSON <key>"}
    client("events").put_targets(Rule=rule, Targets=[{**target, "InputTransformer": broken}])
    try:
        photo = upload(deployed, "undelivered")
        failed = FailedRequests(deployed, Aws())

        def find() -> FailedMessage | None:
            return next((one for one in failed.list_both()[1] if one.photo and one.photo.key == photo.key), None)

        message = eventually(find, what="the dead letter", timeout_s=20)
    finally:
        client("events").put_targets(Rule=rule, Targets=[target])
    assert message.title == "Upload that did not start an execution"
    (replayed,) = failed.replay(message.message_id)
    assert replayed.result is Result.REPLAYED, replayed
    record = eventually(lambda: record_of(deployed, photo), lambda found: found and found.announced, what="the outcome")
    assert record.status == REJECTED


def test_an_execution_that_is_stopped_is_reported_once_and_its_photo_is_queued(
    deployed: Deployed, subscription: Subscription
) -> None:
    with without_table("reject-photo"):
        photo = upload(deployed, "stopped")
        execution = execution_of(deployed, photo)
        client("stepfunctions").stop_execution(executionArn=execution, error="Stopped", cause="by the test")
    notice = subscription.only_notice(photo.photo_id)
    assert "Ended:     ABORTED" in notice["Message"]
    record = eventually(lambda: record_of(deployed, photo), what="the record")
    assert (record.status, record.execution) == (UNROUTED, execution)
    (body,) = queued(deployed, photo)
    assert body["execution"] == execution


@contextmanager
def time_limit_exceeded(machine: str) -> Iterator[None]:
    """Let executions of a workflow that start in the block wait until its time limit, which becomes a second."""
    states = client("stepfunctions")
    definition = states.describe_state_machine(stateMachineArn=machine)["definition"]
    changed = json.loads(definition)
    assert changed["TimeoutSeconds"] > 1
    changed["States"]["Pause"] = {"Type": "Wait", "Seconds": 60, "Next": changed["StartAt"]}
    changed |= {"TimeoutSeconds": 1, "StartAt": "Pause"}
    states.update_state_machine(stateMachineArn=machine, definition=json.dumps(changed))
    try:
        yield
    finally:
        states.update_state_machine(stateMachineArn=machine, definition=definition)


def test_a_photo_whose_execution_exceeds_its_time_limit_is_reported_once_and_queued(
    deployed: Deployed, subscription: Subscription
) -> None:
    with time_limit_exceeded(deployed.classify_photo_arn):
        photo = upload(deployed, "late")
        execution = execution_of(deployed, photo)
        assert wait_for_execution(execution)["status"] == "TIMED_OUT"
    notice = subscription.only_notice(photo.photo_id)
    for part in ("Ended:     TIMED_OUT", "Failed in: Pause", "Error:     States.Timeout", "make redrive STAGE=test"):
        assert part in notice["Message"], part
    record = eventually(lambda: record_of(deployed, photo), what="the record")
    assert (record.status, record.execution) == (UNROUTED, execution)
    (body,) = queued(deployed, photo)
    assert body["execution"] == execution


@pytest.mark.parametrize(
    ("workflow", "command"), [("retrain_model_arn", "make retrain"), ("rollback_model_arn", "make rollback")]
)
def test_a_retraining_or_a_rollback_that_exceeds_its_time_limit_is_reported_once(
    deployed: Deployed, subscription: Subscription, workflow: str, command: str
) -> None:
    machine = getattr(deployed, workflow)
    with time_limit_exceeded(machine):
        started = client("stepfunctions").start_execution(stateMachineArn=machine, input="{}")["executionArn"]
        assert wait_for_execution(started)["status"] == "TIMED_OUT"
    notice = subscription.only_notice(started.rpartition(":")[2])
    for part in ("Ended:     TIMED_OUT", "`make status` shows what the endpoint serves", f"{command} STAGE=test"):
        assert part in notice["Message"], part


def test_a_failed_retraining_is_reported_once(deployed: Deployed, subscription: Subscription) -> None:
    started = client("stepfunctions").start_execution(
        stateMachineArn=deployed.retrain_model_arn, input=json.dumps({"dataset": "not an address"})
    )["executionArn"]
    assert wait_for_execution(started)["status"] == "FAILED"
    notice = subscription.only_notice(started.rpartition(":")[2])
    assert notice["Subject"] == "test: a retraining failed"
    for part in ("Failed in: BuildDataset", "Error:     InvalidInput", "make retrain STAGE=test"):
        assert part in notice["Message"], part
