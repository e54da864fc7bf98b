"""Upload many photos of one driver at once, and measure by how much they delay the photos of other drivers."""

import json
import threading
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from benchmarks.unique import unique_photos
from deploy.outputs import Deployed
from functions.shared.photo import Photo
from operate.errors import CommandError
from operate.event_listener import EventListener
from operate.latency import Latency
from operate.load import MAX_COUNT, PHOTOS_PER_DRIVER, Account, check
from operate.terminal import print_line
from operate.uploads import DUPLICATE_TIMEOUT_S, EVENT_TIMEOUT_S, Source, UploadResult

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef

RATE = 1.0
COUNT = 30
THREADS = 16
POLL_S = 0.5
# The rule of the stage matches only `uploads/`: objects here start no execution.
NO_EVENT_PREFIX = "flood-without-executions/"
_DELETED_AT_ONCE = 1000

# What one driver uploads while the others upload theirs.
ALONE, UPLOADS_ONLY, FLOOD = "others alone", "uploads without executions", "flood"


@dataclass(frozen=True)
class Plan:
    """`photos` of one driver at once; meanwhile other drivers send `rate` per second, at least `count` in all."""

    photos: int
    rate: float = RATE
    count: int = COUNT

    def __post_init__(self) -> None:
        """Raise CommandError for a number that makes no sense."""
        if not 1 <= self.photos <= MAX_COUNT or not 1 <= self.count <= MAX_COUNT or not self.rate > 0:
            raise CommandError(
                f"FLOOD and COUNT are 1 to {MAX_COUNT:,}, RATE is photos per second. Run: make load FLOOD=2000"
            )


@dataclass
class Phase:
    """The photos of one phase: those of the flood, which are none in the other phases, and those of other drivers."""

    flood: Account = field(default_factory=Account)
    others: Account = field(default_factory=Account)
    uploaded_s: float = 0.0
    ended_s: float = 0.0

    def apply(self, detail_type: str, detail: dict[str, Any]) -> bool:
        """Update the account that the photo of an event belongs to; return whether its outcome is new."""
        return self.flood.apply(detail_type, detail) or self.others.apply(detail_type, detail)

    @property
    def flood_waits(self) -> bool:
        """Whether a photo of the flood has no outcome yet."""
        return len(self.flood.latencies_ms) < len(self.flood.results)

    @property
    def waits(self) -> bool:
        """Whether any photo has no outcome yet."""
        return self.flood_waits or len(self.others.latencies_ms) < len(self.others.results)

    def figures(self) -> dict[str, Any]:
        """Return the outcomes, the reasons of rejections, seconds, and the latency of the others in milliseconds."""
        return {
            "flood": {
                "photos": len(self.flood.results),
                "outcomes": _outcomes(self.flood),
                "uploaded_s": round(self.uploaded_s, 1),
                "ended_s": round(self.ended_s, 1),
            },
            "others": {
                "photos": len(self.others.results),
                "outcomes": _outcomes(self.others),
                "latency_ms": vars(Latency.of(list(self.others.latencies_ms.values()))),
            },
        }


def run(deployed: Deployed, plan: Plan, report: Path) -> dict[str, Any]:
    """Measure the others alone, with the bare uploads of the flood, and with the flood; write and return the figures.

    Raises CommandError after the report is written when a photo was lost, has two outcomes, or was not uploaded.
    """
    run_name = f"flood-{datetime.now(UTC):%Y%m%dt%H%M%S}"
    config = Config(max_pool_connections=2 * THREADS, retries={"mode": "standard", "total_max_attempts": 3})
    s3: S3Client = boto3.client("s3", config=config)
    phases: dict[str, Phase] = {}
    with EventListener(deployed.event_bus) as listener:
        for number, name in enumerate((ALONE, UPLOADS_ONLY, FLOOD)):
            phases[name] = _Run(s3, deployed.uploads_bucket, plan, name, f"{run_name}-{number}").run(listener)
            _print_phase(name, phases[name].figures())
    figures = {"photos": plan.photos, "rate": plan.rate, **{name: phase.figures() for name, phase in phases.items()}}
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(json.dumps(figures, indent=2), encoding="utf-8")
    print_line(f"Report: {report}")
    for phase in phases.values():
        for account in (phase.flood, phase.others):
            check(account.figures())
    return figures


class _Run:
    """One phase, while it runs."""

    def __init__(self, s3: "S3Client", bucket: str, plan: Plan, name: str, run_name: str) -> None:
        self._s3, self._bucket, self._plan, self._name, self._run_name = s3, bucket, plan, name, run_name
        self._phase = Phase()
        self._flood_ended = threading.Event()

    def run(self, listener: EventListener) -> Phase:
        """Send the photos; receive events until each has an outcome, or none has arrived for EVENT_TIMEOUT_S."""
        phase = self._phase
        sources = list(islice(unique_photos(self._run_name), 0 if self._name == ALONE else self._plan.photos))
        began = last_arrival = time.monotonic()
        with ThreadPoolExecutor(2) as pool:
            flooding, sending = pool.submit(self._send_flood, sources), pool.submit(self._send_others)
            while not (flooding.done() and sending.done()) or phase.waits:
                for detail_type, detail in listener.events(POLL_S):
                    if phase.apply(detail_type, detail):
                        last_arrival = time.monotonic()
                    self._end_flood(flooding, began)
                self._end_flood(flooding, began)
                if time.monotonic() - last_arrival > EVENT_TIMEOUT_S:
                    break
            self._flood_ended.set()
            flooding.result()
            sending.result()
        for detail_type, detail in listener.events(DUPLICATE_TIMEOUT_S):
            phase.apply(detail_type, detail)
        return phase

    def _end_flood(self, flooding: "Future[None]", began: float) -> None:
        """Note the end of the flood once all its photos were sent and have an outcome."""
        if flooding.done() and not self._phase.flood_waits and not self._flood_ended.is_set():
            self._phase.ended_s = time.monotonic() - began
            self._flood_ended.set()

    def _send_flood(self, sources: list[Source]) -> None:
        """Upload the photos as fast as THREADS threads can; without executions, delete them again."""
        began = time.monotonic()
        executed = self._name == FLOOD
        account = self._phase.flood if executed else Account()
        prefix = "uploads/" if executed else NO_EVENT_PREFIX
        with ThreadPoolExecutor(THREADS) as pool:
            for number, source in enumerate(sources):
                pool.submit(self._put, account, f"{prefix}{self._run_name}/{number:05}.png", source)
        self._phase.uploaded_s = time.monotonic() - began
        if not executed:
            self._phase.flood.errors += account.errors
            keys = list(account.results)
            for start in range(0, len(keys), _DELETED_AT_ONCE):
                listed: list[ObjectIdentifierTypeDef] = [{"Key": key} for key in keys[start : start + _DELETED_AT_ONCE]]
                self._s3.delete_objects(Bucket=self._bucket, Delete={"Objects": listed, "Quiet": True})

    def _send_others(self) -> None:
        """Upload at the rate: `count` photos, with a flood until it has ended."""
        began = time.monotonic()
        with ThreadPoolExecutor(THREADS) as pool:
            for number, source in enumerate(unique_photos(f"{self._run_name} others")):
                time.sleep(max(0.0, began + number / self._plan.rate - time.monotonic()))
                if self._flood_ended.is_set() and (self._name != ALONE or number >= self._plan.count):
                    return
                key = f"uploads/{self._run_name}-{number // PHOTOS_PER_DRIVER:04}/{number:05}.png"
                pool.submit(self._put, self._phase.others, key, source)

    def _put(self, account: Account, key: str, source: Source) -> None:
        # Before the upload, because the event may arrive before the response.
        account.results[key] = UploadResult(source, Photo(self._bucket, key), time.time())
        try:
            self._s3.put_object(Bucket=self._bucket, Key=key, Body=source.content, ContentType=source.media_type)
        except (ClientError, BotoCoreError) as error:
            account.errors.append(f"{key}: {error}")


def _outcomes(account: Account) -> dict[str, int]:
    """Count the photos by outcome, the rejected ones by reason."""
    return dict(Counter(result.reason or result.outcome for result in account.results.values()))


def _print_phase(name: str, figures: dict[str, Any]) -> None:
    flood, others = figures["flood"], figures["others"]
    print_line(f"{name}:")
    if flood["photos"]:
        print_line(
            f"  flood: uploaded in {flood['uploaded_s']} s, outcomes after {flood['ended_s']} s: {flood['outcomes']}"
        )
    latency = ", ".join(f"{key} {value:,.0f}" for key, value in others["latency_ms"].items() if value is not None)
    print_line(f"  others: {others['outcomes']}; upload to outcome, ms: {latency}")
