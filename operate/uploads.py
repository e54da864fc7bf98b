"""Uploading photos as drivers do, and following each to what became of it."""

import mimetypes
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import boto3

from functions.shared.photo import Photo
from operate.errors import CommandError
from operate.stack import Deployed
from operate.tap import Tap

PHOTO_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
DRIVERS = 12
UNDER_WAY = 3
UPLOADS_AT_A_TIME = 8
# Nothing is silent for so long while photos are under way, even with a cold endpoint and all its retries.
SILENCE_S = 60.0

ROUTED, IN_REVIEW, REJECTED, LOST = "routed", "in review", "rejected", "lost"


@dataclass(frozen=True)
class Source:
    """A photo to upload: its bytes, and what is on it where that is known."""

    name: str
    content: bytes
    label: str | None = None


@dataclass
class Journey:
    """One uploaded photo: when it was sent (epoch seconds), what happened to it, and how often each event said so."""

    source: Source
    photo: Photo
    sent_at: float
    outcome: str = LOST
    decision: dict[str, Any] = field(default_factory=dict)
    reason: str = ""
    said: Counter[str] = field(default_factory=Counter)

    @property
    def duplicated(self) -> bool:
        """Whether any event about this photo was published twice, or two events contradict each other."""
        ends = self.said["Driver Routed"] + self.said["Photo Rejected"]
        return ends > 1 or self.said["Review Requested"] > 1

    @property
    def latency_ms(self) -> float | None:
        """From the start of the upload to the decision or rejection; None while a person is asked."""
        ended = self.decision.get("decided_at") or self.decision.get("rejected_at")
        if not ended or self.said["Review Requested"]:
            return None
        return (datetime.fromisoformat(ended).timestamp() - self.sent_at) * 1000

    def hear(self, detail_type: str, detail: dict[str, Any]) -> None:
        """Take in one event about this photo."""
        self.said[detail_type] += 1
        if detail_type == "Driver Routed":
            self.outcome, self.decision = ROUTED, detail
        elif detail_type == "Photo Rejected":
            self.outcome, self.decision, self.reason = REJECTED, detail, detail["rejected"]["reason"]
        elif detail_type == "Review Requested" and self.outcome == LOST:
            self.outcome, self.reason = IN_REVIEW, detail["reason"]


def photos_in(path: Path) -> list[Source]:
    """One photo, or every photo under a folder; a sub-folder's name is the label. Raises CommandError."""
    if path.is_file():
        return [Source(path.name, path.read_bytes())]
    if not path.is_dir():
        raise CommandError(f"There is no photo or folder {path}. Pass PHOTOS=<file or folder>.")
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in PHOTO_SUFFIXES and file.is_file())
    if not files:
        raise CommandError(f"There is no JPEG, PNG or WebP file in {path}.")
    return [Source(file.name, file.read_bytes(), file.parent.name) for file in files]


def send(
    deployed: Deployed,
    tap: Tap,
    sources: Sequence[Source],
    progress: Callable[[Journey, int, int], None],
    under_way: int = UNDER_WAY,
) -> list[Journey]:
    """Upload photos and wait until every one has an outcome, or nothing has happened for a minute.

    At most `under_way` photos wait for their outcome at a time; as many as there are photos makes a burst.
    `progress` is called for each photo that reached an outcome, with how many have and how many there are.
    """
    s3: Any = boto3.client("s3")
    run = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")

    def upload(numbered: tuple[int, Source]) -> Journey:
        number, source = numbered
        key = f"uploads/driver-{number % DRIVERS + 1:02}/{run}-{number:04}-{source.name}"
        sent_at = time.time()
        kind = mimetypes.guess_type(source.name)[0] or "application/octet-stream"
        etag = s3.put_object(Bucket=deployed.uploads_bucket, Key=key, Body=source.content, ContentType=kind)["ETag"]
        return Journey(source, Photo(deployed.uploads_bucket, key, etag.strip('"'), len(source.content)), sent_at)

    waiting = iter(enumerate(sources))
    by_id: dict[str, Journey] = {}

    def upload_next(count: int) -> None:
        with ThreadPoolExecutor(UPLOADS_AT_A_TIME) as pool:
            for journey in pool.map(upload, islice(waiting, count)):
                by_id[journey.photo.photo_id] = journey

    upload_next(under_way)
    done = 0
    for detail_type, detail in tap.events(SILENCE_S):
        journey = by_id.get(detail.get("photo", {}).get("photo_id", ""))
        if journey is None:
            continue
        was_lost = journey.outcome == LOST
        journey.hear(detail_type, detail)
        if was_lost and journey.outcome != LOST:
            done += 1
            progress(journey, done, len(sources))
            upload_next(1)
        if done == len(sources):
            break
    # What is published twice comes right behind.
    for detail_type, detail in tap.events(2):
        if journey := by_id.get(detail.get("photo", {}).get("photo_id", "")):
            journey.hear(detail_type, detail)
    journeys = list(by_id.values())
    _look_up(deployed, [journey for journey in journeys if journey.outcome == LOST])
    return journeys


def _look_up(deployed: Deployed, silent: Iterable[Journey]) -> None:
    """A photo whose event did not reach us is lost only if the tables do not know it either."""
    dynamodb: Any = boto3.resource("dynamodb")
    for journey in silent:
        key = {"photo_id": journey.photo.photo_id}
        if decision := dynamodb.Table(deployed.decision_table).get_item(Key=key).get("Item"):
            journey.outcome, journey.decision = ROUTED, decision
        elif pending := dynamodb.Table(deployed.photo_table).get_item(Key=key).get("Item"):
            journey.outcome = REJECTED if pending["status"] == "rejected" else IN_REVIEW
            journey.reason = pending["reason"]


def summary(journeys: Sequence[Journey]) -> dict[str, Any]:
    """The figures of a run: counts by outcome, the accuracy of what was routed, and latency in milliseconds.

    A photo counts as rightly routed when its label is the vehicle of the decision; one without a label does not count.
    `p50_ms` and `p95_ms` are over the photos that needed no person. Figures without any photo are None.
    """
    outcomes = Counter(journey.outcome for journey in journeys)
    judged = [journey for journey in journeys if journey.outcome == ROUTED and journey.source.label]
    right = sum(journey.decision["vehicle"] == journey.source.label for journey in judged)
    latencies = sorted(latency for journey in journeys if (latency := journey.latency_ms) is not None)
    return {
        "uploaded": len(journeys),
        "routed": outcomes[ROUTED],
        "in_review": outcomes[IN_REVIEW],
        "rejected": outcomes[REJECTED],
        "lost": outcomes[LOST],
        "duplicated": sum(journey.duplicated for journey in journeys),
        "accuracy_of_routed": right / len(judged) if judged else None,
        "p50_ms": round(statistics.median(latencies), 1) if latencies else None,
        "p95_ms": round(latencies[min(len(latencies) - 1, int(0.95 * len(latencies)))], 1) if latencies else None,
    }
