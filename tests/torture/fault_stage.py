"""A stage of its own on an embedded AWS with faults: a stream of photos, a reviewer, and what became of every photo."""

import io
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import boto3
import numpy as np
import psutil
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from PIL import Image

import local
from deploy import system
from deploy.outputs import Deployed
from deploy.target import Target
from functions.shared.photo import Photo
from functions.shared.photo_record import PhotoRecord
from functions.shared.photo_table import PhotoTable
from local import faults
from local.faults import Fault
from operate.initial_model import ensure_initial_model
from operate.synthetic_photos import synthetic_photos
from tests.support import embedded_aws
from tests.support.network import free_port

# A review that nobody answers ends soon, and with it the executions that a fault left without a message.
REVIEW_TIMEOUT_S = 60
# Of the deployment. The streams are of a few drivers, whose limit is not what is tested.
SETTINGS = {"REVIEW_TIMEOUT_S": str(REVIEW_TIMEOUT_S), "UPLOADS_PER_MINUTE": "1000"}
SAVE_INTERVAL_S = 2.0
_PATIENT = Config(retries={"mode": "standard", "total_max_attempts": 6}, read_timeout=20)
_ONCE = Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=20)


def client(service: str) -> Any:
    """A client that survives a restart of the server: it is created again for each use."""
    return boto3.client(service, config=_PATIENT)  # type: ignore[call-overload]


@dataclass
class Stream:
    """The photos uploaded so far, of `count`. `content` has their bytes, by key."""

    count: int
    photos: dict[str, Photo] = field(default_factory=dict)
    content: dict[str, bytes] = field(default_factory=dict)


@dataclass
class FaultStage:
    """A deployed stage whose embedded AWS can be disturbed."""

    settings: local.Settings
    deployed: Deployed
    images: list[Any]
    number: int = 0

    def inject(self, *injected: Fault) -> None:
        """Let these faults apply instead of those before."""
        assert self.settings.faults
        faults.write(self.settings.faults, *injected)

    def upload(self, count: int, *, rate: float, disturb: Callable[["Stream"], None]) -> Stream:
        """Upload `count` different photos at `rate` per second; `disturb` runs meanwhile, from the first photo on."""
        stream = Stream(count)
        started = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            disturbance = pool.submit(disturb, stream)
            sent = []
            for number in range(count):
                self.number += 1
                content = unique_png(self.images[self.number % len(self.images)], self.number)
                key = f"uploads/driver-{number % 12:02}/torture-{self.number:05}.png"
                time.sleep(max(0.0, started + number / rate - time.monotonic()))
                sent.append(pool.submit(self._put, stream, key, content))
            for put in sent:
                put.result()
            disturbance.result()
        return stream

    def _put(self, stream: Stream, key: str, content: bytes) -> None:
        deadline = time.monotonic() + 90
        while True:
            try:
                etag = boto3.client("s3", config=_ONCE).put_object(
                    Bucket=self.deployed.uploads_bucket, Key=key, Body=content
                )["ETag"]
                break
            except (ClientError, BotoCoreError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)
        stream.content[key] = content
        stream.photos[key] = Photo(self.deployed.uploads_bucket, key, etag.strip('"'), len(content))

    def records(self, stream: Stream) -> dict[str, PhotoRecord | None]:
        """The record of each photo, by key."""
        table = PhotoTable(self.deployed.photo_table, client("dynamodb"))
        with ThreadPoolExecutor(4) as pool:
            found = pool.map(lambda photo: table.get(photo.photo_id), stream.photos.values())
            return dict(zip(stream.photos, found, strict=True))

    def stored_keys(self) -> set[str]:
        """The keys of all objects in the uploads bucket."""
        pages = client("s3").get_paginator("list_objects_v2").paginate(Bucket=self.deployed.uploads_bucket)
        return {found["Key"] for page in pages for found in page.get("Contents", [])}

    def outputs(self) -> dict[str, list[dict[str, Any]]]:
        """The outputs of all executions that succeeded, by photo id; folder markers have none."""
        states = client("stepfunctions")
        pages = states.get_paginator("list_executions").paginate(
            stateMachineArn=self.deployed.classify_photo_arn, statusFilter="SUCCEEDED"
        )
        found: dict[str, list[dict[str, Any]]] = {}
        for page in pages:
            for execution in page["executions"]:
                output = json.loads(states.describe_execution(executionArn=execution["executionArn"])["output"])
                found.setdefault(output.get("photo", {}).get("photo_id", ""), []).append(output)
        return found

    def processes(self, module: str) -> list[psutil.Process]:
        """The processes of this embedded AWS whose command line contains `module`, without supervisors."""
        server = local.running(self.settings)
        assert server, "the embedded AWS is not running"
        children = psutil.Process(server.pid).children(recursive=True)
        commands = [(child, " ".join(_command_line(child))) for child in children]
        return [child for child, command in commands if module in command and "supervisor.py" not in command]

    def restart(self, *, kill: bool) -> None:
        """Stop the embedded AWS, by SIGKILL with `kill`, and start it again on its port."""
        embedded_aws.restart(self.settings, kill=kill)


@contextmanager
def fault_stage(folder: Path) -> Iterator[FaultStage]:
    """Start an embedded AWS in `folder`, deploy a stage with the initial model, and answer its review requests."""
    settings = local.Settings(
        port=free_port(), directory=folder, faults=folder / "faults.json", save_interval_s=SAVE_INTERVAL_S
    )
    with embedded_aws.started(settings) as server, embedded_aws.used(server), patch.dict(os.environ, SETTINGS):
        deployed = Deployed.of(system.deploy(Target("local", "torture"), progress=lambda line: None))
        ensure_initial_model(deployed)
        stage = FaultStage(settings, deployed, list(synthetic_photos(20, seed=7).images))
        stop = threading.Event()
        reviewer = threading.Thread(target=_answer_reviews, args=(deployed, stop), name="reviewer")
        reviewer.start()
        try:
            yield stage
        finally:
            stage.inject()
            stop.set()
            reviewer.join()


def _answer_reviews(deployed: Deployed, stop: threading.Event) -> None:
    """Answer every review request with `bicycle`, as a reviewer's console does, until `stop` is set."""
    answer = json.dumps({"vehicle": "bicycle", "reviewer": "torture", "answered_at": "2026-01-01T00:00:00Z"})
    while not stop.is_set():
        try:
            sqs = boto3.client("sqs", config=_ONCE)
            received = sqs.receive_message(
                QueueUrl=deployed.review_queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=1
            ).get("Messages", [])
            for message in received:
                try:
                    boto3.client("stepfunctions", config=_ONCE).send_task_success(
                        taskToken=json.loads(message["Body"])["task_token"], output=answer
                    )
                except ClientError as error:
                    if error.response["Error"]["Code"] not in {"TaskTimedOut", "TaskDoesNotExist", "InvalidToken"}:
                        raise
                sqs.delete_message(QueueUrl=deployed.review_queue_url, ReceiptHandle=message["ReceiptHandle"])
        except (ClientError, BotoCoreError):
            # The faults hit the reviewer too. The message becomes visible again.
            stop.wait(0.5)


def unique_png(image: Any, number: int) -> bytes:
    """A photo as PNG whose bytes differ for each `number`: it is written into the first pixel."""
    pixels = np.array(image)
    pixels[0, 0] = [number % 256, number // 256 % 256, number // 65536 % 256]
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()


def count_statuses(records: dict[str, PhotoRecord | None]) -> Counter[str]:
    """How many photos have each status; `unknown` without a record."""
    return Counter(record.status if record else "unknown" for record in records.values())


def _command_line(process: psutil.Process) -> list[str]:
    try:
        command: list[str] = process.cmdline()
    except psutil.Error:
        return []
    return command
