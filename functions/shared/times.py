"""Times as this system writes them: UTC, ISO 8601 with milliseconds, so that texts sort by time."""

from datetime import UTC, datetime, timedelta

# How long the photo table keeps a record. It must outlive its photo, which the bucket keeps for 365 days: a photo
# without a record counts as lost.
RETENTION = timedelta(days=400)


def now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


def timestamp(at: datetime) -> str:
    """Return a time with a time zone as text.

    >>> timestamp(datetime(2026, 11, 23, 1, 2, 3, 456789, tzinfo=UTC))
    '2026-11-23T01:02:03.456Z'
    """
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def purge_at(after: datetime) -> int:
    """Return the epoch seconds at which DynamoDB may delete an item: RETENTION after `after`."""
    return int((after + RETENTION).timestamp())
