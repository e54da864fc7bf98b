"""From S3 through EventBridge and Step Functions to Lambda: each upload once, any key, latency, memory."""

from __future__ import annotations

import concurrent.futures
import json
import statistics
import time
from collections import Counter
from typing import Any

import psutil
import pytest

from local.settings import Settings
from tests.local.aws import ROLE, Aws
from tests.support import object_keys
from tests.support.waiting import eventually

TEMPLATE = '{"photo": {"bucket": <bucket>, "key": <key>, "etag": <etag>, "size": <size>}, "sequencer": <sequencer>}'
PATHS = {f: f"$.detail.object.{f}" for f in ("key", "etag", "size", "sequencer")} | {"bucket": "$.detail.bucket.name"}
NAMES = [
    "uploads/d 1/mein Rad.jpg",
    'uploads/a+b/"quoted".jpg',
    "uploads/ü/it's %41 & <x>.jpg",
    "uploads/d/漢字\\n.jpg",
]


class Pipeline:
    """A bucket whose uploads start a workflow of two functions."""

    def __init__(self, aws: Aws) -> None:
        self.aws = aws
        self.bucket = aws.create_bucket()
        code = "import boto3\ndef handler(event, context): return event"
        first, second = aws.create_function(code), aws.create_function(code)

        def step(function: str, **after: Any) -> dict[str, Any]:
            parameters = {"FunctionName": function, "Payload.$": "$"}
            resource = "arn:aws:states:::lambda:invoke"
            return {"Type": "Task", "Resource": resource, "Parameters": parameters, "OutputPath": "$.Payload", **after}

        self.machine = aws.create_state_machine(
            {"StartAt": "First", "States": {"First": step(first, Next="Second"), "Second": step(second, End=True)}}
        )
        events = aws.client("events")
        aws.client("s3").put_bucket_notification_configuration(
            Bucket=self.bucket, NotificationConfiguration={"EventBridgeConfiguration": {}}
        )
        pattern = {
            "source": ["aws.s3"],
            "detail-type": ["Object Created"],
            "detail": {"bucket": {"name": [self.bucket]}},
        }
        events.put_rule(Name=self.bucket, EventPattern=json.dumps(pattern))
        transformer = {"InputPathsMap": PATHS, "InputTemplate": TEMPLATE}
        target = {"Id": "workflow", "Arn": self.machine, "RoleArn": ROLE, "InputTransformer": transformer}
        events.put_targets(Rule=self.bucket, Targets=[target])

    def upload(self, key: str) -> str:
        """Put an object; returns its ETag."""
        return str(self.aws.client("s3").put_object(Bucket=self.bucket, Key=key, Body=b"photo")["ETag"].strip('"'))

    def executions(self) -> list[dict[str, Any]]:
        pages = self.aws.client("stepfunctions").get_paginator("list_executions")
        return [item for page in pages.paginate(stateMachineArn=self.machine) for item in page["executions"]]

    def ended(self, count: int) -> list[dict[str, Any]]:
        """Wait until there are `count` executions and none is running; returns all."""
        return list(
            eventually(
                self.executions,
                lambda found: len(found) >= count and all(item["status"] != "RUNNING" for item in found),
                timeout_s=60,
            )
        )


@pytest.fixture(scope="module")
def pipeline(aws: Aws) -> Pipeline:
    return Pipeline(aws)


def test_every_key_arrives_unchanged(pipeline: Pipeline) -> None:
    before = len(pipeline.executions())
    etags = {key: pipeline.upload(key) for key in [*NAMES, *object_keys.KEYS]}
    seen = {}
    for execution in pipeline.ended(before + len(etags)):
        output = pipeline.aws.wait_for_execution(execution["executionArn"])["output"]
        seen[output["photo"]["key"]] = output["photo"]
    for key, etag in etags.items():
        assert seen[key] == {"bucket": pipeline.bucket, "key": key, "etag": etag, "size": 5}


def test_each_upload_of_the_same_bytes_under_one_key_has_a_sequencer_of_its_own(pipeline: Pipeline) -> None:
    before = len(pipeline.executions())
    key = "uploads/d/again.jpg"
    for _ in range(3):
        pipeline.upload(key)
    outputs = [pipeline.aws.wait_for_execution(one["executionArn"])["output"] for one in pipeline.ended(before + 3)]
    sequencers = {output["sequencer"] for output in outputs if output["photo"]["key"] == key}
    assert len(sequencers) == 3
    assert all(int(sequencer, 16) for sequencer in sequencers)


def test_a_warm_chain_is_fast(pipeline: Pipeline) -> None:
    states = pipeline.aws.client("stepfunctions")

    def seconds(number: int) -> float:
        known = len(pipeline.executions())
        began = time.perf_counter()
        pipeline.upload(f"uploads/warm/{number}.jpg")
        while True:
            latest = states.list_executions(stateMachineArn=pipeline.machine, maxResults=1000)["executions"]
            if len(latest) > known and all(item["status"] != "RUNNING" for item in latest):
                return time.perf_counter() - began
            time.sleep(0.005)

    assert statistics.median(seconds(number) for number in range(8)) < 0.4


def test_each_upload_of_a_burst_starts_one_execution(pipeline: Pipeline) -> None:
    before = len(pipeline.executions())
    with concurrent.futures.ThreadPoolExecutor(16) as uploads:
        list(uploads.map(lambda number: pipeline.upload(f"uploads/burst/{number}.jpg"), range(200)))
    executions = pipeline.ended(before + 200)
    assert Counter(execution["status"] for execution in executions) == {"SUCCEEDED": before + 200}
    # Each needs about 60 MB.
    children = psutil.Process(pipeline.aws.server.pid).children(recursive=True)
    workers = [child for child in children if any(part.endswith("lambdas/worker.py") for part in child.cmdline())]
    assert 2 <= len(workers) <= 3 * Settings.lambda_slots


@pytest.mark.parametrize("cause", ["machine is gone", "input is not JSON"])
def test_an_event_that_cannot_be_delivered_is_in_the_dead_letter_queue(aws: Aws, cause: str) -> None:
    name = f"dead-{time.time_ns()}"
    sqs, events = aws.client("sqs"), aws.client("events")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    machine = aws.create_state_machine({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}})
    template = "{not json" if cause == "input is not JSON" else '{"photo": <photo>}'
    target = {
        "Id": "workflow",
        "Arn": machine if cause == "input is not JSON" else machine + "-gone",
        "RoleArn": ROLE,
        "DeadLetterConfig": {"Arn": queue},
        "InputTransformer": {"InputPathsMap": {"photo": "$.detail.photo"}, "InputTemplate": template},
    }
    events.put_rule(Name=name, EventPattern=json.dumps({"source": [name]}))
    events.put_targets(Rule=name, Targets=[target])
    events.put_events(Entries=[{"Source": name, "DetailType": "Uploaded", "Detail": '{"photo": "a.jpg"}'}])
    answer = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"])
    (message,) = answer["Messages"]
    assert json.loads(message["Body"])["detail"] == {"photo": "a.jpg"}
    expected = "InvalidExecutionInput" if cause == "input is not JSON" else "NO_RESOURCE"
    assert message["MessageAttributes"]["ERROR_CODE"]["StringValue"] == expected
    assert message["MessageAttributes"]["TARGET_ARN"]["StringValue"] == target["Arn"]
