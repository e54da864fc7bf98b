"""From the upload to the decision, through S3, EventBridge, Step Functions, Lambda and SageMaker."""

import json
from typing import Any

import boto3
import pytest

import events
from deploy.stack import Stack
from operate.event_listener import EventListener
from operate.uploads import LOST, REJECTED, ROUTED, Source, UploadResult
from tests.support.images import enlarge, jpeg, png_of_megapixels
from tests.support.roles import create_role
from tests.support.upload_stage import UploadStage
from tests.support.waiting import eventually

UNUSABLE = [
    (Source("empty.jpg", b""), "UnreadablePhoto"),
    (Source("letter.jpg", b"Dear driver, this is not a photo."), "UnreadablePhoto"),
    (Source("half.jpg", jpeg()[: len(jpeg()) // 2]), "UnreadablePhoto"),
    (Source("poster.png", png_of_megapixels(60)), "PhotoTooLarge"),
    (Source("film.jpg", b"\xff\xd8\xff" + bytes(21 * 1024 * 1024)), "PhotoTooLarge"),
]
NAMES = ["my bike.png", "1+1=2.png", 'the "fast" one\'s.png', "Fahrräder & Möwen.png", "back\\slash.png", "100%.png"]


def test_a_photo_of_a_vehicle_sends_its_driver_to_a_bay(upload_stage: UploadStage) -> None:
    (result,) = upload_stage.upload(upload_stage.photo_of("bicycle"))
    assert result.outcome == ROUTED
    stored = upload_stage.decision(result.photo)
    assert stored is not None
    published = result.decision
    for name in ("vehicle", "loading_bay", "order_range", "decided_by", "model_version", "execution", "decided_at"):
        assert stored[name] == published[name], name
    assert published["decided_by"] == "model"
    (execution,) = upload_stage.executions(result.photo)
    assert execution["status"] == "SUCCEEDED"
    assert json.loads(execution["output"]) == published


def test_the_model_that_decided_is_the_champion(upload_stage: UploadStage) -> None:
    sagemaker: Any = boto3.client("sagemaker")
    (result,) = upload_stage.upload(upload_stage.photo_of("motorcycle"))
    champion = sagemaker.describe_endpoint(EndpointName=upload_stage.deployed.endpoint_name)["EndpointConfigName"]
    assert result.decision["model_version"] == champion


@pytest.fixture(scope="module")
def unusable(upload_stage: UploadStage) -> dict[str, UploadResult]:
    """The results of uploading the UNUSABLE files, by their names."""
    return {result.source.name: result for result in upload_stage.upload(*(source for source, _ in UNUSABLE))}


@pytest.mark.parametrize(("name", "reason"), [(source.name, reason) for source, reason in UNUSABLE])
def test_an_unusable_file_is_rejected_with_the_reason(
    upload_stage: UploadStage, unusable: dict[str, UploadResult], name: str, reason: str
) -> None:
    result = unusable[name]
    assert (result.outcome, result.reason) == (REJECTED, reason)
    assert len(result.decision["rejected"]["message"]) > 20
    assert [execution["status"] for execution in upload_stage.executions(result.photo)] == ["SUCCEEDED"]


def test_a_photo_of_many_megabytes_reaches_the_model(upload_stage: UploadStage) -> None:
    # More than the default limit of a model container.
    photo = enlarge(upload_stage.photo_of("bicycle").content, 2600)
    assert 7_000_000 < len(photo) < 20_000_000
    (result,) = upload_stage.upload(Source("large.png", photo))
    assert result.outcome == ROUTED
    assert result.decision["decided_by"] == "model"


@pytest.fixture(scope="module")
def named(upload_stage: UploadStage) -> dict[str, UploadResult]:
    """The results of uploading one photo under each of NAMES."""
    photo = upload_stage.photo_of("bicycle").content
    return {result.source.name: result for result in upload_stage.upload(*(Source(name, photo) for name in NAMES))}


@pytest.mark.parametrize("name", NAMES)
def test_a_photo_may_have_any_name(named: dict[str, UploadResult], name: str) -> None:
    assert named[name].outcome == ROUTED
    assert named[name].decision["photo"]["key"].endswith(name)


def test_a_workflow_of_another_team_gets_the_decision_as_output(upload_stage: UploadStage) -> None:
    photo = upload_stage.put("partners/orders-42.png", upload_stage.photo_of("bicycle").content)
    ended = upload_stage.run(
        upload_stage.deployed.classify_photo_arn, {"photo": {"bucket": photo.bucket, "key": photo.key}}
    )
    assert ended["status"] == "SUCCEEDED", ended
    output = json.loads(ended["output"])
    assert output["photo"]["photo_id"] == photo.photo_id
    assert output["decided_by"] == "model"


def test_a_nested_execution_returns_the_decision(upload_stage: UploadStage) -> None:
    photo = upload_stage.put("partners/orders-43.png", upload_stage.photo_of("motorcycle").content)
    states: Any = boto3.client("stepfunctions")
    policy = Stack(f"{upload_stage.deployed.app_name}-people").outputs()["PartnerPolicyArn"]
    caller = states.create_state_machine(
        name="another-team",
        roleArn=create_role("another-team", "states.amazonaws.com", policies=(policy,)),
        definition=json.dumps(
            {
                "StartAt": "ClassifyPhoto",
                "States": {
                    "ClassifyPhoto": {
                        "Type": "Task",
                        "Resource": "arn:aws:states:::states:startExecution.sync:2",
                        "Parameters": {
                            "StateMachineArn": upload_stage.deployed.classify_photo_arn,
                            "Input": {"photo": {"bucket.$": "$.bucket", "key.$": "$.key"}},
                        },
                        "OutputPath": "$.Output",
                        "End": True,
                    }
                },
            }
        ),
    )["stateMachineArn"]
    ended = upload_stage.run(caller, {"bucket": photo.bucket, "key": photo.key})
    assert ended["status"] == "SUCCEEDED", ended
    assert json.loads(ended["output"])["loading_bay"]


def test_the_same_event_twice_gives_one_decision_and_one_event(upload_stage: UploadStage) -> None:
    (result,) = upload_stage.upload(upload_stage.photo_of("bicycle", 1))
    photo = result.photo
    again = upload_stage.run(
        upload_stage.deployed.classify_photo_arn,
        {"photo": {"bucket": photo.bucket, "key": photo.key, "etag": photo.etag, "size": photo.size}},
    )
    assert json.loads(again["output"]) == result.decision
    assert not result.duplicated


def test_in_a_burst_every_photo_has_exactly_one_outcome(upload_stage: UploadStage) -> None:
    photos = [upload_stage.photo_of(label, number % 10) for number in range(30) for label in ("bicycle", "motorcycle")]
    results = upload_stage.upload(*photos, burst=True)
    assert [result.photo.key for result in results if result.outcome == LOST] == []
    assert [result.photo.key for result in results if result.duplicated] == []
    assert len({result.photo.photo_id for result in results}) == len(photos)


def test_the_metrics_of_the_functions_are_in_cloudwatch(upload_stage: UploadStage) -> None:
    upload_stage.upload(upload_stage.photo_of("bicycle", 2))
    cloudwatch: Any = boto3.client("cloudwatch")

    def names() -> set[str]:
        return {metric["MetricName"] for metric in cloudwatch.list_metrics(Namespace="Scones/Vehicles")["Metrics"]}

    expected = {"PhotosClassified", "Confidence", "SentToReview", "EndpointLatency", "DriversRouted", "PhotosRejected"}
    eventually(lambda: names() >= expected, what=f"{expected} in CloudWatch", timeout_s=20)


def test_log_lines_contain_the_photo_id_and_the_execution(upload_stage: UploadStage) -> None:
    (result,) = upload_stage.upload(upload_stage.photo_of("bicycle", 3))
    logs: Any = boto3.client("logs")

    def line() -> Any:
        found = logs.filter_log_events(
            logGroupName="/aws/lambda/scones-test-classify-photo", filterPattern=f'"{result.photo.photo_id}"'
        )["events"]
        return [json.loads(event["message"]) for event in found if '"classified"' in event["message"]]

    (record, *_) = eventually(line, what="the log line of the photo", timeout_s=20)
    assert record["correlation_id"] == result.decision["execution"]


def test_the_event_of_an_upload_has_the_fields_that_aws_publishes(upload_stage: UploadStage) -> None:
    sample = events.sample("s3_object_created")
    with EventListener("default", source="aws.s3") as listener:
        photo = upload_stage.put("uploads/driver-01/shape.png", upload_stage.photo_of("bicycle").content)
        detail_type, detail = next(event for event in listener.events(20) if event[1]["object"]["key"] == photo.key)
    assert detail_type == sample["detail-type"]
    assert set(detail) >= set(sample["detail"])
    # Only the events of a bucket with versioning have a version id.
    assert set(detail["object"]) == set(sample["detail"]["object"]) - {"version-id"}
    assert detail["object"]["etag"] == photo.etag
    assert detail["object"]["size"] == photo.size
