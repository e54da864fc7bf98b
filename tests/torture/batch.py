"""A large batch beside the photos of drivers, stopped half-way and continued. BATCH_PHOTOS sets its size."""

import io
import json
import os
import time
from pathlib import Path
from typing import Any

import boto3
import psutil
from PIL import Image

import local
from deploy.outputs import Deployed
from operate import batch
from operate.batch_source import Source as BatchSource
from operate.batch_source import prepare_folder
from operate.event_listener import EventListener
from operate.synthetic_photos import synthetic_photos
from operate.uploads import Source, summary, upload
from tests.support.waiting import eventually
from tests.torture.stage import deployed_stage

PHOTOS = int(os.environ.get("BATCH_PHOTOS") or 10_000)
DRIVERS_PHOTOS = 60
# With a batch beside them, the photos of drivers may take this many times as long.
SLOWER_AT_MOST = 2.0
ID = "torture"


def run(folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Return the figures, and the faults that were found."""
    photos = folder / "photos"
    photos.mkdir()
    different = _pictures()
    for number in range(PHOTOS):
        # Bytes behind the end of a PNG are not part of the picture.
        (photos / f"{number:06}.png").write_bytes(different[number % len(different)] + b"%d" % number)
    with deployed_stage(folder / "aws") as (server, deployed):
        source = prepare_folder(deployed, photos, ID, lambda done, total: None)
        _drivers_p95(deployed, different)  # warms the functions up
        alone, before = _drivers_p95(deployed, different), _memory_mb(server)
        began = time.monotonic()
        first = batch.start(deployed, source)
        eventually(lambda: _results(deployed), lambda count: count > PHOTOS // 20, timeout_s=600, what="results")
        beside = _drivers_p95(deployed, different)
        _stop_half_way(deployed, first)
        at_stop = _results(deployed)
        ended = _continue(deployed, source)
        seconds = time.monotonic() - began
        lines = _lines(deployed)
        memory = _memory_mb(server) - before
    ids = [line["photo"]["photo_id"] for line in lines]
    figures = {
        "photos": PHOTOS,
        "results when it was stopped": at_stop,
        "results at the end": len(ids),
        "photos with two results": len(ids) - len(set(ids)),
        "photos per second, with the stop": round(PHOTOS / seconds, 1),
        "drivers p95 alone, ms": round(alone),
        "drivers p95 beside the batch, ms": round(beside),
        "memory of the embedded AWS, MB per 1,000 photos": round(memory / PHOTOS * 1000, 1),
    }
    faults = []
    if ended["status"] != "complete" or len(set(ids)) != PHOTOS or len(ids) != PHOTOS:
        faults.append(f"{PHOTOS} photos have {len(ids)} results, {len(set(ids))} different ones")
    if not 0 < at_stop < PHOTOS:
        faults.append("the batch was not stopped half-way")
    if beside > SLOWER_AT_MOST * alone:
        faults.append(f"drivers wait {beside / alone:.1f} times as long beside a batch")
    return figures, faults


def _pictures() -> list[bytes]:
    """Drawn pictures as PNG files, as many as the drivers upload."""
    encoded = []
    for image in synthetic_photos(DRIVERS_PHOTOS, seed=7).images[:DRIVERS_PHOTOS]:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "PNG")
        encoded.append(file.getvalue())
    return encoded


def _drivers_p95(deployed: Deployed, contents: list[bytes]) -> float:
    """Upload photos of drivers, one after the other; return the 95th percentile of their latency in milliseconds."""
    stamp = b"%d" % time.monotonic_ns()
    sources = [Source(f"{number}.png", contents[number] + stamp) for number in range(DRIVERS_PHOTOS)]
    with EventListener(deployed.event_bus) as listener:
        figures = summary(upload(deployed, listener, sources, lambda *_: None, max_in_flight=1))
    return float(figures["p95_ms"])


def _results(deployed: Deployed) -> int:
    """The number of results in the table."""
    pages = (
        boto3.client("dynamodb")
        .get_paginator("query")
        .paginate(
            TableName=deployed.batch_result_table,
            KeyConditionExpression="batch_id = :batch",
            ExpressionAttributeValues={":batch": {"S": ID}},
            Select="COUNT",
        )
    )
    return sum(page["Count"] for page in pages)


def _stop_half_way(deployed: Deployed, execution: str) -> None:
    eventually(
        lambda: _results(deployed), lambda count: count >= PHOTOS // 2, timeout_s=1800, what="half of the results"
    )
    boto3.client("stepfunctions").stop_execution(executionArn=execution)


def _continue(deployed: Deployed, source: BatchSource) -> dict[str, Any]:
    """Start the batch again, and wait for its end; return its output."""
    states: Any = boto3.client("stepfunctions")
    execution = batch.start(deployed, source)
    described = eventually(
        lambda: states.describe_execution(executionArn=execution),
        lambda found: found["status"] != "RUNNING",
        timeout_s=1800,
        what="the end of the batch",
    )
    output: dict[str, Any] = json.loads(described.get("output") or '{"status": "none"}')
    return output


def _lines(deployed: Deployed) -> list[dict[str, Any]]:
    body = boto3.client("s3").get_object(Bucket=deployed.ml_bucket, Key=f"batches/{ID}/results.jsonl")["Body"]
    return [json.loads(line) for line in body.read().splitlines()]


def _memory_mb(server: local.ServerInfo) -> float:
    """The resident memory of the server process."""
    return float(psutil.Process(server.pid).memory_info().rss / 1e6)
