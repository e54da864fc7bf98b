"""A large batch beside the photos of drivers, stopped and killed on the way. BATCH_PHOTOS sets its size.

After a third of the results the execution is stopped, after two thirds the embedded AWS is killed. Each time the same
command continues the batch.
"""

import io
import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import psutil
from PIL import Image

import local
from deploy.outputs import Deployed
from operate import batch
from operate.batch_source import prepare_folder
from operate.event_listener import EventListener
from operate.latency import Latency
from operate.synthetic_photos import synthetic_photos
from operate.uploads import Source, UploadResult, upload
from tests.support import embedded_aws
from tests.support.waiting import eventually
from tests.torture.stage import deployed_stage

PHOTOS = int(os.environ.get("BATCH_PHOTOS") or 10_000)
DRIVERS_PHOTOS = 60
# With a batch beside them, the photos of drivers may take this many times as long.
SLOWER_AT_MOST = 2.0
ID = "torture"
TIMEOUT_S = 3600


@dataclass
class Run:
    """What was measured: numbers of results, latencies of drivers' photos in milliseconds, memory in MB."""

    photos: int
    stopped_at: int = 0
    killed_at: int = 0
    kept: int = 0
    lines: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    keys: set[str] = field(default_factory=set)
    alone_ms: list[float] = field(default_factory=list)
    beside_ms: list[float] = field(default_factory=list)
    grown_mb: float = 0.0
    seconds: float = 0.0

    def figures(self) -> dict[str, Any]:
        """The figures of the report."""
        return {
            "photos": self.photos,
            "results when the execution was stopped": self.stopped_at,
            "results when the embedded AWS was killed": self.killed_at,
            "results that it had saved": self.kept,
            "results at the end": len(self.lines),
            "photos with two results": len(self.lines) - len(self._found()),
            "photos per second, with both": round(self.photos / self.seconds, 1),
            "drivers p95 alone, ms": round(_p95(self.alone_ms)),
            "drivers p95 beside the batch, ms": round(_p95(self.beside_ms)),
            "memory of the embedded AWS, MB per 1,000 photos": round(self.grown_mb / self.killed_at * 1000, 1),
        }

    def faults(self) -> list[str]:
        """What is wrong with the results."""
        faults = []
        if self.summary["status"] != "complete" or self.summary["photos"] != self.photos:
            faults.append(f"the summary is {self.summary['status']} with {self.summary['photos']} photos")
        if self._found() != self.keys or len(self.lines) != self.photos:
            faults.append(f"{self.photos} photos have {len(self.lines)} results, {len(self._found())} different ones")
        if not 0 < self.stopped_at < self.killed_at < self.photos:
            faults.append("the batch was not interrupted on the way")
        return faults

    def slowness(self) -> list[str]:
        """A fault when drivers wait longer than they may."""
        ratio = _p95(self.beside_ms) / _p95(self.alone_ms)
        return [f"drivers wait {ratio:.1f} times as long beside a batch"] if ratio > SLOWER_AT_MOST else []

    def _found(self) -> set[str]:
        return {line["photo"]["key"] for line in self.lines}


def run(folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Return the figures, and the faults that were found."""
    ended = interrupted(folder, PHOTOS, DRIVERS_PHOTOS)
    return ended.figures(), ended.faults() + ended.slowness()


def interrupted(folder: Path, count: int, drivers: int, save_interval_s: float = 20.0) -> Run:
    """Classify `count` photos in a batch that is stopped and killed, beside twice `drivers` photos of drivers.

    The embedded AWS saves its state every `save_interval_s` and loses the results after the last time.
    """
    photos = folder / "photos"
    photos.mkdir()
    pictures = _pictures(drivers)
    for number in range(count):
        # Bytes behind the end of a PNG are not part of the picture.
        (photos / f"{number:06}.png").write_bytes(pictures[number % len(pictures)] + b"%d" % number)
    measured = Run(count)
    with deployed_stage(folder / "aws", save_interval_s) as (server, deployed):
        settings = local.Settings(port=server.port, directory=server.directory)
        source = prepare_folder(deployed, photos, ID, lambda done, total: None)
        _upload(deployed, pictures)  # warms the functions up
        measured.alone_ms += _upload(deployed, pictures)
        before, began = _memory_mb(server), time.monotonic()
        first = batch.start(deployed, source)
        _wait_for_items(first, count // 20)
        measured.beside_ms += _upload(deployed, pictures)
        _wait_for_items(first, count // 3)
        boto3.client("stepfunctions").stop_execution(executionArn=first)
        measured.stopped_at = _count_results(deployed)
        second = batch.start(deployed, source)
        measured.beside_ms += _upload(deployed, pictures)
        _wait_for_items(second, 2 * count // 3)
        measured.killed_at = _count_results(deployed)
        measured.grown_mb = _memory_mb(server) - before
        embedded_aws.restart(settings, kill=True)
        measured.kept = _count_results(deployed)
        measured.summary = batch.run(deployed, str(photos), folder / "reports", ID)
        measured.seconds = time.monotonic() - began
        measured.alone_ms += _upload(deployed, pictures)
        report = batch.report_path(folder / "reports", ID, "jsonl")
        measured.lines = [json.loads(line) for line in report.read_text().splitlines()]
        measured.keys = _uploaded_keys(deployed)
    return measured


def _pictures(count: int) -> list[bytes]:
    """Drawn pictures as PNG files."""
    encoded = []
    for image in synthetic_photos(count, seed=7).images[:count]:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "PNG")
        encoded.append(file.getvalue())
    return encoded


def _upload(deployed: Deployed, contents: list[bytes]) -> list[float]:
    """Upload photos of drivers, one after the other; return their latencies in milliseconds."""
    stamp = b"%d" % time.monotonic_ns()
    sources = [Source(f"{number}.png", content + stamp) for number, content in enumerate(contents)]
    with EventListener(deployed.event_bus) as listener:
        results: list[UploadResult] = upload(deployed, listener, sources, lambda *_: None, max_in_flight=1)
    return [result.latency_ms for result in results if result.latency_ms is not None]


def _p95(latencies_ms: list[float]) -> float:
    return float(Latency.of(latencies_ms).p95 or 0.0)


def _wait_for_items(execution: str, least: int) -> None:
    """Wait until the children of an execution have ended for so many photos.

    To count the results in the table again and again would take the embedded AWS longer than to classify the photos.
    """
    states: Any = boto3.client("stepfunctions")

    def ended() -> int:
        runs = states.list_map_runs(executionArn=execution)["mapRuns"]
        return sum(states.describe_map_run(mapRunArn=run["mapRunArn"])["itemCounts"]["succeeded"] for run in runs)

    eventually(ended, lambda found: found >= least, timeout_s=TIMEOUT_S, what=f"{least} photos of {execution}")


def _count_results(deployed: Deployed) -> int:
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


def _uploaded_keys(deployed: Deployed) -> set[str]:
    pages = (
        boto3.client("s3")
        .get_paginator("list_objects_v2")
        .paginate(Bucket=deployed.uploads_bucket, Prefix=f"batches/{ID}/")
    )
    return {found["Key"] for page in pages for found in page["Contents"]}


def _memory_mb(server: local.ServerInfo) -> float:
    """The resident memory of the server process."""
    return float(psutil.Process(server.pid).memory_info().rss / 1e6)
