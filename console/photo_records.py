"""The records of a stage's photos."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import islice
from typing import Any

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


class PhotoRecords:
    """Reads the photo table. Every method raises RecordUnavailable when DynamoDB does not answer."""

    def __init__(self, deployed: Deployed, aws: Aws) -> None:
        """Read the photo table of one stage."""
        self._table = PhotoTable(deployed.photo_table, aws.dynamodb)
        self._uploads_bucket = deployed.uploads_bucket

    def get(self, photo_id: str) -> PhotoRecord | None:
        """Return the record of a photo, read consistently, or None."""
        return self._table.get(photo_id)

    def find_photo(self, photo_id: str) -> Photo | None:
        """Return the photo with an id, or None when it is unknown or not in this stage's uploads bucket."""
        record = self._table.get(photo_id)
        return record.photo if record and record.photo.bucket == self._uploads_bucket else None

    def list_newest(self, paths: Sequence[str]) -> list[dict[str, Any]]:
        """Return attributes of the photos of the last DAYS days, at most MAX_LISTED, the ones first seen last first.

        `paths` are those of `PhotoReader.list_attributes_by_day`.
        """
        return list(islice(self._read_days(paths), MAX_LISTED))

    def audit(self) -> AuditFigures:
        """Return the figures of the audit."""
        return AuditFigures.of(self._table.list_label_wanted(timestamp(now() - WINDOW)))

    def _read_days(self, paths: Sequence[str]) -> Iterator[dict[str, Any]]:
        today = now().date()
        for days_ago in range(DAYS):
            yield from self._table.list_attributes_by_day((today - timedelta(days=days_ago)).isoformat(), paths)


def describe_outcome(record: PhotoRecord | None) -> str | None:
    """Return the outcome of a photo as a sentence for reviewers; None when it has none."""
    if record is None or record.outcome is None:
        return None
    if record.status == REJECTED:
        return f"The photo was already rejected ({record.outcome['rejected']['reason']})."
    if record.outcome["decided_by"] == "fallback":
        return "The review timed out, so the driver was sent to the help desk."
    return f"The driver was already sent to {record.outcome['loading_bay']}."
