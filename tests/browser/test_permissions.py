"""The policy of a reviewer, with IAM enforced: everything on the pages works, and nothing else."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from botocore.exceptions import ClientError

import local
from console.aws import Aws
from console.failed_requests import FailedRequests, Result
from console.identity import find_reviewer
from console.other_teams import send_test_event
from console.permissions import policy
from console.web.security import TOKEN_HEADER
from deploy import system
from deploy.outputs import Deployed
from deploy.target import Target
from functions.shared.errors import EventNotPublished
from functions.shared.events import EventBus
from functions.shared.label_requests import LabelRequests, new_request
from functions.shared.photo import Photo
from local import users
from tests.browser.deployed_stage import Stage, draw_photo
from tests.support import embedded_aws
from tests.support.waiting import eventually
from tests.unit.console.browser_client import HOST, TAB, BrowserClient


@pytest.fixture(scope="module")
def ana(enforced: Stage) -> Iterator[Aws]:
    """The clients of a reviewer."""
    server = local.running()
    assert server
    key = users.access_key(server, "ana", policy(enforced.deployed), path="/reviewers/")
    with embedded_aws.used(server):
        local.use(server, key)
        yield Aws()


def test_a_reviewer_may_do_what_the_pages_do(enforced: Stage, ana: Aws) -> None:
    enforced.request_reviews()
    enforced.wait_for_requests(1)
    enforced.uploads_start_executions(True)
    enforced.dead_letter("{broken")
    with BrowserClient(enforced.deployed, ana, undo_s=60) as browser:
        headers = {"origin": f"http://{HOST}", TOKEN_HEADER: browser.csrf_token}
        uploaded = browser.client.post("/api/uploads?driver=d&name=1.jpg", content=draw_photo(1), headers=headers)
        assert Deployed.of(system.outputs(Target("local", "test"))) == enforced.deployed
        photo_id = uploaded.json()["photo_id"]
        eventually(lambda: browser.get(f"/api/uploads/{photo_id}").json(), lambda found: found.get("steps"))
        eventually(lambda: browser.get(f"/photos/{photo_id}").status_code == 200, timeout_s=60)
        for path in ("/", "/now", "/upload", "/photos", f"/photos/{photo_id}", "/model", "/dead-letters", "/teams"):
            assert browser.get(path).status_code == 200, path
        # Alarms of a new stage wait for their first data; what may not be read is unknown too, in another row.
        unknown = re.findall(r'class="row state-unknown" id="row-([\w-]+)"', browser.get("/now").text)
        assert [name for name in unknown if not name.startswith("alarm-")] == []
        taken = browser.post("/api/take", tab=TAB).json()
        request = taken["leased"][0]
        assert taken["figures"]["dead"] == 1
        assert browser.get(f"/images/{request['photo_id']}").status_code == 200
        assert browser.post("/api/skip", tab=TAB, id=request["id"]).status_code == 200
        (message,) = re.findall(r'data-message="([^"]+)"', browser.get("/dead-letters").text)
        assert browser.post("/api/redrive", ids=[message]).json()["summary"] == "1 stayed."
        assert browser.post("/api/failed/remove", id=message).json() == {"id": message}


def test_a_reviewer_opens_a_photo_that_only_a_batch_has_seen(enforced: Stage, ana: Aws) -> None:
    photo = Photo(enforced.deployed.uploads_bucket, "batches/yard/1.jpg", "1" * 32, 1000)
    at = datetime.now(UTC)
    execution = f"{enforced.deployed.classify_batch_arn.replace(':stateMachine:', ':execution:')}:yard"
    classification = {"vehicle": "bicycle", "confidence": 0.6, "model_version": "v1"}
    LabelRequests(enforced.deployed.photo_table, enforced.aws.dynamodb).create(
        photo, new_request(photo, "LowConfidence", at), execution, at, classification=classification, threshold=0.9
    )
    with BrowserClient(enforced.deployed, ana) as browser:
        page = browser.get(f"/photos/{photo.photo_id}")
    assert page.status_code == 200
    assert "AccessDenied" in page.text.partition("Execution history")[2]


def test_a_reviewer_labels_under_their_own_identity_only(enforced: Stage, ana: Aws) -> None:
    bucket = enforced.deployed.ml_bucket
    own = find_reviewer(ana.sts)
    assert own.name == "ana"
    ana.s3.put_object(Bucket=bucket, Key=f"labels/{0:032}/{own.id}/1.json", Body=b"{}", IfNoneMatch="*")
    for key in (
        f"labels/{0:032}/AIDAOTHER/1.json",
        "models/vehicles/model.tar.gz",
        "datasets/1/manifest.json",
        "reviews/code.tar.gz",
        "reviews/2026/11/27/code.tar.gz",
    ):
        with pytest.raises(ClientError, match="AccessDenied"):
            ana.s3.put_object(Bucket=bucket, Key=key, Body=b"{}", IfNoneMatch="*")


def test_a_reviewer_changes_no_record_no_model_and_no_deployment(enforced: Stage, ana: Aws) -> None:
    deployed = enforced.deployed
    refused = [
        lambda: ana.dynamodb.put_item(TableName=deployed.photo_table, Item={"photo_id": {"S": "x"}}),
        lambda: ana.dynamodb.delete_item(TableName=deployed.model_table, Key={"id": {"S": "champion"}}),
        lambda: ana.ssm.put_parameter(Name=deployed.threshold_parameter, Value="0", Overwrite=True),
        lambda: ana.stepfunctions.start_execution(stateMachineArn=deployed.rollback_model_arn, input="{}"),
        lambda: ana.stepfunctions.start_execution(stateMachineArn=deployed.retrain_model_arn, input='{"force": true}'),
        lambda: ana.s3.delete_object(Bucket=deployed.uploads_bucket, Key="uploads/d/1.jpg"),
        lambda: ana.s3.delete_object(Bucket=deployed.ml_bucket, Key="labels/1"),
        lambda: ana.sqs.purge_queue(QueueUrl=deployed.review_queue_url),
        lambda: ana.sagemaker.delete_endpoint(EndpointName=deployed.endpoint_name),
    ]
    for call in refused:
        with pytest.raises(ClientError) as error:
            call()
        assert "AccessDenied" in error.value.response["Error"]["Code"]


def test_a_reviewer_sends_no_event_but_that_a_review_was_completed(enforced: Stage, ana: Aws) -> None:
    bus = EventBus(enforced.deployed.event_bus, ana.events)
    bus.publish("Review Completed", {})
    for kind in ("Driver Routed", "Photo Rejected", "Drift Detected"):
        with pytest.raises(EventNotPublished, match="AccessDenied"):
            bus.publish(kind, {})
    with pytest.raises(ClientError, match="AccessDenied"):
        send_test_event("Driver Routed", enforced.deployed, ana.events)
    entry = {"EventBusName": bus.name, "Source": "elsewhere", "DetailType": "Review Completed", "Detail": "{}"}
    with pytest.raises(ClientError, match="AccessDenied"):
        ana.events.put_events(Entries=[entry])


def test_a_retraining_that_did_not_start_is_left_to_an_operator(enforced: Stage, ana: Aws) -> None:
    attributes = {
        "TARGET_ARN": {"DataType": "String", "StringValue": enforced.deployed.retrain_model_arn},
        "RULE_ARN": {"DataType": "String", "StringValue": "arn:aws:events:eu-west-1:0:rule/retrain-weekly"},
    }
    message = enforced.aws.sqs.send_message(
        QueueUrl=enforced.deployed.unrouted_queue_url,
        MessageBody='{"trigger": "schedule"}',
        MessageAttributes=attributes,
    )["MessageId"]
    (replayed,) = FailedRequests(enforced.deployed, ana).replay(message)
    assert replayed.result is Result.FAILED
    assert f"an operator has to do it: make redrive STAGE={enforced.deployed.stage} ID={message}" in replayed.text
    (replayed,) = FailedRequests(enforced.deployed, enforced.aws).replay(message)
    assert replayed.result is Result.REPLAYED
