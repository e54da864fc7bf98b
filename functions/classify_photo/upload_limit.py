"""The limit of uploads per driver and minute.

One item per driver and minute has the uploads that were accepted, so that a retry or a second event of an upload is not
counted again. An upload is a photo and the sequencer of S3's event, which is the same in a second event and differs
when the same bytes are uploaded again under the same key. Only an execution that no event of S3 started has no
sequencer, as a restart by a reconciliation: it does not count a photo that was counted in that minute. The minute is
that of the upload, not of the call: photos that wait for the end of an outage count in the minutes in which they were
uploaded.
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
    sequencer: str | None
    retry_at: str

    def as_state(self) -> dict[str, str | None]:
        """Return the excess as JSON, as RejectExcessPhoto reads it."""
        return asdict(self)


class UploadLimit:
    """Counts the uploads of each driver in a table of its own, whose keys are `driver_id` and `minute`."""

    def __init__(self, table: str, per_minute: int, dynamodb: "DynamoDBClient") -> None:
        """`table` is the name of the table; at most `per_minute` uploads per driver and minute are accepted."""
        self._table = table
        self._per_minute = per_minute
        self._dynamodb = dynamodb
        # The uploads of minutes that are full, which do not change any more: a flood costs no further request.
        self._full: dict[tuple[str, str], frozenset[str]] = {}

    def find_excess(self, photo: Photo, uploaded_at: datetime) -> Excess | None:
        """Count an upload; return None when it is accepted, now or before. Raises UploadsNotCounted."""
        minute = uploaded_at.astimezone(UTC).replace(second=0, microsecond=0)
        key = photo.driver_id, timestamp(minute)
        upload = f"{photo.photo_id}/{photo.sequencer or ''}"
        full = self._full.get(key) or self._add(upload, *key, expires_at=int((minute + KEPT).timestamp()))
        if full is None or upload in full:
            return None
        if photo.sequencer is None and any(accepted.startswith(upload) for accepted in full):
            return None
        self._remember(key, full)
        retry_at = timestamp(minute + WINDOW)
        return Excess(
            f"the driver uploaded more than {self._per_minute} photos in a minute; upload it again from {retry_at} on",
            timestamp(uploaded_at),
            photo.sequencer,
            retry_at,
        )

    def _add(self, upload: str, driver_id: str, minute: str, *, expires_at: int) -> frozenset[str] | None:
        """Add an upload to a minute; return None when that succeeded, else the uploads of the full minute."""
        values: dict[str, Any] = {
            ":uploads": {"SS": [upload]},
            ":upload": {"S": upload},
            ":limit": {"N": str(self._per_minute)},
            ":expires_at": {"N": str(expires_at)},
        }
        try:
            self._dynamodb.update_item(
                TableName=self._table,
                Key={"driver_id": {"S": driver_id}, "minute": {"S": minute}},
                UpdateExpression="ADD uploads :uploads SET expires_at = :expires_at",
                ConditionExpression=(
                    "attribute_not_exists(uploads) OR size(uploads) < :limit OR contains(uploads, :upload)"
                ),
                ExpressionAttributeValues=values,
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except (ClientError, BotoCoreError) as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise UploadsNotCounted(f"DynamoDB did not count the upload {upload}: {error}") from error
            return frozenset(cast("Any", error).response["Item"]["uploads"]["SS"])
        return None

    def _remember(self, key: tuple[str, str], uploads: frozenset[str]) -> None:
        if len(self._full) >= _MOST_FULL:
            self._full.pop(next(iter(self._full)))
        self._full[key] = uploads
