"""How fast, how many and how big: each figure beside its baseline from the same run."""

import json
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from rich.table import Table

from deploy.outputs import Deployed
from operate.errors import CommandError
from operate.event_listener import Tap
from operate.show import console
from operate.uploads import Journey, Source, send, summary

WARM = 30
BURST = 200
SAMPLE_EVERY_S = 0.25


def run(deployed: Deployed, photos: list[Source], report: Path, memory: Callable[[], int] | None) -> dict[str, Any]:
    """Measure and write the report. `memory` gives the bytes in use by the whole system, where that can be known."""
    some = [photos[number % len(photos)] for number in range(max(WARM, BURST))]
    with Tap(deployed.event_bus) as tap, _peak(memory) as peak:
        console.print(f"Warming up, then {WARM} photos one after the other …")
        send(deployed, tap, some[:8], _silent, under_way=4)
        one_by_one = send(deployed, tap, some[:WARM], _silent, under_way=1)
        console.print(f"{WARM} times the model alone …")
        model_alone = _invoke(deployed, some[:WARM])
        console.print(f"A burst of {BURST} photos …")
        started = time.monotonic()
        burst = send(deployed, tap, some[:BURST], _silent, under_way=BURST)
        burst_s = time.monotonic() - started
    single, many = summary(one_by_one), summary(burst)
    figures = {
        "photo_to_outcome_ms": {**_spread([j.latency_ms for j in one_by_one if j.latency_ms is not None])},
        "model_alone_ms": _spread(model_alone),
        "burst": {
            **{name: many[name] for name in ("uploaded", "routed", "in_review", "rejected", "lost", "duplicated")},
            "seconds": round(burst_s, 1),
            "photos_per_s": round(len(burst) / burst_s, 1),
        },
        "peak_memory_mb": round(max(peak) / 1e6) if peak else None,
    }
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(json.dumps(figures, indent=2), encoding="utf-8")
    _show(figures)
    if single["lost"] or many["lost"] or many["duplicated"]:
        raise CommandError(f"{single['lost'] + many['lost']} photos were lost, {many['duplicated']} came twice.")
    return figures


def _invoke(deployed: Deployed, photos: list[Source]) -> list[float]:
    runtime: Any = boto3.client("sagemaker-runtime")
    taken = []
    for photo in photos:
        started = time.perf_counter()
        runtime.invoke_endpoint(
            EndpointName=deployed.endpoint_name, ContentType="application/x-image", Body=photo.content
        )["Body"].read()
        taken.append((time.perf_counter() - started) * 1000)
    return taken


@contextmanager
def _peak(memory: Callable[[], int] | None) -> Iterator[list[int]]:
    samples: list[int] = []
    done = threading.Event()

    def sample() -> None:
        while memory and not done.wait(SAMPLE_EVERY_S):
            samples.append(memory())

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield samples
    finally:
        done.set()
        thread.join()


def _spread(values: list[float]) -> dict[str, float | int | None]:
    """Count, median, 95th percentile and largest of values in milliseconds."""
    if not values:
        return {"count": 0, "p50": None, "p95": None, "max": None}
    ordered = sorted(values)
    p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    return {
        "count": len(ordered),
        "p50": round(statistics.median(ordered), 1),
        "p95": round(p95, 1),
        "max": round(ordered[-1], 1),
    }


def _show(figures: dict[str, Any]) -> None:
    grid = Table(title="Latency, milliseconds", title_justify="left")
    for heading in ("what", "count", "median", "95%", "largest"):
        grid.add_column(heading, justify="left" if heading == "what" else "right")
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
        console.print(f"Peak memory of everything together: {figures['peak_memory_mb']:,} MB")


def _silent(journey: Journey, done: int, total: int) -> None:
    pass
