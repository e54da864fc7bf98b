"""A stage in moto with its queues, workflows and photo table, and failed requests of each kind."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import boto3
import pytest
from moto import mock_aws

import events
from deploy.outputs import Deployed
from functions.shared.photo import Photo
from functions.shared.photo_record import ROUTED
from functions.shared.photo_table import PhotoTable
from functions.shared.times import now
from tests.support.photo_table import create_photo_table

REGION = "eu-west-1"
ACCOUNT = "123456789012"
EXECUTION = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:scones-test-classify-photo:first"
BUCKET = "uploads"
TOKEN = "a-task-token-of-the-tests"  # noqa: S105  # made up
NOTIFY_FAILURE = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:scones-test-notify-failure"


@cache
def client(service: str) -> Any:
    """Return a client of moto."""
    return boto3.client(service, region_name=REGION)  # type: ignore[call-overload]


@contextmanager
def failed_stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployed]:
    """Yield the outputs of a stage with empty queues."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with mock_aws():
        client("s3").create_bucket(Bucket="scones-ml", CreateBucketConfiguration={"LocationConstraint": REGION})
        create_photo_table(client("dynamodb"), "photos")
        definition = json.dumps({"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}})
        machines = {
            name: client("stepfunctions").create_state_machine(
                name=f"scones-test-{name}", definition=definition, roleArn=f"arn:aws:iam::{ACCOUNT}:role/any"
            )["stateMachineArn"]
            for name in ("classify-photo", "retrain-model", "rollback-model", "classify-batch")
        }
        queues = {
            name: client("sqs").create_queue(QueueName=name)["QueueUrl"]
            for name in ("review", "dead", "audit", "unrouted")
        }
        outputs = {
            "UploadsBucket": BUCKET,
            "MlBucket": "scones-ml",
            "ArtifactsBucket": "scones-artifacts",
            "PhotoTable": "photos",
            "ModelTable": "models",
            "UploadCountTable": "uploads-per-minute",
            "ReviewQueueUrl": queues["review"],
            "ReviewDeadLetterQueueUrl": queues["dead"],
            "AuditQueueUrl": queues["audit"],
            "UnroutedQueueUrl": queues["unrouted"],
            "EventBus": "scones-test",
            "ClassifyPhotoArn": machines["classify-photo"],
            "RetrainModelArn": machines["retrain-model"],
            "RollbackModelArn": machines["rollback-model"],
            "ClassifyBatchArn": machines["classify-batch"],
            "BatchResultTable": "batch-results",
            "EndpointName": "scones-test-vehicles",
            "ThresholdParameter": "/scones/test/threshold",
            "Image": "scones@sha256:0",
            "BacktestRoleArn": f"arn:aws:iam::{ACCOUNT}:role/backtest",
            "TrainingInstanceType": "ml.m5.xlarge",
        }
        yield Deployed.of(outputs)


def photo(number: int = 1, key: str = "") -> Photo:
    """Return photo `number`, of driver 17."""
    return Photo(BUCKET, key or f"uploads/driver-17/photo-{number}.jpg", f"{number:032x}", 1000)


def send(url: str, body: Any, **attributes: str) -> str:
    """Put a message in a queue; returns its id. A body that is not text is sent as JSON."""
    text = body if isinstance(body, str) else json.dumps(body)
    values = {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()}
    message_id: str = client("sqs").send_message(QueueUrl=url, MessageBody=text, MessageAttributes=values)["MessageId"]
    return message_id


def unrouted_body(number: int = 1, execution: str = EXECUTION) -> dict[str, Any]:
    """Return what classify-photo sends to the unrouted queue."""
    cause = json.dumps({"errorMessage": "DynamoDB did not answer", "errorType": "RecordUnavailable"})
    error = {"Error": "RecordUnavailable", "Cause": cause}
    return {"photo": photo(number).as_state(), "error": error, "execution": execution}


def dead_letter(stage: Deployed, target: str, rule: str, body: Any) -> str:
    """Put a dead letter of EventBridge in the unrouted queue; returns its id."""
    return send(
        stage.unrouted_queue_url,
        body,
        RULE_ARN=f"arn:aws:events:{REGION}:{ACCOUNT}:rule/scones-test-{rule}",
        TARGET_ARN=target,
        ERROR_CODE="NO_PERMISSIONS",
        ERROR_MESSAGE="not allowed",
    )


def status_change(machine: str, given: Any) -> dict[str, Any]:
    """Return the event of a failed execution with the input `given`."""
    event = events.sample("step_functions_execution_status_change")
    event["detail"] |= {"stateMachineArn": machine, "input": json.dumps(given)}
    return event


def announced(stage: Deployed, number: int = 1) -> None:
    """Record that the photo was sent to Bay A."""
    table = PhotoTable(stage.photo_table, client("dynamodb"))
    outcome = {"loading_bay": "Bay A", "execution": EXECUTION}
    table.record_outcome(photo(number), ROUTED, EXECUTION, now(), outcome=outcome)
    record = table.get(photo(number).photo_id)
    assert record is not None
    table.mark_announced(record, now())


def started(machine: str) -> dict[str, Any]:
    """Return the inputs of the executions of a workflow by their names."""
    states = client("stepfunctions")
    found = states.list_executions(stateMachineArn=machine)["executions"]
    described = [states.describe_execution(executionArn=one["executionArn"]) for one in found]
    return {one["name"]: json.loads(one["input"]) for one in described}


def depth(url: str) -> tuple[int, int]:
    """Return how many messages of a queue are visible and how many are not."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return int(found[names[0]]), int(found[names[1]])
