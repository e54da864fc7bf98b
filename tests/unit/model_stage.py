"""A stage in moto with a champion that has a trade-off, and photos that it classified."""

import functools
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from moto import mock_aws

from console.labels import Label
from console.reviews import Reviews
from deploy.outputs import Deployed
from functions.shared.champion import Champion, ModelTable
from functions.shared.photo import Photo
from functions.shared.photo_record import REJECTED, ROUTED
from functions.shared.photo_table import PhotoTable
from functions.shared.times import timestamp
from tests.support.photo_table import create_photo_table

REGION = "eu-west-1"
EXECUTION = "arn:any"
CHAMPION = "vehicles-test-20261126-101500"
PARAMETER = "/scones/test/threshold"
POLICY = {"wrong_at_most": 0.01, "others_share": 0.05, "others_accepted_at_most": 0.03}
NOW = datetime.now(UTC).replace(microsecond=0)


def operating_points() -> list[dict[str, float | None]]:
    """Thresholds from 0.500 to 0.995 in steps of 0.005; the higher, the fewer photos are decided and wrong."""
    found = []
    for number in range(100):
        threshold = round(0.5 + 0.005 * number, 3)
        uncertainty = (1 - threshold) / 0.5
        found.append(
            {
                "threshold": threshold,
                "decided": round(1 - 0.13 * (1 - uncertainty) ** 3, 4),
                "wrong": round(0.002 + 0.03 * uncertainty**1.5, 4),
                "wrong_upper": round(0.005 + 0.032 * uncertainty**1.5, 4),
                "others_accepted": round(0.005 + 0.25 * uncertainty**1.2, 4),
                "others_accepted_upper": round(0.012 + 0.27 * uncertainty**1.2, 4),
            }
        )
    return found


@contextmanager
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployed]:
    """Yield the outputs of a stage without a model."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    credentials = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": REGION}
    for name, value in credentials.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        bucket = {"Bucket": "scones-ml", "CreateBucketConfiguration": {"LocationConstraint": REGION}}
        aws("s3").create_bucket(**bucket)
        create_photo_table(aws("dynamodb"), "photos")
        aws("dynamodb").create_table(
            TableName="models",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        set_threshold("model")
        dead_letters = aws("sqs").create_queue(QueueName="dead")["QueueUrl"]
        queue = aws("sqs").get_queue_attributes(QueueUrl=dead_letters, AttributeNames=["QueueArn"])["Attributes"]
        redrive = {"deadLetterTargetArn": queue["QueueArn"], "maxReceiveCount": 5}
        yield Deployed(
            uploads_bucket="uploads",
            ml_bucket="scones-ml",
            artifacts_bucket="scones-artifacts",
            photo_table="photos",
            model_table="models",
            upload_count_table="uploads-per-minute",
            review_queue_url=aws("sqs").create_queue(
                QueueName="review", Attributes={"RedrivePolicy": json.dumps(redrive)}
            )["QueueUrl"],
            review_dead_letter_queue_url=dead_letters,
            audit_queue_url=aws("sqs").create_queue(QueueName="audit")["QueueUrl"],
            unrouted_queue_url=aws("sqs").create_queue(QueueName="unrouted")["QueueUrl"],
            event_bus="scones-test",
            classify_photo_arn=f"arn:aws:states:{REGION}:123456789012:stateMachine:classify",
            retrain_model_arn=f"arn:aws:states:{REGION}:123456789012:stateMachine:retrain",
            rollback_model_arn=f"arn:aws:states:{REGION}:123456789012:stateMachine:rollback",
            classify_batch_arn=f"arn:aws:states:{REGION}:123456789012:stateMachine:batch",
            batch_result_table="batch-results",
            endpoint_name="scones-test-vehicles",
            threshold_parameter=PARAMETER,
            image="scones@sha256:0",
            backtest_role_arn="arn:aws:iam::123456789012:role/backtest",
            training_instance_type="ml.m5.xlarge",
        )


@functools.cache
def aws(service: str) -> Any:
    """Return a client of moto; one for all tests, because creating one takes 0.1 s."""
    return boto3.client(service, region_name=REGION)  # type: ignore[call-overload]


def set_threshold(value: str) -> None:
    """Set the operator's threshold; `model` is the model's own."""
    aws("ssm").put_parameter(Name=PARAMETER, Type="String", Value=value, Overwrite=True)


def serve(report: Mapping[str, Any] | None = None, about: Mapping[str, Any] | None = None) -> None:
    """Put a champion behind the endpoint; by default it has operating points and a policy."""
    files = {
        "evaluation.json": {"operating_points": operating_points()} if report is None else report,
        "model.json": {"version": CHAMPION, "threshold": 0.935, "policy": POLICY} if about is None else about,
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in files.items():
            body = json.dumps(content).encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(body)
            archive.addfile(entry, io.BytesIO(body))
    aws("s3").put_object(Bucket="scones-ml", Key="model.tar.gz", Body=packed.getvalue())
    artifact = "s3://scones-ml/model.tar.gz"
    aws("sagemaker").create_model(
        ModelName=CHAMPION,
        ExecutionRoleArn="arn:aws:iam::123456789012:role/any",
        PrimaryContainer={"Image": "image", "ModelDataUrl": artifact},
    )
    variant = {"VariantName": "AllTraffic", "ModelName": CHAMPION, "InstanceType": "ml.m5.large"}
    aws("sagemaker").create_endpoint_config(
        EndpointConfigName=CHAMPION, ProductionVariants=[{**variant, "InitialInstanceCount": 1}]
    )
    aws("sagemaker").create_endpoint(EndpointName="scones-test-vehicles", EndpointConfigName=CHAMPION)
    promoted = timestamp(NOW - timedelta(days=2))
    ModelTable("models", aws("dynamodb")).promote(Champion(CHAMPION, CHAMPION, artifact, promoted_at=promoted))


def photo(number: int) -> Photo:
    """Return photo `number` of one of seven drivers."""
    return Photo("uploads", f"uploads/driver-{number % 7}/photo-{number}.jpg", f"{number:032x}", 1000)


def photo_table() -> PhotoTable:
    """Return the photo table of the stage."""
    return PhotoTable("photos", aws("dynamodb"))


def classified(
    number: int, confidence: float = 0.4, vehicle: str = "bicycle", version: str = CHAMPION, *, at: datetime
) -> None:
    """Record the classification of photo `number`."""
    classification = {"vehicle": vehicle, "confidence": confidence, "model_version": version}
    photo_table().classify(photo(number), EXECUTION, at, classification=classification, threshold=0.935)


def decided(
    number: int, confidence: float | None, by: str = "model", version: str = CHAMPION, *, age: timedelta | None = None
) -> None:
    """Record a decision about photo `number`, which the model classified with `confidence`, None: below 0.5."""
    at = NOW - (age or timedelta(minutes=number))
    classified(number, 0.4 if confidence is None else confidence, version=version, at=at)
    if by != "model":
        claim(number, at=at)
    outcome = {
        "photo": photo(number).as_state(),
        "driver_id": photo(number).driver_id,
        "vehicle": None if by == "fallback" else "bicycle",
        "confidence": confidence,
        "decided_by": by,
        "loading_bay": "Bay A",
        "order_range": "nearby",
        "model_version": version,
        "execution": EXECUTION,
        "decided_at": timestamp(at),
    }
    photo_table().record_outcome(photo(number), ROUTED, EXECUTION, at, outcome=outcome)


def rejected(number: int, reason: str = "UnreadablePhoto") -> None:
    """Record the rejection of photo `number`."""
    at = NOW - timedelta(minutes=number)
    outcome = {
        "photo": photo(number).as_state(),
        "driver_id": photo(number).driver_id,
        "rejected": {"reason": reason, "message": "It is not a photo."},
        "execution": EXECUTION,
        "rejected_at": timestamp(at),
    }
    photo_table().record_outcome(photo(number), REJECTED, EXECUTION, at, outcome=outcome)


def claim(
    number: int, reason: str = "LowConfidence", *, at: datetime, execution: str = EXECUTION, token: str = ""
) -> None:
    """Record a review request of photo `number`, which waits for a day for the answer to the task token `token`."""
    review = {
        "reason": reason,
        "requested_at": timestamp(at),
        "expires_at": timestamp(NOW + timedelta(days=1)),
        "token_hash": hashlib.sha256(token.encode()).hexdigest(),
    }
    photo_table().claim_review(photo(number), execution, at, review=review)


def labelled(number: int, confidence: float, model_vehicle: str = "bicycle", vehicle: str = "bicycle") -> None:
    """Save an answer about photo `number`, which the champion classified as `model_vehicle`, and the decision."""
    requested = NOW - timedelta(minutes=number)
    classified(number, confidence, model_vehicle, at=requested)
    claim(number, at=requested)
    outcome = {"vehicle": vehicle, "decided_by": "reviewer", "loading_bay": "Bay A", "execution": EXECUTION}
    photo_table().record_outcome(photo(number), ROUTED, EXECUTION, requested, outcome=outcome)
    label = Label(
        photo=photo(number).as_state(),
        photo_id=photo(number).photo_id,
        driver_id=photo(number).driver_id,
        vehicle=vehicle,
        reviewer="ada",
        reviewer_name="Ada",
        answered_at=timestamp(requested),
        seconds=3.0,
        reason="LowConfidence",
        model_vehicle=model_vehicle,
        confidence=confidence,
        probabilities=None,
        model_version=CHAMPION,
        threshold=0.935,
        agrees=model_vehicle == vehicle,
        execution=EXECUTION,
        requested_at=timestamp(requested),
        token_hash=hashlib.sha256(b"").hexdigest(),
        answer_id=str(number),
        blind=False,
    )
    reviews = Reviews("scones-ml", aws("s3"))
    saved = reviews.labels.save(label)
    reviews.claim(saved.request_id, saved)


def waiting(number: int, reason: str = "LowConfidence", version: str = CHAMPION) -> None:
    """Put photo `number` in review. With the reason ModelUnavailable it has no classification."""
    at = NOW - timedelta(minutes=number)
    if reason != "ModelUnavailable":
        classified(number, version=version, at=at)
    claim(number, reason, at=at)
