"""Points in time as this system writes them: UTC, ISO 8601 with milliseconds, so that text order is time order."""

from datetime import UTC, datetime, timedelta

# How long an entry about a photo without a decision stays for whoever looks into it.
RETENTION = timedelta(days=30)


def now() -> datetime:
    """The current time in UTC."""
    return datetime.now(UTC)


def timestamp(at: datetime) -> str:
    """Write a time that has a timezone.

    >>> timestamp(datetime(2026, 11, 23, 1, 2, 3, 456789, tzinfo=UTC))
    '2026-11-23T01:02:03.456Z'
    """
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def purge_at(after: datetime) -> int:
    """Epoch seconds at which DynamoDB may remove an entry that mattered until `after`."""
    return int((after + RETENTION).timestamp())
