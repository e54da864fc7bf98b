"""Helpers for `make forget` in moto: photos in every store, a run, and what is stored afterwards."""

import json
from pathlib import Path
from typing import Any

import boto3

from deploy.outputs import Deployed
from functions.shared.photo import Photo
from operate import forget
from operate.forget import Scope
from operate.terminal import console
from tests.support.forgotten_photos import Planter

QUEUES = ("review_queue_url", "audit_queue_url", "review_dead_letter_queue_url", "unrouted_queue_url")
BUCKETS = ("uploads-bucket", "ml-bucket")


def plant_everything(plant: Planter, driver: str, name: str = "1.jpg") -> Photo:
    """A photo that was reviewed, trained on, and has a message in every queue."""
    photo = plant.upload(f"uploads/{driver}/{name}", f"photo {name} of {driver}".encode())
    plant.review_request(photo)
    plant.audit(photo)
    plant.label(photo, "AIDAREVIEWER")
    plant.training(photo, model=f"model-{photo.photo_id[:6]}")
    plant.messages(photo)
    plant.batch(photo)
    minute = {"driver_id": {"S": photo.driver_id}, "minute": {"S": "2026-11-27T10:00:00.000Z"}}
    boto3.client("dynamodb").put_item(TableName="counts", Item={**minute, "photos": {"SS": [photo.photo_id]}})
    return photo


def run(deployed: Deployed, folder: Path, scope: Scope, *, delete: bool = True) -> dict[str, Any]:
    with console.capture():
        return forget.run(deployed, scope, folder / "reports" / "forget.json", delete=delete, settle_s=0)


def stored(deployed: Deployed) -> dict[str, list[str]]:
    """What is in each store: versions and delete markers of objects, ids of records, bodies of messages."""
    s3, sqs = boto3.client("s3"), boto3.client("sqs")
    found: dict[str, list[str]] = {}
    for bucket in BUCKETS:
        answer = s3.list_object_versions(Bucket=bucket)
        found[bucket] = sorted(item["Key"] for kind in ("Versions", "DeleteMarkers") for item in answer.get(kind, []))
    items = boto3.client("dynamodb").scan(TableName="photos")["Items"]
    found["records"] = sorted(item["photo_id"]["S"] for item in items)
    items = boto3.client("dynamodb").scan(TableName="batch-results")["Items"]
    found["batch results"] = sorted(item["photo_id"]["S"] for item in items)
    items = boto3.client("dynamodb").scan(TableName="counts")["Items"]
    found["counts"] = sorted(f"{item['driver_id']['S']}: {item['photos']['SS']}" for item in items)
    for name in QUEUES:
        url = getattr(deployed, name)
        received = list(iter(lambda url=url: sqs.receive_message(QueueUrl=url).get("Messages", []), []))
        messages = [message for batch in received for message in batch]
        for message in messages:
            sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
        found[name] = sorted(message["Body"] for message in messages)
    return found


def about(photo: Photo, everything: dict[str, list[str]]) -> list[str]:
    """The names of what is stored about a photo, without snapshots and models, which keep no more than its id."""
    names = [name for store in everything.values() for name in store]
    return [name for name in names if photo.photo_id in name or name == photo.key]


def start(machine: str, photo: dict[str, Any] | None = None) -> str:
    return boto3.client("stepfunctions").start_execution(
        stateMachineArn=machine, input=json.dumps({"photo": photo or {}})
    )["executionArn"]
