"""The photos of a window: what the champion answered about photos that were first seen in it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice

from functions.shared.drift import Observation, observe
from functions.shared.photo_reader import PhotoReader
from functions.shared.photo_record import PhotoRecord
from functions.shared.times import timestamp

# Bounds the cost of a look at any number of photos: at 10,000 a day every photo is read, at more a sample.
MOST_PER_HOUR = 500
_HOUR = timedelta(hours=1)


def read_window(
    photos: PhotoReader, model_version: str, threshold: float, since: datetime, until: datetime
) -> list[Observation]:
    """Return what a model answered about the photos first seen from `since` until `until`, whatever became of them.

    At most the first MOST_PER_HOUR photos of each hour are read. `threshold` is the model's own. Raises
    RecordUnavailable.
    """
    found = []
    for record in _read(photos, since, until):
        version = (record.classification or {}).get("model_version")
        if version == model_version and (observation := observe(record, threshold)):
            found.append(observation)
    return found


def _read(photos: PhotoReader, since: datetime, until: datetime) -> Iterator[PhotoRecord]:
    start = since.astimezone(UTC)
    while start < until:
        # Each hour lies in one day, which is the key of the index.
        end = min(start.replace(minute=0, second=0, microsecond=0) + _HOUR, until)
        day = start.date().isoformat()
        yield from islice(photos.list_by_day(day, since=timestamp(start), before=timestamp(end)), MOST_PER_HOUR)
        start = end
