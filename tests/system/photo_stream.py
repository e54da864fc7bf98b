"""Photos that are uploaded at a steady rate while a model changes, and their outcomes."""

import json
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from deploy.settings import BAKE_ALARMS
from functions.shared.photo import Photo
from functions.shared.photo_record import IN_REVIEW, ROUTED, PhotoRecord
from functions.shared.photo_table import PhotoTable
from tests.support.images import png
from tests.support.retraining_stage import RetrainingStage, client
from tests.support.waiting import eventually

RATE = 5.0
"""Photos per second."""

LONGEST_STREAM = 500


def executions(stage: RetrainingStage) -> set[str]:
    """The executions of rollback-model."""
    found = client("stepfunctions").list_executions(stateMachineArn=stage.deployed.rollback_model_arn)
    return {one["executionArn"] for one in found["executions"]}


@contextmanager
def photos_arriving(stage: RetrainingStage) -> Iterator[list[Future[Photo]]]:
    """Upload RATE photos of vehicles per second during the block, however long each takes; yields them."""
    images = [png(image) for image in stage.photos.with_labels(["bicycle", "motorcycle"]).images]
    bucket, stopped = stage.deployed.uploads_bucket, threading.Event()
    photos: list[Future[Photo]] = []
    name = uuid.uuid4().hex[:8]

    def put(key: str, content: bytes) -> Photo:
        etag = client("s3").put_object(Bucket=bucket, Key=key, Body=content)["ETag"]
        return Photo(bucket, key, etag.strip('"'), len(content))

    def stream() -> None:
        began = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            for number in range(LONGEST_STREAM):
                if stopped.wait(max(0.0, began + number / RATE - time.monotonic())):
                    return
                key = f"uploads/driver-{number % 10:02}/{name}-{number:04}.png"
                photos.append(pool.submit(put, key, images[number % len(images)]))

    thread = threading.Thread(target=stream, name="stream")
    thread.start()
    try:
        yield photos
    finally:
        stopped.set()
        thread.join()


def answer_review(stage: RetrainingStage) -> None:
    """Answer the requests in the review queue that can be received now with `bicycle`."""
    url = stage.deployed.review_queue_url
    answer = json.dumps({"vehicle": "bicycle", "reviewer": "ada", "answered_at": "2026-01-01T00:00:00Z"})
    for message in client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", ()):
        token = json.loads(message["Body"])["task_token"]
        client("stepfunctions").send_task_success(taskToken=token, output=answer)
        client("sqs").delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def outcomes(stage: RetrainingStage, photos: list[Photo]) -> dict[str, PhotoRecord]:
    """Wait until each photo was decided, and answer the reviews; returns the records by photo id."""
    table = PhotoTable(stage.deployed.photo_table, client("dynamodb"))
    done: dict[str, PhotoRecord] = {}

    def undecided() -> list[Photo]:
        for photo in photos:
            record = done.get(photo.photo_id) or table.get(photo.photo_id)
            if record and record.status == ROUTED and record.announced:
                done[photo.photo_id] = record
            elif record and record.status == IN_REVIEW:
                answer_review(stage)
        return [photo for photo in photos if photo.photo_id not in done]

    eventually(undecided, lambda left: not left, what="an outcome of every photo", timeout_s=120)
    return done


def in_alarm(stage: RetrainingStage) -> list[str]:
    """The alarms of a new model that are in ALARM: a retraining leaves them out."""
    names = [f"{stage.deployed.app_name}-{name}" for name in BAKE_ALARMS]
    found = client("cloudwatch").describe_alarms(AlarmNames=names, StateValue="ALARM")
    return [alarm["AlarmName"] for alarm in found["MetricAlarms"]]


def wait_for_no_alarm(stage: RetrainingStage) -> None:
    """An alarm that is in ALARM already sends no event when it is raised again."""
    eventually(lambda: in_alarm(stage), lambda names: not names, what="no alarm that is left out", timeout_s=360)
