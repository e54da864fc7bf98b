"""Photos, labels and failed requests for measuring the console: temporary resources beside those of a stage."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import ClientError

from console.labels import Label
from console.reviews import Reviews
from deploy.outputs import Deployed
from deploy.templates import load_template
from functions.shared.aws import error_code
from functions.shared.dynamodb import serialize
from functions.shared.photo import Photo
from functions.shared.photo_record import CLASSIFIED, IN_REVIEW, REJECTED, ROUTED, UNROUTED
from functions.shared.times import now, purge_at, timestamp

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

PHOTOS = 10_000
LABELS = 400
FAILED = 40
DAYS = 30

# Shares of the photos by what became of them: those of a stage that works, with some that need a person.
_KINDS = {
    "model": 0.855,
    "reviewer": 0.08,
    "fallback": 0.01,
    "rejected": 0.035,
    "in_review": 0.01,
    "unrouted": 0.005,
    "classified": 0.005,
}
_DRIVERS = 400
_DISAGREEMENTS = 0.06  # of the photos that a reviewer answered
_AUDITED = 0.02
_BATCH = 25  # BatchWriteItem's limit
_QUEUES = ("review_queue_url", "review_dead_letter_queue_url", "unrouted_queue_url", "audit_queue_url")
_TABLE = ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")


@dataclass(frozen=True)
class FilledStage:
    """The outputs of a stage with temporary resources in place of its own.

    `label_bucket` is the bucket of its labels, `photo_id` the newest photo that was routed, `day` that of its photos
    in the middle, yyyy-mm-dd.
    """

    deployed: Deployed
    label_bucket: str
    photo_id: str
    day: str


@contextmanager
def filled_stage(deployed: Deployed, model_version: str, photos: int = PHOTOS) -> Iterator[FilledStage]:
    """Create a photo table with records, queues with failed requests and a bucket with labels; remove them at the end.

    What an earlier run left behind is removed first.
    """
    dynamodb: DynamoDBClient = boto3.client("dynamodb")
    sqs: SQSClient = boto3.client("sqs")
    s3: S3Client = boto3.client("s3")
    name = f"{deployed.app_name}-bench-console"
    bucket = f"{name}-{deployed.account}"
    _remove(dynamodb, sqs, s3, name, bucket)
    try:
        _create_table(dynamodb, name)
        urls = {
            queue: sqs.create_queue(QueueName=f"{name}-{queue.removesuffix('_url').replace('_', '-')}")["QueueUrl"]
            for queue in _QUEUES
        }
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": deployed.region})  # type: ignore[typeddict-item]
        stage = replace(deployed, photo_table=name, **urls)
        found = list(items(stage, model_version, photos, now()))
        _write(dynamodb, name, found)
        reviews = Reviews(bucket, s3)
        reviewed = [item for item in found if (item.get("outcome") or {}).get("decided_by") == "reviewer"]
        for item in reviewed[:LABELS]:
            _save_label(reviews, item)
        for number, item in enumerate(found[:FAILED]):
            _send_failed(sqs, stage, item, number)
        routed = next(item["photo_id"] for item in found if item["status"] == ROUTED)
        yield FilledStage(stage, bucket, routed, found[photos // 2]["day"])
    finally:
        _remove(dynamodb, sqs, s3, name, bucket)


def items(stage: Deployed, model_version: str, number: int, until: datetime) -> Iterator[dict[str, Any]]:
    """Yield the items of photos in the DAYS days before `until`, the newest first, as JSON values."""
    random = Random(1)  # noqa: S311  # the same photos in each run
    arn = stage.classify_photo_arn.replace(":stateMachine:", ":execution:")
    for index in range(number):
        at = until - timedelta(days=DAYS) * index / number
        driver = random.randrange(_DRIVERS)
        etag = hashlib.sha256(str(index).encode()).hexdigest()[:32]
        photo = Photo(stage.uploads_bucket, f"uploads/driver-{driver}/bike-{index}.jpg", etag, 90_000 + index)
        kind = random.choices(list(_KINDS), list(_KINDS.values()))[0]
        yield _item(photo, kind, at, f"{arn}:bench-{index}", model_version, random)


def _item(photo: Photo, kind: str, at: datetime, execution: str, model_version: str, random: Random) -> dict[str, Any]:
    """Return the item of a photo, with the attributes that the transitions of PhotoTable write."""
    text, ended = timestamp(at), timestamp(at + timedelta(seconds=1))
    confidence = random.uniform(0.5, 0.93) if kind in {"reviewer", "fallback", "in_review"} else random.uniform(0.93, 1)
    vehicle = random.choice(("bicycle", "motorcycle"))
    first = {
        "photo_id": photo.photo_id,
        "photo": photo.as_state(),
        "driver_id": photo.driver_id,
        "first_seen_at": text,
        "day": text[:10],
        "execution": execution,
        "purge_at": purge_at(at),
        "upload": {"uploaded_at": text, "sequencer": "0066"},
        "status_at": ended,
    }
    if kind == "rejected":
        rejected = {"reason": "UnreadablePhoto", "message": "cannot identify image file"}
        outcome = {**_outcome(photo, execution), "rejected": rejected, "rejected_at": ended}
        return {**first, "status": REJECTED, "outcome": outcome, "announced_at": ended}
    classified: dict[str, Any] = {
        **first,
        "status": CLASSIFIED,
        "classification": {
            "vehicle": vehicle,
            "confidence": round(confidence, 4),
            "probabilities": {vehicle: round(confidence, 4), "other": round(1 - confidence, 4)},
            "model_version": model_version,
        },
        "threshold": 0.93,
        "image": {"brightness": 0.5, "contrast": 0.2, "sharpness": 0.3},
        "classified_at": text,
        "classified_by": execution,
    }
    if kind == "classified":
        return classified
    if kind == "unrouted":
        error = {"Error": "PhotoUnrouted", "Cause": "The decision could not be recorded."}
        return {**classified, "status": UNROUTED, "error": error}
    if kind in {"reviewer", "fallback", "in_review"}:
        token_hash = hashlib.sha256(photo.photo_id.encode()).hexdigest()
        expires = at + timedelta(days=60 if kind == "in_review" else 0, minutes=15)
        classified |= {
            "review": {
                "reason": "LowConfidence",
                "requested_at": text,
                "expires_at": timestamp(expires),
                "token_hash": token_hash,
                "execution": execution,
            },
            "review_requests": [{"token_hash": token_hash, "requested_at": text}],
            "review_sent": token_hash,
            "review_announced_by": execution,
        }
    if kind == "in_review":
        return {**classified, "status": IN_REVIEW}
    decided = vehicle
    if kind == "reviewer" and random.random() < _DISAGREEMENTS:
        decided = "motorcycle" if vehicle == "bicycle" else "bicycle"
    if kind == "model" and random.random() < _AUDITED:
        wanted = {"label_wanted": "yes", "label_wanted_at": ended, "audit": {"share": _AUDITED}}
        request = {"reason": "Audit", "token_hash": "0" * 64, "requested_at": ended}
        answer = {"vehicle": vehicle, "reviewer": "AIDA", "answered_at": ended}
        classified |= {**wanted, "label_request": request, "label_sent": "0" * 64, "label_answer": answer}
    outcome = {
        **_outcome(photo, execution),
        "vehicle": None if kind == "fallback" else decided,
        "confidence": round(confidence, 4),
        "decided_by": kind,
        "loading_bay": {"bicycle": "Bay A", "motorcycle": "Bay B"}[decided] if kind != "fallback" else "Help desk",
        "order_range": "help-desk" if kind == "fallback" else "nearby",
        "model_version": model_version,
        "decided_at": ended,
    }
    return {**classified, "status": ROUTED, "outcome": outcome, "announced_at": ended}


def _outcome(photo: Photo, execution: str) -> dict[str, Any]:
    return {"photo": photo.as_state(), "driver_id": photo.driver_id, "execution": execution}


def _save_label(reviews: Reviews, item: dict[str, Any]) -> None:
    review, classification = item["review"], item["classification"]
    vehicle = item["outcome"]["vehicle"]
    label = Label(
        photo=item["photo"],
        photo_id=item["photo_id"],
        driver_id=item["driver_id"],
        vehicle=vehicle,
        reviewer="AIDABENCH",
        reviewer_name="Bench",
        answered_at=item["status_at"],
        seconds=1.0,
        reason=review["reason"],
        model_vehicle=classification["vehicle"],
        confidence=classification["confidence"],
        probabilities=classification["probabilities"],
        model_version=classification["model_version"],
        threshold=item["threshold"],
        agrees=vehicle == classification["vehicle"],
        execution=item["execution"],
        requested_at=review["requested_at"],
        token_hash=review["token_hash"],
        answer_id=item["photo_id"],
        blind=False,
    )
    saved = reviews.labels.save(label)
    reviews.claim(saved.request_id, saved)


def _send_failed(sqs: "SQSClient", stage: Deployed, item: dict[str, Any], number: int) -> None:
    """Put a photo that was not routed in the unrouted queue, or a review request in the dead-letter queue."""
    body: dict[str, Any] = {"photo": item["photo"], "execution": item["execution"]}
    url = stage.unrouted_queue_url
    if number % 2:
        body |= {"error": {"Error": "RecordUnavailable", "Cause": "DynamoDB did not answer"}}
    else:
        url = stage.review_dead_letter_queue_url
        body |= {"reason": "LowConfidence", "task_token": f"bench-{number}", "expires_at": item["status_at"]}
        body["requested_at"] = item["first_seen_at"]
    sqs.send_message(QueueUrl=url, MessageBody=json.dumps(body))


def _create_table(dynamodb: "DynamoDBClient", name: str) -> None:
    """Create a table with the keys and indexes of the photo table."""
    properties = load_template("data")["Resources"]["PhotoTable"]["Properties"]
    dynamodb.create_table(TableName=name, **{key: properties[key] for key in _TABLE})
    dynamodb.get_waiter("table_exists").wait(TableName=name)


def _write(dynamodb: "DynamoDBClient", name: str, found: list[dict[str, Any]]) -> None:
    for start in range(0, len(found), _BATCH):
        requests: Any = {name: [{"PutRequest": {"Item": serialize(item)}} for item in found[start : start + _BATCH]]}
        while requests:
            requests = dynamodb.batch_write_item(RequestItems=requests).get("UnprocessedItems")


def _remove(dynamodb: "DynamoDBClient", sqs: "SQSClient", s3: "S3Client", name: str, bucket: str) -> None:
    try:
        dynamodb.delete_table(TableName=name)
        dynamodb.get_waiter("table_not_exists").wait(TableName=name)
    except ClientError as error:
        if error_code(error) != "ResourceNotFoundException":
            raise
    for url in sqs.list_queues(QueueNamePrefix=f"{name}-").get("QueueUrls", []):
        sqs.delete_queue(QueueUrl=url)
    try:
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for found in page.get("Contents", []):
                s3.delete_object(Bucket=bucket, Key=found["Key"])
        s3.delete_bucket(Bucket=bucket)
    except ClientError as error:
        if error_code(error) not in {"NoSuchBucket", "404"}:
            raise
