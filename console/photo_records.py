"""The records of a stage's photos."""

import time
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice

from console.aws import Aws
from deploy.outputs import Deployed
from functions.shared.audit import WINDOW, AuditFigures
from functions.shared.photo import Photo
from functions.shared.photo_record import REJECTED, PhotoRecord
from functions.shared.photo_table import PhotoTable
from functions.shared.times import now, timestamp

DAYS = 30
"""How many days of photos are listed, today included."""

MAX_LISTED = 5000
_CACHE_S = 3.0
_AUDIT_CACHE_S = 60.0


class PhotoRecords:
    """Reads the photo table. Every method raises RecordUnavailable when DynamoDB does not answer."""

    def __init__(self, deployed: Deployed, aws: Aws) -> None:
        """Read the photo table of one stage."""
        self._table = PhotoTable(deployed.photo_table, aws.dynamodb)
        self._uploads_bucket = deployed.uploads_bucket
        self._newest: tuple[float, list[PhotoRecord]] | None = None  # the time of the reading, the records
        self._audit: tuple[float, AuditFigures] | None = None  # the time of the reading, the figures

    def get(self, photo_id: str) -> PhotoRecord | None:
        """Return the record of a photo, read consistently, or None."""
        return self._table.get(photo_id)

    def find_photo(self, photo_id: str) -> Photo | None:
        """Return the photo with an id, or None when it is unknown or not in this stage's uploads bucket."""
        record = self._table.get(photo_id)
        return record.photo if record and record.photo.bucket == self._uploads_bucket else None

    def list_newest(self) -> list[PhotoRecord]:
        """Return the photos of the last DAYS days, at most MAX_LISTED, the ones first seen last first.

        The result is cached for 3 seconds.
        """
        if self._newest is None or time.monotonic() - self._newest[0] > _CACHE_S:
            self._newest = (time.monotonic(), list(islice(self._read_days(), MAX_LISTED)))
        return self._newest[1]

    def audit(self) -> AuditFigures:
        """Return the figures of the audit. The result is cached for a minute."""
        if self._audit is None or time.monotonic() - self._audit[0] > _AUDIT_CACHE_S:
            records = self._table.list_label_wanted(timestamp(now() - WINDOW))
            self._audit = (time.monotonic(), AuditFigures.of(records))
        return self._audit[1]

    def _read_days(self) -> Iterator[PhotoRecord]:
        today = now().date()
        for days_ago in range(DAYS):
            day = today - timedelta(days=days_ago)
            yield from self._table.list_by_day(day.isoformat(), newest_first=True)


def describe_outcome(record: PhotoRecord | None) -> str | None:
    """Return the outcome of a photo as a sentence for reviewers; None when it has none."""
    if record is None or record.outcome is None:
        return None
    if record.status == REJECTED:
        return f"The photo was already rejected ({record.outcome['rejected']['reason']})."
    if record.outcome["decided_by"] == "fallback":
        return "The review timed out, so the driver was sent to the help desk."
    return f"The driver was already sent to {record.outcome['loading_bay']}."
