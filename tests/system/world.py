"""What the system's tests do to the deployed system, and what they can see of it."""

import io
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import boto3
import numpy as np
from jsonschema import Draft202012Validator
from PIL import Image

import events
from deploy.outputs import Deployed
from functions.shared.photo import Photo
from operate.event_listener import Tap
from operate.uploads import Journey, Source, send

LIMIT_S = 120.0
FINISHED = ("SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED")


@dataclass(frozen=True)
class World:
    """The deployed system and labelled photos that its model was not trained on."""

    deployed: Deployed
    photos: list[Source]

    def photo_of(self, label: str, number: int = 0) -> Source:
        return [photo for photo in self.photos if photo.label == label][number]

    def upload(self, *sources: Source, burst: bool = False) -> list[Journey]:
        """Upload photos, follow them to their outcomes, hold every event to its schema."""
        with _CheckedTap(self.deployed.event_bus) as tap:
            return send(self.deployed, tap, sources, lambda *_: None, under_way=len(sources) if burst else 4)

    def put(self, key: str, content: bytes) -> Photo:
        """Put an object without following it."""
        s3: Any = boto3.client("s3")
        etag = s3.put_object(Bucket=self.deployed.uploads_bucket, Key=key, Body=content)["ETag"]
        return Photo(self.deployed.uploads_bucket, key, etag.strip('"'), len(content))

    def decision(self, photo: Photo) -> dict[str, Any] | None:
        item: dict[str, Any] | None = (
            boto3.resource("dynamodb").Table(self.deployed.decision_table).get_item(Key={"photo_id": photo.photo_id})
        ).get("Item")
        return item

    def executions(self, photo: Photo) -> list[dict[str, Any]]:
        """Every execution of classify-photo for this photo."""
        states: Any = boto3.client("stepfunctions")
        pages = states.get_paginator("list_executions").paginate(stateMachineArn=self.deployed.classify_photo_arn)
        arns = [execution["executionArn"] for page in pages for execution in page["executions"]]
        described = [states.describe_execution(executionArn=arn) for arn in arns]
        return [one for one in described if json.loads(one["input"])["photo"]["key"] == photo.key]

    def run(self, state_machine: str, execution_input: dict[str, Any]) -> dict[str, Any]:
        """Start an execution and wait for its end."""
        states: Any = boto3.client("stepfunctions")
        arn = states.start_execution(stateMachineArn=state_machine, input=json.dumps(execution_input))["executionArn"]
        return eventually(
            lambda: (found := states.describe_execution(executionArn=arn))["status"] in FINISHED and found,
            f"{arn} to end",
        )


class _CheckedTap(Tap):
    def events(self, limit_s: float) -> Any:
        for detail_type, detail in super().events(limit_s):
            Draft202012Validator(events.schema(detail_type)).validate(detail)
            yield detail_type, detail


def eventually(look: Callable[[], Any], what: str, limit_s: float = LIMIT_S) -> Any:
    """What `look` returns as soon as it is true; fails when that takes longer than `limit_s`."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.1)
    raise AssertionError(f"waited {limit_s} s in vain for {what}")


def jpeg(width: int = 640, height: int = 480) -> bytes:
    """A valid JPEG of nothing in particular."""
    file = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).convert("RGB").save(file, "JPEG")
    return file.getvalue()


def enlarged(photo: bytes, side: int) -> bytes:
    """The photo, side x side pixels, with the grain of a camera, which no compression makes small."""
    pixels = np.asarray(Image.open(io.BytesIO(photo)).convert("RGB").resize((side, side)), dtype=np.int16)
    grain = np.random.default_rng(0).integers(-6, 7, pixels.shape, dtype=np.int16)
    file = io.BytesIO()
    Image.fromarray((pixels + grain).clip(0, 255).astype(np.uint8)).save(file, "PNG", compress_level=1)
    return file.getvalue()


def png_of(megapixels: int) -> bytes:
    """A small file of a huge picture, in one colour."""
    file = io.BytesIO()
    Image.new("1", (10_000, megapixels * 100)).save(file, "PNG")
    return file.getvalue()
