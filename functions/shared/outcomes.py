"""The outcome of a photo, a decision or a rejection: recorded once, then announced as an event.

An event is published at least once: a function that fails between the event and `mark_announced` publishes it again.
Consumers deduplicate on `photo.photo_id` and `execution`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from functions.shared.errors import AnnouncementPending, InvalidInput, PhotoInProgress
from functions.shared.events import EventBus
from functions.shared.photo import Photo
from functions.shared.photo_record import ROUTED, PhotoRecord
from functions.shared.photo_table import PhotoTable, Refused
from functions.shared.times import timestamp

# The timeout of the functions that announce: after it, the execution that recorded an outcome does not announce it.
ANNOUNCED_WITHIN = timedelta(seconds=30)


@dataclass(frozen=True)
class Recorded:
    """The recorded outcome of a photo, and whether this call published its event."""

    outcome: Mapping[str, Any]
    announced: bool


def record_and_announce(
    photo: Photo,
    status: str,
    outcome: Mapping[str, Any],
    at: datetime,
    photos: PhotoTable,
    bus: EventBus,
) -> Recorded:
    """Record an outcome unless the photo has one, and announce the recorded one, new or old.

    `status` is ROUTED or REJECTED. Raises PhotoInProgress when another execution will record the outcome;
    AnnouncementPending, RecordUnavailable, EventNotPublished.
    """
    execution = str(outcome["execution"])
    try:
        photos.record_outcome(photo, status, execution, at, outcome=outcome)
    except Refused as refused:
        record = refused.record
        if not record.has_outcome:
            raise PhotoInProgress(f"{photo} is {record.status}; its outcome is that of {record.execution}") from refused
        return announce(record, execution, at, photos, bus)
    return announce_new(photo, status, outcome, at, photos, bus)


def announce_new(
    photo: Photo, status: str, outcome: Mapping[str, Any], at: datetime, photos: PhotoTable, bus: EventBus
) -> Recorded:
    """Publish the event of an outcome that its execution recorded at the time `at`, without reading the record.

    Raises RecordUnavailable, EventNotPublished.
    """
    execution = str(outcome["execution"])
    record = PhotoRecord(photo, status, timestamp(at), timestamp(at), execution, outcome=outcome)
    return announce(record, execution, at, photos, bus)


def announce(record: PhotoRecord, execution: str, at: datetime, photos: PhotoTable, bus: EventBus) -> Recorded:
    """Publish the event of a recorded outcome unless it was published.

    The execution that recorded the outcome publishes it. Any other caller does so only when that is overdue, and one of
    several such callers, because each would publish it otherwise; the others get AnnouncementPending. Raises
    InvalidInput when the photo has no outcome, RecordUnavailable, EventNotPublished.
    """
    if record.outcome is None:
        raise InvalidInput(f"{record.photo} has no outcome: its record is {record.status}; classify it")
    if record.announced:
        return Recorded(record.outcome, announced=False)
    if record.execution != execution and not (is_overdue(record, at) and photos.claim_announcement(record, at)):
        raise AnnouncementPending(
            f"the outcome of photo {record.photo.photo_id}, recorded by {record.execution}, is about to be announced"
        )
    bus.publish("Driver Routed" if record.status == ROUTED else "Photo Rejected", record.outcome)
    photos.mark_announced(record, at)
    return Recorded(record.outcome, announced=True)


def is_overdue(record: PhotoRecord, at: datetime) -> bool:
    """Whether the last caller that was about to announce the outcome should have done so by the time `at`."""
    begun_at = max(record.status_at, record.announcing_at or "")
    return datetime.fromisoformat(begun_at) <= at - ANNOUNCED_WITHIN
