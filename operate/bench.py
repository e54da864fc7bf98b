"""Measure latency, throughput, memory, cold starts and sizes, each with a baseline from the same run."""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import burst, cold_starts, latency, pages, photos, results, sizes
from benchmarks.console_stage import PHOTOS as RECORDED
from benchmarks.designs import CHAIN, OURS, Design, Uploader, designs
from benchmarks.executions import ExecutionListener
from benchmarks.stack import deployed_baseline
from deploy.outputs import Deployed
from deploy.system import BUILD
from operate.errors import CommandError
from operate.latency import Latency
from operate.terminal import console
from operate.uploads import Source

if TYPE_CHECKING:
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient

SEQUENTIAL = 30
BURST = 1000
WARM_UP = 40


def run(
    deployed: Deployed,
    report: Path,
    *,
    staged: Path,
    folder: Path | None = None,
    is_local: bool = True,
    count: int = SEQUENTIAL,
    burst_size: int = BURST,
    repeats: int = cold_starts.REPEATS,
    recorded: int = RECORDED,
) -> dict[str, Any]:
    """Measure, print and write the report; returns it.

    `staged` is the folder with photos of the staged training data, `folder` one with JPEG photos of vehicles; without
    them drawings are used. `count` photos of each kind are sent one after the other, `burst_size` at once; each handler
    has `repeats` cold starts. The pages of the console are measured with `recorded` photos in the record.

    Raises CommandError after the report is written when a photo was lost or doubled. A missed target is no error.
    """
    console.print("Choosing photos that the model is confident of …")
    model = photos.choose(deployed, count, folder, staged)
    run_name = f"bench-{datetime.now(UTC):%Y%m%dt%H%M%S}"
    load_before = os.getloadavg()[0]
    console.print(f"Deploying the baselines as {deployed.app_name}-bench …")
    with deployed_baseline(deployed, model.threshold) as baseline:
        compared = designs(deployed, baseline, run_name)
        compared_by_name = {design.name: design for design in compared}
        uploader = Uploader()
        with ExecutionListener([design.state_machine for design in compared]) as listener:
            console.print(f"{count} small PNGs and {count} JPEGs to each design in turn …")
            latency.warm_up(listener, uploader, compared, [model.jpeg[0], model.tiny[0]])
            comparisons = {
                "tiny": latency.compare(listener, uploader, compared, model.tiny).figures(),
                "jpeg": latency.compare(listener, uploader, compared, model.jpeg).figures(),
            }
            bursts = {
                design.name: _burst(design, listener, uploader, model, burst_size, deployed.event_bus, is_local)
                # The chain's photos stay in the history of its executions, so its burst is last.
                for design in (compared_by_name[OURS], compared_by_name[CHAIN])
            }
        console.print(f"Cold starts of {len(baseline.cold_starts)} functions …")
        started_cold = cold_starts.measure(baseline.cold_starts, repeats)
    console_pages = _measure_pages(deployed, recorded)
    figures: dict[str, Any] = {
        **_circumstances(load_before),
        "threshold": model.threshold,
        "photos": {name: {"count": count, "from": origin} for name, origin in model.origin.items()},
        "latency": comparisons,
        "endpoint_ms": {
            "tiny": asdict(_endpoint_latency(deployed, model.tiny)),
            "jpeg": asdict(_endpoint_latency(deployed, model.jpeg)),
        },
        "bursts": {name: one.figures() for name, one in bursts.items()},
        "cold_starts": started_cold,
        "sizes": sizes.measure(BUILD),
        "console": console_pages,
    }
    _report(figures, results.rows(figures), report)
    for name, one in bursts.items():
        if one.lost or one.doubled:
            raise CommandError(f"In the burst of {name}, {len(one.lost)} photos were lost, {len(one.doubled)} doubled.")
    return figures


def run_pages(deployed: Deployed, report: Path, *, recorded: int = RECORDED) -> dict[str, Any]:
    """Measure only the pages of the console, with `recorded` photos in the record; print, write the report, return it.

    A missed target is no error.
    """
    load_before = os.getloadavg()[0]
    measured = _measure_pages(deployed, recorded)
    figures = {**_circumstances(load_before), "console": measured}
    _report(figures, results.page_rows(measured), report)
    return figures


def _measure_pages(deployed: Deployed, recorded: int) -> dict[str, Any]:
    console.print(f"Pages of the console with {recorded:,} photos in the record …")
    return pages.measure(deployed, recorded)


def _circumstances(load_before: float) -> dict[str, Any]:
    """Return when and where a run measured; the load is that of the machine in the last minute."""
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"cpus": os.cpu_count(), "load_before": load_before, "load_after": os.getloadavg()[0]},
    }


def _report(figures: dict[str, Any], rows: list[results.Row], report: Path) -> None:
    """Write the figures with the rows of their table, and print the table."""
    figures["table"] = [row.as_json() for row in rows]
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(json.dumps(figures, indent=2), encoding="utf-8")
    console.print(results.table(rows))
    console.print(f"Report: {report}", soft_wrap=True)


def _burst(
    design: Design,
    listener: ExecutionListener,
    uploader: Uploader,
    model: photos.Model,
    count: int,
    event_bus: str,
    is_local: bool,
) -> burst.Burst:
    """Send a burst of PNGs and JPEGs in equal parts."""
    pairs = zip(model.tiny, model.jpeg, strict=True)
    alternating = [photo for pair in pairs for photo in pair]
    chosen = [alternating[number % len(alternating)] for number in range(count)]
    # Starts as many workers as the burst needs, so that it has no cold starts and their memory is not its own.
    warm_up = burst.run(design, listener, uploader, chosen[:WARM_UP], event_bus, False, lambda _done: None)
    if warm_up.lost or warm_up.doubled:
        return warm_up
    with _progress_bar(f"Burst of {count} to {design.name}", count) as progress:
        return burst.run(design, listener, uploader, chosen, event_bus, is_local, progress)


def _endpoint_latency(deployed: Deployed, chosen: list[Source]) -> Latency:
    """Invoke the endpoint with each photo; returns the latency in milliseconds."""
    runtime: SageMakerRuntimeClient = boto3.client("sagemaker-runtime")
    durations = []
    for photo in chosen:
        started = time.perf_counter()
        runtime.invoke_endpoint(
            EndpointName=deployed.endpoint_name, ContentType="application/x-image", Body=photo.content
        )["Body"].read()
        durations.append((time.perf_counter() - started) * 1000)
    return Latency.of(durations)


@contextmanager
def _progress_bar(description: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar during the block; yields the function that sets how much is done."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(description, total=total)
        yield lambda done: bar.update(task, completed=done)
