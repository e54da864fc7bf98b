"""The console's model page: which model was rolled back, which was never compared."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from moto import mock_aws
from starlette.testclient import TestClient

from console.answers import choices
from console.aws import Aws
from console.web.app import create_app
from deploy.outputs import Deployed
from functions.shared.champion import INITIAL, Champion, ModelTable

HOST = "127.0.0.1:8080"
REGION = "eu-west-1"
INITIAL_MODEL, SECOND, THIRD = (f"vehicles-test-{number}" for number in ("1", "2", "3"))
AT = "2026-11-26T10:00:00.000Z"


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployed]:
    """A stage with three models; its champion is the second, restored in place of the third."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    credentials = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": REGION}
    for name, value in credentials.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        sqs, dynamodb, sagemaker = (boto3.client(name, region_name=REGION) for name in ("sqs", "dynamodb", "sagemaker"))  # type: ignore[call-overload]
        bucket = {"Bucket": "scones-ml", "CreateBucketConfiguration": {"LocationConstraint": REGION}}
        boto3.client("s3", region_name=REGION).create_bucket(**bucket)
        for table, key in (("decisions", "photo_id"), ("photos", "photo_id"), ("models", "id")):
            dynamodb.create_table(
                TableName=table,
                KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
                BillingMode="PAY_PER_REQUEST",
            )
        models = ModelTable("models", dynamodb)
        initial = Champion("initial-abc", INITIAL_MODEL, "s3://scones-ml/a", promoted_at=AT, origin=INITIAL)
        second = Champion(SECOND, SECOND, "s3://scones-ml/b", promoted_at=AT, previous="initial-abc")
        third = Champion(THIRD, THIRD, "s3://scones-ml/c", promoted_at=AT, previous=SECOND)
        for champion in (initial, second, third):
            models.promote(champion)
        models.acquire_lock("arn:rollback", datetime.now(UTC), lambda holder: True)
        marked = third.as_rolled_back(AT, "bicycles went to the motorcycles' bay", "arn:rollback")
        models.record_rollback(second.as_restored(AT), marked, "arn:rollback")
        for name in (INITIAL_MODEL, SECOND, THIRD):
            sagemaker.create_model(
                ModelName=name,
                ExecutionRoleArn="arn:aws:iam::123456789012:role/any",
                PrimaryContainer={"Image": "image", "ModelDataUrl": f"s3://scones-ml/{name}.tar.gz"},
            )
        yield Deployed(
            uploads_bucket="uploads",
            ml_bucket="scones-ml",
            decision_table="decisions",
            photo_table="photos",
            model_table="models",
            review_queue_url=sqs.create_queue(QueueName="review")["QueueUrl"],
            review_dead_letter_queue_url=sqs.create_queue(QueueName="dead")["QueueUrl"],
            unrouted_queue_url="https://sqs.eu-west-1.amazonaws.com/123456789012/unrouted",
            event_bus="scones-test",
            classify_photo_arn="arn:aws:states:eu-west-1:123456789012:stateMachine:classify",
            retrain_model_arn="arn:aws:states:eu-west-1:123456789012:stateMachine:retrain",
            rollback_model_arn="arn:aws:states:eu-west-1:123456789012:stateMachine:rollback",
            endpoint_name="scones-test-vehicles",
            threshold_parameter="/scones/test/threshold",
        )


def serve(name: str) -> None:
    sagemaker: Any = boto3.client("sagemaker", region_name=REGION)
    variant = {"VariantName": "AllTraffic", "ModelName": name, "InstanceType": "ml.m5.large"}
    sagemaker.create_endpoint_config(
        EndpointConfigName=name, ProductionVariants=[{**variant, "InitialInstanceCount": 1}]
    )
    sagemaker.create_endpoint(EndpointName="scones-test-vehicles", EndpointConfigName=name)


def page(stage: Deployed) -> str:
    app = create_app(stage, Aws(), choices(), hosts=[HOST])
    answer = TestClient(app, base_url=f"http://{HOST}").get("/model", headers={"host": HOST})
    assert answer.status_code == 200
    return " ".join(answer.text.split())


def row(text: str, name: str) -> str:
    return text.partition(f'<td class="code">{name}')[2].partition("</tr>")[0]


def test_a_model_that_was_rolled_back_is_marked_with_the_reason(stage: Deployed) -> None:
    serve(SECOND)
    text = page(stage)
    assert "rolled back" in row(text, THIRD)
    assert "rolled back" not in row(text, SECOND)
    assert "champion" in row(text, SECOND)
    reason = "bicycles went to the motorcycles&#39; bay"
    assert f"{THIRD} was rolled back at 2026-11-26 10:00 UTC: {reason}" in text
    assert "Restored by a rollback at 2026-11-26 10:00 UTC" in text


def test_an_initial_model_is_said_to_have_no_verdict(stage: Deployed) -> None:
    serve(INITIAL_MODEL)
    text = page(stage)
    assert "An initial model without a verdict: it was not compared with anything." in text
    assert "initial, not compared" in row(text, INITIAL_MODEL)
    assert "initial, not compared" not in row(text, SECOND)
