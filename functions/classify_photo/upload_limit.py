"""The limit of uploads per driver and minute.

One item per driver and minute has the ids of the photos that were accepted, so that a retry or a second event of an
upload is not counted again. The minute is that of the upload, not of the call: photos that wait for the end of an
outage count in the minutes in which they were uploaded.
"""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import BotoCoreError, ClientError

from functions.shared.aws import error_code
from functions.shared.errors import UploadsNotCounted
from functions.shared.photo import Photo
from functions.shared.times import timestamp

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

WINDOW = timedelta(minutes=1)
# An event is delivered for up to 24 hours (RetryPolicy of the rule); after it, no second one of the upload arrives.
KEPT = timedelta(days=2)
_MOST_FULL = 1000


@dataclass(frozen=True)
class Excess:
    """An upload over the limit, at `uploaded_at`. `retry_at` is when the next minute begins (both ISO 8601)."""

    message: str
    uploaded_at: str
    retry_at: str

    def as_state(self) -> dict[str, str]:
        """Return the excess as JSON, as RejectExcessPhoto reads it."""
        return asdict(self)


class UploadLimit:
    """Counts the uploads of each driver in a table of its own, whose keys are `driver_id` and `minute`."""

    def __init__(self, table: str, per_minute: int, dynamodb: "DynamoDBClient") -> None:
        """`table` is the name of the table; at most `per_minute` photos per driver and minute are accepted."""
        self._table = table
        self._per_minute = per_minute
        self._dynamodb = dynamodb
        # The photos of minutes that are full, which do not change any more: a flood costs no further request.
        self._full: dict[tuple[str, str], frozenset[str]] = {}

    def find_excess(self, photo: Photo, uploaded_at: datetime) -> Excess | None:
        """Count a photo; return None when it is accepted, now or before. Raises UploadsNotCounted."""
        minute = uploaded_at.astimezone(UTC).replace(second=0, microsecond=0)
        key = photo.driver_id, timestamp(minute)
        full = self._full.get(key) or self._add(photo, *key, expires_at=int((minute + KEPT).timestamp()))
        if full is None or photo.photo_id in full:
            return None
        self._remember(key, full)
        retry_at = timestamp(minute + WINDOW)
        return Excess(
            f"the driver uploaded more than {self._per_minute} photos in a minute; upload it again from {retry_at} on",
            timestamp(uploaded_at),
            retry_at,
        )

    def _add(self, photo: Photo, driver_id: str, minute: str, *, expires_at: int) -> frozenset[str] | None:
        """Add a photo to a minute; return None when that succeeded, else the photos of the full minute."""
        values: dict[str, Any] = {
            ":photos": {"SS": [photo.photo_id]},
            ":photo": {"S": photo.photo_id},
            ":limit": {"N": str(self._per_minute)},
            ":expires_at": {"N": str(expires_at)},
        }
        try:
            self._dynamodb.update_item(
                TableName=self._table,
                Key={"driver_id": {"S": driver_id}, "minute": {"S": minute}},
                UpdateExpression="ADD photos :photos SET expires_at = :expires_at",
                ConditionExpression=(
                    "attribute_not_exists(photos) OR size(photos) < :limit OR contains(photos, :photo)"
                ),
                ExpressionAttributeValues=values,
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except (ClientError, BotoCoreError) as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise UploadsNotCounted(
                    f"DynamoDB did not count the upload of photo {photo.photo_id}: {error}"
                ) from error
            return frozenset(cast("Any", error).response["Item"]["photos"]["SS"])
        return None

    def _remember(self, key: tuple[str, str], photos: frozenset[str]) -> None:
        if len(self._full) >= _MOST_FULL:
            self._full.pop(next(iter(self._full)))
        self._full[key] = photos
