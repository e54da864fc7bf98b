"""Reading the photo table: one record by its key, and records by status, day or driver."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from boto3.dynamodb.conditions import ConditionBase, ConditionExpressionBuilder
from botocore.exceptions import BotoCoreError, ClientError

from functions.shared.dynamodb import deserialize, serialize
from functions.shared.errors import RecordUnavailable
from functions.shared.photo_record import PhotoRecord

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

BY_STATUS = "by-status"
BY_DAY = "by-day"
BY_DRIVER = "by-driver"
UNANNOUNCED = "unannounced"
LABEL_WANTED = "label-wanted"

ORDERS = {
    BY_STATUS: ("status", "status_at"),
    BY_DAY: ("day", "first_seen_at"),
    BY_DRIVER: ("driver_id", "first_seen_at"),
}
"""The key of an index, and the time that its records are ordered by."""

_BATCH = 100  # BatchGetItem's limit


class Position(NamedTuple):
    """A place in the order of an index: the time of a record there, and its photo id."""

    at: str
    photo_id: str


@dataclass(frozen=True)
class Page:
    """Records of an index, and where the next page begins, None at the end."""

    records: list[PhotoRecord]
    end: Position | None


class PhotoReader:
    """Reads the photo table; PhotoTable also writes it. Every method raises RecordUnavailable."""

    def __init__(self, name: str, dynamodb: "DynamoDBClient") -> None:
        """`name` is the name of the table."""
        self.name = name
        self._dynamodb = dynamodb

    def get(self, photo_id: str) -> PhotoRecord | None:
        """Return the record of a photo, read consistently, or None."""
        try:
            answer = self._dynamodb.get_item(
                TableName=self.name, Key=serialize({"photo_id": photo_id}), ConsistentRead=True
            )
        except (ClientError, BotoCoreError) as error:
            raise unavailable(photo_id, error) from error
        return PhotoRecord.from_item(deserialize(answer["Item"])) if "Item" in answer else None

    def list_by_status(self, status: str, since: str = "") -> Iterator[PhotoRecord]:
        """Yield the records with a status, ordered by `status_at`, from the time `since` (ISO 8601) on."""
        return self._query(BY_STATUS, "status", status, "status_at", since)

    def list_unannounced(self) -> Iterator[PhotoRecord]:
        """Yield the records of outcomes whose event was not published, ordered by `status_at`."""
        return self._query(UNANNOUNCED, "unannounced", "yes", "status_at", "")

    def list_label_wanted(self, since: str) -> Iterator[PhotoRecord]:
        """Yield the records of photos that reviewers are asked about for a label, from the time `since` on."""
        return self._query(LABEL_WANTED, "label_wanted", "yes", "label_wanted_at", since)

    def list_by_day(
        self, day: str, *, newest_first: bool = False, since: str = "", before: str = ""
    ) -> Iterator[PhotoRecord]:
        """Yield the records of the photos first seen on a day in UTC (yyyy-mm-dd), ordered by `first_seen_at`.

        With `since` and `before` (ISO 8601), only those first seen from the one until the other.
        """
        found = self._query(BY_DAY, "day", day, "first_seen_at", since, newest_first, before)
        return (record for record in found if record.first_seen_at < before) if before else found

    def list_attributes_by_day(self, day: str, paths: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Yield attributes of the photos first seen on a day in UTC (yyyy-mm-dd), the newest first.

        `paths` name them, such as `outcome.decided_by`; one that a record does not have is missing. Far less is parsed
        than for whole records.
        """
        names = {part: f"#p{number}" for number, part in enumerate(sorted({"day", *(".".join(paths).split("."))}))}
        request: dict[str, Any] = {
            "TableName": self.name,
            "IndexName": BY_DAY,
            "KeyConditionExpression": f"{names['day']} = :day",
            "ProjectionExpression": ", ".join(".".join(names[part] for part in path.split(".")) for path in paths),
            "ExpressionAttributeNames": {alias: name for name, alias in names.items()},
            "ExpressionAttributeValues": serialize({":day": day}),
            "ScanIndexForward": False,
        }
        try:
            for page in self._dynamodb.get_paginator("query").paginate(**request):
                yield from map(deserialize, page["Items"])
        except (ClientError, BotoCoreError) as error:
            raise unavailable(f"index {BY_DAY}", error) from error

    def list_by_driver(self, driver_id: str, *, newest_first: bool = False) -> Iterator[PhotoRecord]:
        """Yield the records of a driver's photos, ordered by `first_seen_at`."""
        return self._query(BY_DRIVER, "driver_id", driver_id, "first_seen_at", "", newest_first)

    def list_page(
        self,
        index: str,
        value: str,
        limit: int,
        *,
        after: Position | None = None,
        condition: ConditionBase | None = None,
    ) -> "Page":
        """Read a page of an index, one of ORDERS, newest first: the records with the key `value`.

        At most `limit` records are read, and of them those that meet `condition` are returned. `after` is the position
        of the last page; the next one begins after it.
        """
        key, order = ORDERS[index]
        names, values = {"#key": key}, {":key": value}
        request: dict[str, Any] = {
            "TableName": self.name,
            "IndexName": index,
            "KeyConditionExpression": "#key = :key",
            "ScanIndexForward": False,
            "Limit": limit,
        }
        if condition is not None:
            built = ConditionExpressionBuilder().build_expression(condition)
            request["FilterExpression"] = built.condition_expression
            names |= built.attribute_name_placeholders
            values |= built.attribute_value_placeholders
        if after is not None:
            request["ExclusiveStartKey"] = serialize({key: value, order: after.at, "photo_id": after.photo_id})
        request |= {"ExpressionAttributeNames": names, "ExpressionAttributeValues": serialize(values)}
        try:
            answer = self._dynamodb.query(**request)
        except (ClientError, BotoCoreError) as error:
            raise unavailable(f"index {index}", error) from error
        last = deserialize(answer.get("LastEvaluatedKey", {}))
        return Page(
            records=[PhotoRecord.from_item(deserialize(item)) for item in answer["Items"]],
            end=Position(last[order], last["photo_id"]) if last else None,
        )

    def find_statuses(self, photo_ids: Iterable[str]) -> dict[str, str]:
        """Return the statuses of the photos that have a record, by photo id."""
        found = self.find_attributes(photo_ids, ("status",))
        return {photo_id: attributes["status"] for photo_id, attributes in found.items()}

    def find_attributes(self, photo_ids: Iterable[str], names: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Return these attributes of the photos that have a record, read consistently, by photo id.

        An attribute that a record does not have is missing.
        """
        wanted, found = sorted(set(photo_ids)), {}
        attributes = {f"#{name}": name for name in ("photo_id", *names)}
        for start in range(0, len(wanted), _BATCH):
            requested: dict[str, Any] = {
                self.name: {
                    "Keys": [serialize({"photo_id": photo_id}) for photo_id in wanted[start : start + _BATCH]],
                    "ProjectionExpression": ", ".join(attributes),
                    "ExpressionAttributeNames": attributes,
                    "ConsistentRead": True,
                }
            }
            while requested:
                try:
                    answer = self._dynamodb.batch_get_item(RequestItems=requested)
                except (ClientError, BotoCoreError) as error:
                    raise unavailable("records", error) from error
                items = map(deserialize, answer["Responses"].get(self.name, ()))
                found.update({item["photo_id"]: item for item in items})
                requested = answer.get("UnprocessedKeys", {})
        return found

    def _query(
        self,
        index: str,
        key: str,
        value: str,
        order: str,
        since: str,
        newest_first: bool = False,
        until: str = "",
    ) -> Iterator[PhotoRecord]:
        bounds = {":since": since, ":until": until} if until else {":since": since} if since else {}
        condition = " AND #order BETWEEN :since AND :until" if until else " AND #order >= :since" if since else ""
        request: dict[str, Any] = {
            "TableName": self.name,
            "IndexName": index,
            "KeyConditionExpression": f"#key = :key{condition}",
            "ExpressionAttributeNames": {"#key": key} | ({"#order": order} if condition else {}),
            "ExpressionAttributeValues": serialize({":key": value} | bounds),
            "ScanIndexForward": not newest_first,
        }
        try:
            for page in self._dynamodb.get_paginator("query").paginate(**request):
                for item in page["Items"]:
                    yield PhotoRecord.from_item(deserialize(item))
        except (ClientError, BotoCoreError) as error:
            raise unavailable(f"index {index}", error) from error


def unavailable(what: str, error: Exception) -> RecordUnavailable:
    """Return the error for a call of DynamoDB that failed."""
    return RecordUnavailable(f"DynamoDB did not read or write the record of photo {what}: {error}")
