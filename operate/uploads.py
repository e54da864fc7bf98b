"""Uploading photos as drivers do, and following each to what became of it."""

import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path, PurePath
from typing import Any

import boto3

from deploy.outputs import Deployed
from functions.shared.photo import Photo
from operate.errors import CommandError
from operate.event_listener import Tap
from operate.photo_folders import (
    MEDIA_TYPES,
    UNSUPPORTED,
    LeftOut,
    PhotoFolderError,
    describe_left_out,
    key_name,
    printable,
    read_any_folder,
    read_each,
)
from training.vehicles import OTHER, configured_vehicles

DRIVERS = 12
UNDER_WAY = 3
UPLOADS_AT_A_TIME = 8
# Nothing is silent for so long while photos are under way, even with a cold endpoint and all its retries.
SILENCE_S = 60.0

ROUTED, IN_REVIEW, REJECTED, LOST = "routed", "in review", "rejected", "lost"


@dataclass(frozen=True)
class Source:
    """A photo to upload: its bytes, and what is on it where that is known. `name` can be printed."""

    name: str
    content: bytes
    label: str | None = None

    @property
    def expected(self) -> str | None:
        """The vehicle that a right decision names: a label that is none of our vehicles means `other`."""
        return self.label if self.label is None or self.label in configured_vehicles() else OTHER

    @property
    def media_type(self) -> str:
        """The Content-Type by the suffix of its name."""
        return MEDIA_TYPES.get(PurePath(self.name).suffix.lower(), "application/octet-stream")


@dataclass(frozen=True)
class Selection:
    """What a command was given: the photos to upload, and the files it leaves out."""

    sources: list[Source]
    left_out: list[LeftOut]


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


def photos_in(path: Path) -> Selection:
    """One file, or every photo under a folder; `~` is the home folder in any shell.

    Photos have a label only in a folder of class folders: one in which a folder is named after a vehicle. Raises
    CommandError when there is nothing to upload, and when a class folder looks like a vehicle but is not named so.
    """
    path = path.expanduser()
    shown = printable(path)
    if path.is_file():
        if kind := UNSUPPORTED.get(path.suffix.lower()):
            raise CommandError(f"{shown} is a {kind} file, which cannot be read. Export it as JPEG.")
        try:
            return Selection([Source(printable(path.name), path.read_bytes())], [])
        except OSError as error:
            raise CommandError(f"{shown} cannot be read: {error.strerror}.") from error
    if not path.is_dir():
        raise CommandError(f"There is no photo or folder {shown}. Pass PHOTOS=<file or folder>.")
    try:
        found = read_any_folder(path, configured_vehicles())
    except PhotoFolderError as error:
        raise CommandError(f"{error}.") from error
    left_out = list(found.left_out)
    sources = [
        Source(printable(photo.path.name), content, photo.class_name)
        for photo, content in read_each(found.photos, left_out)
    ]
    if not sources:
        raise CommandError(". ".join([f"There is no JPEG, PNG or WebP file in {shown}", *describe_left_out(left_out)]))
    return Selection(sources, left_out)


def object_key(run: str, number: int, source: Source) -> str:
    """The key under which photo `number` of a run is uploaded.

    >>> object_key("20261127", 3, Source("bike.jpg", b""))
    'uploads/driver-04/20261127-0003-bike.jpg'
    """
    return f"uploads/driver-{number % DRIVERS + 1:02}/{run}-{number:04}-{key_name(source.name)}"


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
        key = object_key(run, number, source)
        sent_at = time.time()
        etag = s3.put_object(
            Bucket=deployed.uploads_bucket, Key=key, Body=source.content, ContentType=source.media_type
        )["ETag"]
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

    A photo counts as rightly routed when the decision names the vehicle of its label, or `other` where the label is
    none of our vehicles; one without a label does not count.
    `p50_ms` and `p95_ms` are over the photos that needed no person. Figures without any photo are None.
    """
    outcomes = Counter(journey.outcome for journey in journeys)
    judged = [journey for journey in journeys if journey.outcome == ROUTED and journey.source.label]
    right = sum(journey.decision["vehicle"] == journey.source.expected for journey in judged)
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
