"""Functions find that a photo, a report or the holder of a lock is gone, and go on or say so.

An execution that was started by hand names a photo without its etag, and the photo can be deleted at any time. Each
function is invoked as a workflow does, because a workflow reaches these branches only in a race.
"""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from deploy.outputs import Deployed
from functions.shared.photo import Photo
from functions.shared.photo_record import UNROUTED
from functions.shared.photo_table import PhotoTable
from tests.support.waiting import eventually


def invoke(function: str, event: Any) -> tuple[Any, bool]:
    """Invoke a function of the stage; returns its answer, and whether it is an error."""
    client: Any = boto3.client("lambda")
    answer = client.invoke(FunctionName=f"scones-test-{function}", Payload=json.dumps(event))
    return json.loads(answer["Payload"].read()), "FunctionError" in answer


@pytest.fixture
def gone(deployed: Deployed) -> dict[str, str]:
    """A photo that does not exist, as the input of an execution names it."""
    return {"bucket": deployed.uploads_bucket, "key": f"uploads/driver-17/gone-{uuid.uuid4().hex[:8]}.jpg"}


@pytest.fixture
def execution(deployed: Deployed) -> str:
    """The ARN of an execution of classify-photo that has never existed."""
    return deployed.classify_photo_arn.replace(":stateMachine:", ":execution:") + f":{uuid.uuid4()}"


def test_the_decision_about_a_photo_that_is_gone_is_recorded_and_announced_again(
    gone: dict[str, str], execution: str
) -> None:
    decided = {"vehicle": "bicycle", "confidence": 0.99, "model_version": "v", "decided_by": "model"}
    event = {"photo": gone, "execution": execution}
    first, failed = invoke("assign-bay", {**event, **decided})
    assert not failed, first
    again, failed = invoke("assign-bay", {**event, "decided_by": "recorded"})
    assert not failed, again
    assert again == first
    assert again["vehicle"] == "bicycle"


def test_no_review_is_requested_of_a_photo_that_is_gone(gone: dict[str, str], execution: str) -> None:
    answer, failed = invoke("request-review", {"photo": gone, "execution": execution, "task_token": "t"})
    assert failed
    assert answer["errorType"] == "PhotoMissing"


def test_a_failed_execution_about_a_photo_that_is_gone_is_recorded(
    deployed: Deployed, gone: dict[str, str], execution: str
) -> None:
    detail = {
        "executionArn": execution,
        "stateMachineArn": deployed.classify_photo_arn,
        "status": "FAILED",
        "error": "PhotoUnrouted",
        "input": json.dumps({"photo": gone}),
    }
    event = {"source": "aws.states", "detail-type": "Step Functions Execution Status Change", "detail": detail}
    try:
        answer, failed = invoke("notify-failure", event)
        assert not failed, answer
        photo = Photo.from_state(gone).with_object(etag="", size=0)
        table = PhotoTable(deployed.photo_table, boto3.client("dynamodb"))
        record = eventually(lambda: table.get(photo.photo_id), what="the record")
        assert record.status == UNROUTED
    finally:
        # Other tests expect only their own photos in the queue.
        boto3.client("sqs").purge_queue(QueueUrl=deployed.unrouted_queue_url)


def test_an_evaluation_without_a_report_says_so(deployed: Deployed) -> None:
    prepared = {
        "force": False, "dry_run": False, "drawn": False, "champion": None, "reference": {"model_version": "none"},
    }  # fmt: skip
    evaluation = f"s3://{deployed.ml_bucket}/retraining/vehicles-test-none/evaluation.json"
    answer, failed = invoke(
        "judge-challenger", {"evaluation": evaluation, "run": {"name": "vehicles-test-none"}, "prepared": prepared}
    )
    assert failed
    assert answer["errorType"] == "EvaluationMissing"


@pytest.fixture
def lock_of_a_rollback(deployed: Deployed) -> Iterator[None]:
    """The lock of the model table is held by a rollback that does not run any more."""
    dynamodb: Any = boto3.client("dynamodb")
    holder = deployed.rollback_model_arn.replace(":stateMachine:", ":execution:") + f":{uuid.uuid4()}"
    item = {"id": {"S": "lock"}, "execution": {"S": holder}, "expires_at": {"S": "9999"}}
    dynamodb.put_item(TableName=deployed.model_table, Item=item)
    yield
    dynamodb.delete_item(TableName=deployed.model_table, Key={"id": {"S": "lock"}})


@pytest.mark.usefixtures("lock_of_a_rollback")
def test_a_retraining_takes_over_the_lock_of_a_rollback_that_is_gone(execution: str) -> None:
    event = {"execution": execution, "run": {"name": "vehicles-test-none"}, "request": {"dataset": 17}}
    answer, failed = invoke("build-dataset", event)
    assert failed
    assert answer["errorType"] == "InvalidInput", answer


@pytest.mark.usefixtures("upload_stage", "lock_of_a_rollback")
def test_a_rollback_takes_over_the_lock_of_another_one_that_is_gone(execution: str) -> None:
    answer, failed = invoke("prepare-rollback", {"execution": execution, "request": {"to": "vehicles-test-none"}})
    assert not failed, answer
    assert answer["reason"] == "UnknownModel", answer


def test_the_golden_photos_of_an_initial_model_are_read(deployed: Deployed) -> None:
    s3: Any = boto3.client("s3")
    stored = {"Bucket": deployed.ml_bucket, "Key": "initial/none/golden/bicycle/one.jpg"}
    s3.put_object(**stored, Body=b"no photo")
    golden = f"s3://{deployed.ml_bucket}/initial/none/golden/"
    try:
        answer, failed = invoke("probe-endpoint", {"run": {"name": "vehicles-test-none"}, "golden": golden})
    finally:
        s3.delete_object(**stored)
    assert failed
    # The endpoint is missing, or it does not serve this model.
    assert answer["errorType"] not in ("AwsRefused", "AwsUnavailable"), answer
