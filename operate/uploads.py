"""Upload photos under the prefix of drivers and wait for the outcome of each."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import ClientError

from deploy.outputs import Deployed
from functions.shared import photo_record
from functions.shared.photo import Photo
from functions.shared.photo_table import PhotoTable
from operate.errors import CommandError
from operate.event_listener import EventListener
from operate.latency import Latency
from operate.photo_folders import (
    MEDIA_TYPES,
    LeftOut,
    PhotoFolderError,
    describe_left_out,
    key_name,
    printable,
    read_any_folder,
    read_each,
)
from training.vehicles import OTHER, configured_vehicles

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

DRIVERS = 12
MAX_IN_FLIGHT = 3
UPLOAD_THREADS = 8
# Longer than a cold start of the endpoint with all retries.
EVENT_TIMEOUT_S = 60.0
# A duplicate of an event arrives within this time after the event.
DUPLICATE_TIMEOUT_S = 2.0

ROUTED, IN_REVIEW, REJECTED, LOST = "routed", "in review", "rejected", "lost"


@dataclass(frozen=True)
class Source:
    """A photo to upload: its bytes, and its label or None. `name` is printable."""

    name: str
    content: bytes
    label: str | None = None

    @property
    def expected(self) -> str | None:
        """The vehicle of a correct decision: the label, or `other` for a label that is none of our vehicles."""
        return self.label if self.label is None or self.label in configured_vehicles() else OTHER

    @property
    def media_type(self) -> str:
        """The Content-Type for the suffix of its name."""
        return MEDIA_TYPES.get(PurePath(self.name).suffix.lower(), "application/octet-stream")


@dataclass(frozen=True)
class Selection:
    """The photos to upload, and the files that are left out."""

    sources: list[Source]
    left_out: list[LeftOut]


@dataclass
class UploadResult:
    """The outcome of one uploaded photo. `sent_at` is epoch seconds; `event_counts` counts its events by detail-type.

    `decision` is the detail of the event with the decision or the rejection.
    """

    source: Source
    photo: Photo
    sent_at: float
    outcome: str = LOST
    decision: dict[str, Any] = field(default_factory=dict)
    reason: str = ""
    event_counts: Counter[str] = field(default_factory=Counter)

    @property
    def duplicated(self) -> bool:
        """Whether an event about this photo was published twice, or it was both routed and rejected."""
        ends = self.event_counts["Driver Routed"] + self.event_counts["Photo Rejected"]
        return ends > 1 or self.event_counts["Review Requested"] > 1

    @property
    def latency_ms(self) -> float | None:
        """Milliseconds from the start of the upload to the decision or rejection; None after a review request."""
        ended = self.decision.get("decided_at") or self.decision.get("rejected_at")
        if not ended or self.event_counts["Review Requested"]:
            return None
        return (datetime.fromisoformat(ended).timestamp() - self.sent_at) * 1000

    def apply(self, detail_type: str, detail: dict[str, Any]) -> None:
        """Update the result with one event about this photo."""
        self.event_counts[detail_type] += 1
        if detail_type == "Driver Routed":
            self.outcome, self.decision = ROUTED, detail
        elif detail_type == "Photo Rejected":
            self.outcome, self.decision, self.reason = REJECTED, detail, detail["rejected"]["reason"]
        elif detail_type == "Review Requested" and self.outcome == LOST:
            self.outcome, self.reason = IN_REVIEW, detail["reason"]


def find_photos(path: Path) -> Selection:
    """Read one file, or every photo under a folder; `~` is the home folder.

    Photos have labels only in a folder of class folders: one in which a folder is named after a vehicle. Raises
    CommandError when there is no photo, and when the name of a class folder is similar to a vehicle's.
    """
    path = path.expanduser()
    shown = printable(path)
    if path.is_file():
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
        nothing = f"There is no JPEG, PNG, WebP, HEIC or AVIF file in {shown}"
        raise CommandError(". ".join([nothing, *describe_left_out(left_out)]))
    return Selection(sources, left_out)


def object_key(run: str, number: int, source: Source) -> str:
    """Return the S3 key of photo `number` of a run.

    >>> object_key("20261127", 3, Source("bike.jpg", b""))
    'uploads/driver-04/20261127-0003-bike.jpg'
    """
    return f"uploads/driver-{number % DRIVERS + 1:02}/{run}-{number:04}-{key_name(source.name)}"


def upload(
    deployed: Deployed,
    listener: EventListener,
    sources: Sequence[Source],
    progress: Callable[[UploadResult, int, int], None],
    max_in_flight: int = MAX_IN_FLIGHT,
) -> list[UploadResult]:
    """Upload photos and wait until every one has an outcome, or no event has arrived for EVENT_TIMEOUT_S.

    Raises CommandError when the stage accepts no uploads.

    At most `max_in_flight` photos wait for their outcome at a time; `len(sources)` makes a burst.
    `progress` is called with each result that reached an outcome, how many have, and how many photos there are.
    """
    s3: S3Client = boto3.client("s3")
    run = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")

    def put(numbered: tuple[int, Source]) -> UploadResult:
        number, source = numbered
        key = object_key(run, number, source)
        sent_at = time.time()
        try:
            etag = s3.put_object(
                Bucket=deployed.uploads_bucket, Key=key, Body=source.content, ContentType=source.media_type
            )["ETag"]
        except ClientError as error:
            if explanation := deployed.explain_denied_upload(error):
                raise CommandError(explanation) from error
            raise
        return UploadResult(source, Photo(deployed.uploads_bucket, key, etag.strip('"'), len(source.content)), sent_at)

    waiting = iter(enumerate(sources))
    by_id: dict[str, UploadResult] = {}

    def put_next(count: int) -> None:
        with ThreadPoolExecutor(UPLOAD_THREADS) as pool:
            for result in pool.map(put, islice(waiting, count)):
                by_id[result.photo.photo_id] = result

    put_next(max_in_flight)
    done = 0
    for detail_type, detail in listener.events(EVENT_TIMEOUT_S):
        result = by_id.get(detail.get("photo", {}).get("photo_id", ""))
        if result is None:
            continue
        was_lost = result.outcome == LOST
        result.apply(detail_type, detail)
        if was_lost and result.outcome != LOST:
            done += 1
            progress(result, done, len(sources))
            put_next(1)
        if done == len(sources):
            break
    for detail_type, detail in listener.events(DUPLICATE_TIMEOUT_S):
        if result := by_id.get(detail.get("photo", {}).get("photo_id", "")):
            result.apply(detail_type, detail)
    results = list(by_id.values())
    _read_outcomes(deployed, [result for result in results if result.outcome == LOST])
    return results


def _read_outcomes(deployed: Deployed, results: Iterable[UploadResult]) -> None:
    """Read the outcomes whose events did not arrive from the records; without outcome or review a photo stays LOST."""
    photos = PhotoTable(deployed.photo_table, boto3.client("dynamodb"))
    for result in results:
        record = photos.get(result.photo.photo_id)
        if record is None:
            continue
        if record.outcome is not None:
            result.outcome = ROUTED if record.status == photo_record.ROUTED else REJECTED
            result.decision = dict(record.outcome)
            result.reason = record.outcome.get("rejected", {}).get("reason", "")
        elif record.status == photo_record.IN_REVIEW and record.review:
            result.outcome, result.reason = IN_REVIEW, record.review["reason"]
        elif record.status == photo_record.UNROUTED and record.error:
            result.reason = record.error["Error"]


def next_steps(results: Sequence[UploadResult]) -> list[str]:
    """Return what to do about photos that have no decision yet, one line for each command."""
    steps = []
    if waiting := sum(result.outcome == IN_REVIEW for result in results):
        steps.append(f"{_photos(waiting)} for a person: make review")
    if lost := sum(result.outcome == LOST for result in results):
        steps.append(f"{_photos(lost)} for an outcome: make reconcile")
    return steps


def _photos(count: int) -> str:
    return "1 photo waits" if count == 1 else f"{count} photos wait"


def summary(results: Sequence[UploadResult]) -> dict[str, Any]:
    """Return counts by outcome, the accuracy of the routed photos, and latency in milliseconds.

    A routed photo is correct when the decision names the vehicle of its label, or `other` where the label is none of
    our vehicles; photos without a label are not counted. `p50_ms` and `p95_ms` are over the photos without a
    review. Accuracy and latency are None when they have no photo.
    """
    outcomes = Counter(result.outcome for result in results)
    labelled = [result for result in results if result.outcome == ROUTED and result.source.label]
    correct = sum(result.decision["vehicle"] == result.source.expected for result in labelled)
    latency = Latency.of([result.latency_ms for result in results if result.latency_ms is not None])
    return {
        "uploaded": len(results),
        "routed": outcomes[ROUTED],
        "in_review": outcomes[IN_REVIEW],
        "rejected": outcomes[REJECTED],
        "lost": outcomes[LOST],
        "duplicated": sum(result.duplicated for result in results),
        "accuracy_of_routed": correct / len(labelled) if labelled else None,
        "p50_ms": latency.p50,
        "p95_ms": latency.p95,
    }
