"""Send a stream or a burst of generated photos, and account for every one of them."""

import json
import threading
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import numpy as np
from botocore.config import Config
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.unique import unique_photos
from deploy.outputs import Deployed
from functions.shared.photo import Photo
from operate.errors import CommandError
from operate.event_listener import EventListener
from operate.latency import percentiles
from operate.terminal import console, print_line
from operate.uploads import DUPLICATE_TIMEOUT_S, EVENT_TIMEOUT_S, LOST, Source, UploadResult

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MAX_COUNT = 20_000
MAX_DURATION_S = 3600.0
UPLOAD_THREADS = 32
POLL_S = 1.0
SHOWN = 20
# Far below the limit of uploads per driver and minute.
PHOTOS_PER_DRIVER = 5

_TIMES = {"Driver Routed": "decided_at", "Photo Rejected": "rejected_at", "Review Requested": "requested_at"}


@dataclass(frozen=True)
class Plan:
    """`burst` photos that are sent at once, then `count` photos at `rate` per second.

    The intervals of the stream are equal, or with a `seed` random as those of independent drivers (a Poisson process).
    """

    rate: float
    count: int
    burst: int = 0
    seed: int | None = None

    def __post_init__(self) -> None:
        """Raise CommandError when there is no photo, when there are too many, and when sending takes too long."""
        if self.count < 0 or self.burst < 0 or not 1 <= self.total <= MAX_COUNT:
            raise CommandError(f"{self.total} photos were asked for; COUNT and BURST are together 1 to {MAX_COUNT:,}.")
        if self.count and not self.rate > 0:
            raise CommandError("A stream needs RATE, photos per second. Run: make load RATE=5 COUNT=100")
        if self.duration_s > MAX_DURATION_S:
            raise CommandError(
                f"{self.count} photos at {self.rate:g} per second take {self.duration_s:,.0f} s, more than "
                f"{MAX_DURATION_S:,.0f} s. Raise RATE or lower COUNT."
            )

    @property
    def total(self) -> int:
        """The number of photos."""
        return self.burst + self.count

    @property
    def duration_s(self) -> float:
        """Seconds from the first to the last due time; those to expect when intervals are random."""
        return self.count / self.rate if self.count else 0.0

    def due_times(self) -> Iterator[float]:
        """Yield the due time of each photo in seconds from the start.

        >>> list(Plan(rate=2, count=3, burst=2).due_times())
        [0.0, 0.0, 0.0, 0.5, 1.0]
        """
        yield from (0.0 for _ in range(self.burst))
        if self.seed is None:
            yield from (number / self.rate for number in range(self.count))
            return
        yield from np.random.default_rng(self.seed).exponential(1 / self.rate, self.count).cumsum().tolist()


@dataclass
class Account:
    """Every photo of a run, by S3 key, with its events. The due time of a photo is its result's `sent_at`."""

    results: dict[str, UploadResult] = field(default_factory=dict)
    latencies_ms: dict[str, float] = field(default_factory=dict)
    late_ms: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def apply(self, detail_type: str, detail: dict[str, Any]) -> bool:
        """Update the account with one event; return whether it is the first about one of its photos."""
        key = detail.get("photo", {}).get("key", "")
        result = self.results.get(key)
        if result is None or detail_type not in _TIMES:
            return False
        result.apply(detail_type, detail)
        if key in self.latencies_ms:
            return False
        ended = datetime.fromisoformat(detail[_TIMES[detail_type]]).timestamp()
        self.latencies_ms[key] = (ended - result.sent_at) * 1000
        return True

    def figures(self) -> dict[str, Any]:
        """Return outcomes, the keys of lost and doubled photos, and latencies in milliseconds.

        A latency is from the due time of a photo to its decision, rejection or review request; `latencies_ms` has all
        of them in ascending order. `late_ms` is by how much uploads started after their due times.
        """
        outcomes = Counter(result.outcome for result in self.results.values())
        return {
            "uploaded": len(self.results),
            "outcomes": {name: count for name, count in sorted(outcomes.items()) if name != LOST},
            "lost": sorted(key for key, result in self.results.items() if result.outcome == LOST),
            "doubled": sorted(key for key, result in self.results.items() if result.duplicated),
            "upload_errors": self.errors[:SHOWN],
            "latency_ms": percentiles(list(self.latencies_ms.values())),
            "latencies_ms": sorted(round(value, 1) for value in self.latencies_ms.values()),
            "late_ms": percentiles(self.late_ms),
        }

    def steady_rate(self, sent_until: float) -> float | None:
        """Return the outcomes per second after the first tenth of them, while photos were sent; None for a few photos.

        `sent_until` is when the last photo was sent, in epoch seconds. Later outcomes come faster, because the machine
        of an embedded AWS has no uploads to receive any more.
        """
        ended = sorted(self.results[key].sent_at + ms / 1000 for key, ms in self.latencies_ms.items())
        first, last = len(ended) // 10, bisect_right(ended, sent_until) - 1
        if first == 0 or last <= first or ended[last] == ended[first]:
            return None
        return round((last - first) / (ended[last] - ended[first]), 2)


def run(deployed: Deployed, plan: Plan, report: Path) -> dict[str, Any]:
    """Send the photos at their due times whether or not earlier ones have an outcome; write and return the figures.

    Raises CommandError after the report is written when a photo was lost, has two outcomes, or was not uploaded.
    """
    run_name = f"load-{datetime.now(UTC):%Y%m%dt%H%M%S}"
    account = Account()
    print_line(f"{plan.burst} photos at once, {plan.count} at {plan.rate:g} per second, drivers {run_name}-…")
    with EventListener(deployed.event_bus) as listener, _progress(plan.total) as show:
        config = Config(max_pool_connections=UPLOAD_THREADS, retries={"mode": "standard", "total_max_attempts": 3})
        s3: S3Client = boto3.client("s3", config=config)
        photos = islice(unique_photos(run_name), plan.total)
        started, stopped = time.time(), threading.Event()
        with ThreadPoolExecutor(1) as pool:
            sending = pool.submit(_send, s3, deployed.uploads_bucket, photos, plan, run_name, account, started, stopped)
            try:
                _receive(listener, account, plan, sending, show)
                sent_until = sending.result()
            finally:
                stopped.set()
        seconds = time.time() - started
        for detail_type, detail in listener.events(DUPLICATE_TIMEOUT_S):
            account.apply(detail_type, detail)
    figures = {
        "rate": plan.rate,
        "count": plan.count,
        "burst": plan.burst,
        "drivers": run_name,
        "seconds": round(seconds, 1),
        "outcomes_per_s": round(len(account.latencies_ms) / seconds, 2),
        "steady_outcomes_per_s": account.steady_rate(sent_until),
        **account.figures(),
    }
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(json.dumps(figures, indent=2), encoding="utf-8")
    _print_figures(figures)
    print_line(f"Report: {report}")
    check(figures)
    return figures


def _send(
    s3: "S3Client",
    bucket: str,
    photos: Iterator[Source],
    plan: Plan,
    run_name: str,
    account: Account,
    started: float,
    stopped: threading.Event,
) -> float:
    """Upload each photo at its due time until `stopped` is set; return when that ended, in epoch seconds.

    `started` is due time 0 in epoch seconds.
    """

    def put(key: str, source: Source, due: float) -> None:
        account.late_ms.append(max(0.0, time.time() - due) * 1000)
        s3.put_object(Bucket=bucket, Key=key, Body=source.content, ContentType=source.media_type)

    with ThreadPoolExecutor(UPLOAD_THREADS) as pool:
        pending: list[tuple[str, Future[None]]] = []
        for number, (due_s, source) in enumerate(zip(plan.due_times(), photos, strict=True)):
            due = started + due_s
            if stopped.wait(max(0.0, due - time.time())):
                pool.shutdown(cancel_futures=True)
                return time.time()
            key = f"uploads/{run_name}-{number // PHOTOS_PER_DRIVER:04}/{number:05}-{source.name}"
            # Before the upload, because the event may arrive before the response.
            account.results[key] = UploadResult(source, Photo(bucket, key), due)
            pending.append((key, pool.submit(put, key, source, due)))
        for key, sent in pending:
            if error := sent.exception():
                account.errors.append(f"{key}: {error}")
    return time.time()


def _receive(
    listener: EventListener, account: Account, plan: Plan, sending: Future[float], show: Callable[[Account], None]
) -> None:
    """Receive events until every photo has an outcome, or none has arrived for EVENT_TIMEOUT_S after the sending."""
    last_arrival = time.monotonic()
    while len(account.latencies_ms) < plan.total:
        for detail_type, detail in listener.events(POLL_S):
            if account.apply(detail_type, detail):
                last_arrival = time.monotonic()
            show(account)
            if len(account.latencies_ms) == plan.total:
                return
        show(account)
        if not sending.done():
            last_arrival = time.monotonic()
        elif time.monotonic() - last_arrival > EVENT_TIMEOUT_S:
            return


@contextmanager
def _progress(total: int) -> Iterator[Callable[[Account], None]]:
    """Show how many photos were sent and have an outcome, and the latency; yields the function that updates it."""
    columns = (TextColumn("{task.description:<8}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.fields[note]}"), console=console) as bar:
        sent, ended = (bar.add_task(name, total=total, note="") for name in ("sent", "outcomes"))

        def show(account: Account) -> None:
            found = percentiles(list(account.latencies_ms.values()), (50, 95))
            note = "" if found["p50"] is None else f"median {found['p50']:,.0f} ms, 95% {found['p95']:,.0f} ms"
            bar.update(sent, completed=len(account.late_ms))
            bar.update(ended, completed=len(account.latencies_ms), note=note)

        yield _at_most_every(0.5, show)


def _at_most_every(seconds: float, call: Callable[[Account], None]) -> Callable[[Account], None]:
    """Return a function that skips calls within `seconds` of the last one, except when all photos have an outcome."""
    last = 0.0

    def limited(account: Account) -> None:
        nonlocal last
        if time.monotonic() - last >= seconds or len(account.latencies_ms) == len(account.results):
            last = time.monotonic()
            call(account)

    return limited


def _print_figures(figures: dict[str, Any]) -> None:
    outcomes = ", ".join(f"{count} {name}" for name, count in figures["outcomes"].items())
    print_line(f"{figures['uploaded']} photos in {figures['seconds']} s: {outcomes or 'no outcome'}")
    for name, title in (("latency_ms", "due time to outcome"), ("late_ms", "uploads started late by")):
        values = (f"{key} {value:,.0f}" for key, value in figures[name].items() if value is not None)
        print_line(f"  {title}, ms: {', '.join(values)}")
    for name in ("lost", "doubled"):
        _print_keys(name, figures[name])


def _print_keys(name: str, keys: Sequence[str]) -> None:
    for key in keys[:SHOWN]:
        print_line(f"  {name}: {key}")
    if len(keys) > SHOWN:
        print_line(f"  {name}: {len(keys) - SHOWN} more, in the report")


def check(figures: dict[str, Any]) -> None:
    """Raise CommandError when a photo was lost, doubled or not uploaded."""
    if figures["upload_errors"]:
        raise CommandError(f"Uploads failed, the first is {figures['upload_errors'][0]}.")
    if figures["lost"] or figures["doubled"]:
        raise CommandError(
            f"{len(figures['lost'])} photos have no outcome, {len(figures['doubled'])} have two. "
            "Check the history of their executions, and the unrouted queue with `make status`."
        )
