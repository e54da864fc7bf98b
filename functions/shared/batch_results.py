"""The results of batches: one DynamoDB item for each batch and photo, written once."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from functions.shared.aws import error_code
from functions.shared.dynamodb import deserialize, serialize
from functions.shared.errors import RecordUnavailable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

BY_PHOTO = "by-photo"
BY_DRIVER = "by-driver"
KEPT = timedelta(days=30)
"""How long a result is kept; the lifecycle rules of `batches/` are the same."""

CLASSIFIED, UNSURE, FAILED = "classified", "unsure", "failed"
OUTCOMES = (CLASSIFIED, UNSURE, FAILED)

# The limit of BatchGetItem.
_READ_AT_ONCE = 100
_REFUSED = "ConditionalCheckFailedException"


class BatchResults:
    """The table of results. Its key is `batch_id` and `photo_id`, its TTL `purge_at`.

    Indexes: `by-photo` of all results, and `by-driver` of those of photos whose key names a driver; `make forget` reads
    them. Every method raises RecordUnavailable when DynamoDB does not answer.
    """

    def __init__(self, name: str, dynamodb: "DynamoDBClient") -> None:
        """`name` is the name of the table."""
        self.name = name
        self._dynamodb = dynamodb

    def find_known(self, batch_id: str, photo_ids: Iterable[str]) -> set[str]:
        """Return those of the photos that have a result in the batch, read consistently."""
        wanted, known = sorted(set(photo_ids)), set()
        for start in range(0, len(wanted), _READ_AT_ONCE):
            keys = [_key(batch_id, photo_id) for photo_id in wanted[start : start + _READ_AT_ONCE]]
            request: Any = {
                self.name: {"Keys": keys, "ProjectionExpression": "photo_id", "ConsistentRead": True},
            }
            while request:
                try:
                    answer = self._dynamodb.batch_get_item(RequestItems=request)
                except (ClientError, BotoCoreError) as error:
                    raise _unavailable(batch_id, error) from error
                known |= {item["photo_id"]["S"] for item in answer["Responses"].get(self.name, ())}
                request = answer.get("UnprocessedKeys")
        return known

    def add(self, batch_id: str, photo_id: str, driver_id: str | None, result: Mapping[str, Any], at: datetime) -> bool:
        """Write the result of a photo; False when it has one in this batch, which is kept."""
        item = {
            "batch_id": batch_id,
            "photo_id": photo_id,
            "result": result,
            "purge_at": int((at + KEPT).timestamp()),
            **({"driver_id": driver_id} if driver_id else {}),
        }
        try:
            self._dynamodb.put_item(
                TableName=self.name, Item=serialize(item), ConditionExpression="attribute_not_exists(photo_id)"
            )
        except ClientError as error:
            if error_code(error) == _REFUSED:
                return False
            raise _unavailable(batch_id, error) from error
        except BotoCoreError as error:
            raise _unavailable(batch_id, error) from error
        return True

    def list_results(self, batch_id: str) -> Iterator[dict[str, Any]]:
        """Yield the results of a batch, ordered by photo id."""
        query = {"KeyConditionExpression": "batch_id = :batch", "ConsistentRead": True}
        for item in self._query(query, {":batch": batch_id}):
            yield item["result"]

    def _query(self, query: Mapping[str, Any], values: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        pages = self._dynamodb.get_paginator("query").paginate(
            TableName=self.name, ExpressionAttributeValues=serialize(values), **query
        )
        try:
            for page in pages:
                yield from map(deserialize, page["Items"])
        except (ClientError, BotoCoreError) as error:
            raise _unavailable("index", error) from error

    def find(self, index: str, value: str) -> Iterator[tuple[str, str]]:
        """Yield batch and photo ids of the results of a photo (BY_PHOTO) or of a driver (BY_DRIVER)."""
        attribute = {BY_PHOTO: "photo_id", BY_DRIVER: "driver_id"}[index]
        query = {"IndexName": index, "KeyConditionExpression": f"{attribute} = :value"}
        for item in self._query(query, {":value": value}):
            yield item["batch_id"], item["photo_id"]

    def delete(self, batch_id: str, photo_id: str) -> None:
        """Delete a result."""
        try:
            self._dynamodb.delete_item(TableName=self.name, Key=_key(batch_id, photo_id))
        except (ClientError, BotoCoreError) as error:
            raise _unavailable(batch_id, error) from error


def _key(batch_id: str, photo_id: str) -> dict[str, Any]:
    return serialize({"batch_id": batch_id, "photo_id": photo_id})


def _unavailable(batch_id: str, error: Exception) -> RecordUnavailable:
    return RecordUnavailable(f"DynamoDB did not read or write results of batch {batch_id}: {error}")
