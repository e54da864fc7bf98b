"""From the upload to the decision, through S3, EventBridge, Step Functions, Lambda and SageMaker."""

import json
from typing import Any

import boto3
import pytest

import events
from operate.event_listener import Tap
from operate.uploads import LOST, REJECTED, ROUTED, Source
from tests.system.world import World, enlarged, eventually, jpeg, png_of


def test_a_photo_of_a_vehicle_sends_its_driver_to_a_bay(world: World) -> None:
    (journey,) = world.upload(world.photo_of("bicycle"))
    assert journey.outcome == ROUTED
    stored = world.decision(journey.photo)
    assert stored is not None
    announced = journey.decision
    for name in ("vehicle", "loading_bay", "order_range", "decided_by", "model_version", "execution", "decided_at"):
        assert stored[name] == announced[name], name
    assert announced["decided_by"] == "model"
    (execution,) = world.executions(journey.photo)
    assert execution["status"] == "SUCCEEDED"
    assert json.loads(execution["output"]) == announced


def test_the_model_that_decided_is_the_champion(world: World) -> None:
    sagemaker: Any = boto3.client("sagemaker")
    (journey,) = world.upload(world.photo_of("motorcycle"))
    champion = sagemaker.describe_endpoint(EndpointName=world.deployed.endpoint_name)["EndpointConfigName"]
    assert journey.decision["model_version"] == champion


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (Source("empty.jpg", b""), "UnreadablePhoto"),
        (Source("letter.jpg", b"Dear driver, this is not a photo."), "UnreadablePhoto"),
        (Source("half.jpg", jpeg()[: len(jpeg()) // 2]), "UnreadablePhoto"),
        (Source("poster.png", png_of(60)), "PhotoTooLarge"),
        (Source("film.jpg", b"\xff\xd8\xff" + bytes(21 * 1024 * 1024)), "PhotoTooLarge"),
    ],
    ids=lambda value: value.name if isinstance(value, Source) else value,
)
def test_what_is_no_usable_photo_is_rejected_with_the_reason(world: World, source: Source, reason: str) -> None:
    (journey,) = world.upload(source)
    assert (journey.outcome, journey.reason) == (REJECTED, reason)
    assert len(journey.decision["rejected"]["message"]) > 20
    assert [execution["status"] for execution in world.executions(journey.photo)] == ["SUCCEEDED"]


def test_a_photo_of_many_megabytes_reaches_the_model(world: World) -> None:
    # More than a model container takes unless it is told to.
    photo = enlarged(world.photo_of("bicycle").content, 2600)
    assert 7_000_000 < len(photo) < 20_000_000
    (journey,) = world.upload(Source("large.png", photo))
    assert journey.outcome == ROUTED
    assert journey.decision["decided_by"] == "model"


@pytest.mark.parametrize(
    "name",
    ["my bike.png", "1+1=2.png", 'the "fast" one\'s.png', "Fahrräder & Möwen.png", "back\\slash.png", "100%.png"],
)
def test_a_photo_may_have_any_name(world: World, name: str) -> None:
    (journey,) = world.upload(Source(name, world.photo_of("bicycle").content))
    assert journey.outcome == ROUTED
    assert journey.decision["photo"]["key"].endswith(name)


def test_a_workflow_of_another_team_gets_the_decision_as_output(world: World) -> None:
    photo = world.put("partners/orders-42.png", world.photo_of("bicycle").content)
    ended = world.run(world.deployed.classify_photo_arn, {"photo": {"bucket": photo.bucket, "key": photo.key}})
    assert ended["status"] == "SUCCEEDED", ended
    output = json.loads(ended["output"])
    assert output["photo"]["photo_id"] == photo.photo_id
    assert output["decided_by"] == "model"


def test_a_nested_start_gets_the_decision_too(world: World) -> None:
    photo = world.put("partners/orders-43.png", world.photo_of("motorcycle").content)
    states: Any = boto3.client("stepfunctions")
    caller = states.create_state_machine(
        name="another-team",
        roleArn="arn:aws:iam::000000000000:role/another-team",
        definition=json.dumps(
            {
                "StartAt": "Ask",
                "States": {
                    "Ask": {
                        "Type": "Task",
                        "Resource": "arn:aws:states:::states:startExecution.sync:2",
                        "Parameters": {
                            "StateMachineArn": world.deployed.classify_photo_arn,
                            "Input": {"photo": {"bucket.$": "$.bucket", "key.$": "$.key"}},
                        },
                        "OutputPath": "$.Output",
                        "End": True,
                    }
                },
            }
        ),
    )["stateMachineArn"]
    ended = world.run(caller, {"bucket": photo.bucket, "key": photo.key})
    assert ended["status"] == "SUCCEEDED", ended
    assert json.loads(ended["output"])["loading_bay"]


def test_the_same_event_twice_is_one_decision_and_one_announcement(world: World) -> None:
    (journey,) = world.upload(world.photo_of("bicycle", 1))
    photo = journey.photo
    again = world.run(
        world.deployed.classify_photo_arn,
        {"photo": {"bucket": photo.bucket, "key": photo.key, "etag": photo.etag, "size": photo.size}},
    )
    assert json.loads(again["output"]) == journey.decision
    assert not journey.duplicated


def test_a_burst_loses_no_photo_and_announces_none_twice(world: World) -> None:
    photos = [world.photo_of(label, number % 10) for number in range(30) for label in ("bicycle", "motorcycle")]
    journeys = world.upload(*photos, burst=True)
    assert [journey.photo.key for journey in journeys if journey.outcome == LOST] == []
    assert [journey.photo.key for journey in journeys if journey.duplicated] == []
    assert len({journey.photo.photo_id for journey in journeys}) == len(photos)


def test_the_functions_metrics_arrive(world: World) -> None:
    world.upload(world.photo_of("bicycle", 2))
    cloudwatch: Any = boto3.client("cloudwatch")

    def names() -> set[str]:
        return {metric["MetricName"] for metric in cloudwatch.list_metrics(Namespace="Scones/Vehicles")["Metrics"]}

    expected = {"PhotosClassified", "Confidence", "LowConfidence", "EndpointLatency", "DriversRouted", "PhotosRejected"}
    eventually(lambda: names() >= expected, f"{expected} in CloudWatch", limit_s=20)


def test_the_logs_name_the_photo_and_the_execution(world: World) -> None:
    (journey,) = world.upload(world.photo_of("bicycle", 3))
    logs: Any = boto3.client("logs")

    def line() -> Any:
        found = logs.filter_log_events(
            logGroupName="/aws/lambda/scones-test-classify-photo", filterPattern=f'"{journey.photo.photo_id}"'
        )["events"]
        return [json.loads(event["message"]) for event in found if '"classified"' in event["message"]]

    (record, *_) = eventually(line, "the log line of the photo", limit_s=20)
    assert record["correlation_id"] == journey.decision["execution"]


def test_the_upload_s_event_has_the_shape_that_aws_publishes(world: World) -> None:
    published = events.sample("s3_object_created")
    with Tap("default", source="aws.s3") as tap:
        photo = world.put("uploads/driver-01/shape.png", world.photo_of("bicycle").content)
        detail_type, detail = next(event for event in tap.events(20) if event[1]["object"]["key"] == photo.key)
    assert detail_type == published["detail-type"]
    assert set(detail) >= set(published["detail"])
    # Only a bucket with versioning has version ids, and this one has none.
    assert set(detail["object"]) == set(published["detail"]["object"]) - {"version-id"}
    assert detail["object"]["etag"] == photo.etag
    assert detail["object"]["size"] == photo.size
