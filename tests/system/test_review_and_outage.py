"""Review of photos without a prediction, and restart of a model server."""

import json
from typing import Any

import boto3
import pytest

from operate.uploads import IN_REVIEW, ROUTED
from tests.support.upload_stage import UploadStage
from tests.support.waiting import eventually


def review_request(upload_stage: UploadStage, photo_id: str) -> dict[str, Any]:
    sqs: Any = boto3.client("sqs")

    def receive() -> Any:
        found = sqs.receive_message(
            QueueUrl=upload_stage.deployed.review_queue_url, WaitTimeSeconds=2, MaxNumberOfMessages=10
        )
        # Other tests leave unreadable requests.
        bodies = [message["Body"] for message in found.get("Messages", [])]
        return [json.loads(body) for body in bodies if photo_id in body]

    request: dict[str, Any] = eventually(receive, what=f"the review request of {photo_id}")[0]
    return request


@pytest.fixture
def no_endpoint(upload_stage: UploadStage) -> Any:
    """Delete the endpoint for one test; create it again afterwards."""
    sagemaker: Any = boto3.client("sagemaker")
    name = upload_stage.deployed.endpoint_name
    configuration = sagemaker.describe_endpoint(EndpointName=name)["EndpointConfigName"]
    sagemaker.delete_endpoint(EndpointName=name)
    sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=name, WaiterConfig={"Delay": 1})
    yield
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=configuration)
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig={"Delay": 1})


@pytest.mark.usefixtures("no_endpoint")
def test_without_a_model_a_photo_is_retried_then_reviewed_then_routed_by_the_reviewer(
    upload_stage: UploadStage,
) -> None:
    (result,) = upload_stage.upload(upload_stage.photo_of("bicycle", 4))
    assert (result.outcome, result.reason) == (IN_REVIEW, "ModelUnavailable")
    (execution,) = upload_stage.executions(result.photo)
    assert execution["status"] == "RUNNING"
    states: Any = boto3.client("stepfunctions")
    history = states.get_execution_history(executionArn=execution["executionArn"])["events"]
    assert sum(event["type"] in ("LambdaFunctionFailed", "TaskFailed") for event in history) >= 3

    request = review_request(upload_stage, result.photo.photo_id)
    answer = {"vehicle": "motorcycle", "reviewer": "test", "answered_at": "2026-01-01T00:00:00Z"}
    states.send_task_success(taskToken=request["task_token"], output=json.dumps(answer))
    decision = eventually(lambda: upload_stage.decision(result.photo), what="the reviewer's decision")
    assert (decision["vehicle"], decision["decided_by"]) == ("motorcycle", "reviewer")


def test_a_model_server_that_ends_is_restarted_and_no_photo_is_lost(upload_stage: UploadStage) -> None:
    import psutil

    # Not the supervisor, which ends what is left of the process group.
    servers = [
        process
        for process in psutil.process_iter(["cmdline"])
        if (process.info["cmdline"] or [])[1:] == ["-m", "container", "serve"]
        and upload_stage.deployed.endpoint_name in process.environ().get("ML_ROOT", "")
    ]
    assert servers
    for process in servers:
        process.kill()
    (result,) = upload_stage.upload(upload_stage.photo_of("bicycle", 5))
    assert result.outcome in (ROUTED, IN_REVIEW)
