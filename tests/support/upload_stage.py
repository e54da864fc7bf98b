"""A deployed stage: upload photos, read decisions, run executions."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from jsonschema import Draft202012Validator

import events
from deploy.outputs import Deployed
from functions.shared.photo import Photo
from functions.shared.photo_record import ROUTED, PhotoRecord
from functions.shared.photo_table import PhotoTable
from operate.event_listener import EventListener
from operate.uploads import Source, UploadResult, upload
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_stepfunctions import SFNClient

FINISHED = ("SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED")


def wait_for_execution(execution: str, timeout_s: float = 120) -> dict[str, Any]:
    """Wait for the end of an execution; returns its description."""
    states: SFNClient = boto3.client("stepfunctions")
    ended: dict[str, Any] = eventually(
        lambda: states.describe_execution(executionArn=execution),
        lambda found: found["status"] in FINISHED,
        what=f"the end of {execution}",
        timeout_s=timeout_s,
    )
    return ended


@dataclass(frozen=True)
class UploadStage:
    """A deployed stage and labelled photos that its model was not trained on."""

    deployed: Deployed
    photos: list[Source]

    def photo_of(self, label: str, number: int = 0) -> Source:
        """Photo `number` with this label."""
        return [photo for photo in self.photos if photo.label == label][number]

    def upload(self, *sources: Source, burst: bool = False) -> list[UploadResult]:
        """Upload photos, follow them to their outcomes, and validate every event against its schema."""
        with _ValidatingListener(self.deployed.event_bus) as listener:
            in_flight = len(sources) if burst else 4
            return upload(self.deployed, listener, sources, lambda *_: None, max_in_flight=in_flight)

    def put(self, key: str, content: bytes) -> Photo:
        """Put an object into the uploads bucket without following it."""
        s3: S3Client = boto3.client("s3")
        etag = s3.put_object(Bucket=self.deployed.uploads_bucket, Key=key, Body=content)["ETag"]
        return Photo(self.deployed.uploads_bucket, key, etag.strip('"'), len(content))

    def decision(self, photo: Photo) -> dict[str, Any] | None:
        """The decision about a photo, or None."""
        record = self.record(photo)
        return dict(record.outcome or {}) if record and record.status == ROUTED else None

    def record(self, photo: Photo) -> PhotoRecord | None:
        """The record of a photo, or None."""
        return PhotoTable(self.deployed.photo_table, boto3.client("dynamodb")).get(photo.photo_id)

    def executions(self, photo: Photo) -> list[dict[str, Any]]:
        """Every execution of classify-photo for this photo."""
        states: Any = boto3.client("stepfunctions")
        pages = states.get_paginator("list_executions").paginate(stateMachineArn=self.deployed.classify_photo_arn)
        arns = [execution["executionArn"] for page in pages for execution in page["executions"]]
        described = [states.describe_execution(executionArn=arn) for arn in arns]
        # Other tests start executions whose input has no photo.
        return [one for one in described if json.loads(one["input"]).get("photo", {}).get("key") == photo.key]

    def run(self, state_machine: str, execution_input: dict[str, Any]) -> dict[str, Any]:
        """Start an execution and wait for its end; returns its description."""
        states: SFNClient = boto3.client("stepfunctions")
        started = states.start_execution(stateMachineArn=state_machine, input=json.dumps(execution_input))
        return wait_for_execution(started["executionArn"])


class _ValidatingListener(EventListener):
    """Validates every event against its schema."""

    def events(self, timeout_s: float) -> Iterator[tuple[str, dict[str, Any]]]:
        for detail_type, detail in super().events(timeout_s):
            Draft202012Validator(events.schema(detail_type)).validate(detail)
            yield detail_type, detail
