"""Measure latency, throughput and memory, each with a baseline from the same run."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from rich.table import Table

from deploy.outputs import Deployed
from operate.errors import CommandError
from operate.event_listener import EventListener
from operate.latency import Latency
from operate.terminal import console
from operate.uploads import Source, UploadResult, summary, upload

if TYPE_CHECKING:
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient

WARM_UP = 8
SEQUENTIAL = 30
BURST = 200
SAMPLE_INTERVAL_S = 0.25


def run(
    deployed: Deployed, photos: list[Source], report: Path, read_memory: Callable[[], int] | None
) -> dict[str, Any]:
    """Measure, print and write the report; returns it. `read_memory` returns the memory of all processes in bytes.

    Raises CommandError when a photo was lost or an event was published twice.
    """
    chosen = [photos[number % len(photos)] for number in range(max(SEQUENTIAL, BURST))]
    with EventListener(deployed.event_bus) as listener, _sample_memory(read_memory) as samples:
        console.print(f"Warming up, then {SEQUENTIAL} photos one after the other …")
        upload(deployed, listener, chosen[:WARM_UP], _no_progress, max_in_flight=4)
        sequential = upload(deployed, listener, chosen[:SEQUENTIAL], _no_progress, max_in_flight=1)
        console.print(f"Invoking the endpoint {SEQUENTIAL} times …")
        model_alone_ms = _invoke_endpoint(deployed, chosen[:SEQUENTIAL])
        console.print(f"A burst of {BURST} photos …")
        started = time.monotonic()
        burst = upload(deployed, listener, chosen[:BURST], _no_progress, max_in_flight=BURST)
        burst_s = time.monotonic() - started
    sequential_figures, burst_figures = summary(sequential), summary(burst)
    figures = {
        "photo_to_outcome_ms": asdict(Latency.of([one.latency_ms for one in sequential if one.latency_ms is not None])),
        "model_alone_ms": asdict(Latency.of(model_alone_ms)),
        "burst": {
            **{
                name: burst_figures[name]
                for name in ("uploaded", "routed", "in_review", "rejected", "lost", "duplicated")
            },
            "seconds": round(burst_s, 1),
            "photos_per_s": round(len(burst) / burst_s, 1),
        },
        "peak_memory_mb": round(max(samples) / 1e6) if samples else None,
    }
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(json.dumps(figures, indent=2), encoding="utf-8")
    _print_figures(figures)
    lost, duplicated = sequential_figures["lost"] + burst_figures["lost"], burst_figures["duplicated"]
    if lost or duplicated:
        raise CommandError(f"{lost} photos were lost, {duplicated} have two outcomes.")
    return figures


def _invoke_endpoint(deployed: Deployed, photos: list[Source]) -> list[float]:
    """Invoke the endpoint with each photo; returns the durations in milliseconds."""
    runtime: SageMakerRuntimeClient = boto3.client("sagemaker-runtime")
    durations = []
    for photo in photos:
        started = time.perf_counter()
        runtime.invoke_endpoint(
            EndpointName=deployed.endpoint_name, ContentType="application/x-image", Body=photo.content
        )["Body"].read()
        durations.append((time.perf_counter() - started) * 1000)
    return durations


@contextmanager
def _sample_memory(read_memory: Callable[[], int] | None) -> Iterator[list[int]]:
    """Sample the memory, in bytes, every SAMPLE_INTERVAL_S during the block; the list is complete at its end."""
    samples: list[int] = []
    done = threading.Event()

    def sample() -> None:
        while read_memory and not done.wait(SAMPLE_INTERVAL_S):
            samples.append(read_memory())

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield samples
    finally:
        done.set()
        thread.join()


def _print_figures(figures: dict[str, Any]) -> None:
    grid = Table(title="Latency, milliseconds", title_justify="left")
    for heading in ("", "count", "median", "95%", "maximum"):
        grid.add_column(heading, justify="right" if heading else "left")
    for name, title in (
        ("photo_to_outcome_ms", "upload to outcome, warm"),
        ("model_alone_ms", "the model alone (baseline)"),
    ):
        grid.add_row(title, *(str(figures[name][key]) for key in ("count", "p50", "p95", "max")))
    console.print(grid)
    burst = figures["burst"]
    console.print(
        f"Burst: {burst['uploaded']} photos in {burst['seconds']} s ({burst['photos_per_s']} photos/s): "
        f"{burst['routed']} routed, {burst['in_review']} in review, {burst['rejected']} rejected, "
        f"{burst['lost']} lost, {burst['duplicated']} duplicated"
    )
    if figures["peak_memory_mb"]:
        console.print(f"Peak memory of all processes: {figures['peak_memory_mb']:,} MB")


def _no_progress(_result: UploadResult, _done: int, _total: int) -> None:
    """Report no progress."""
