"""Count the photos that reviewers answered during a drift."""

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from functions.shared.s3 import list_objects

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# The console writes one object for each answered request, in the folder of the day of the request.
_ANSWER = re.compile(r"reviews/\d{4}/\d\d/\d\d/(?P<photo_id>[0-9a-f]{32})-[0-9a-f]{16}\.answer\.json", re.ASCII)


def count_answered_photos(s3: "S3Client", bucket: str, since: datetime, now: datetime) -> int:
    """Return how many photos have an answer to a request of the days from `since` on, given after `since`."""
    photos = set()
    day = since.astimezone(UTC).date()
    while day <= now.astimezone(UTC).date():
        for found in list_objects(s3, bucket, f"reviews/{day:%Y/%m/%d}/"):
            answer = _ANSWER.fullmatch(found["Key"])
            if answer and found["LastModified"] >= since:
                photos.add(answer["photo_id"])
        day += timedelta(days=1)
    return len(photos)
