"""The table of photos without a decision: those in review, and those that were rejected."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from functions.shared.aws import error_code
from functions.shared.dynamodb import deserialize, serialize
from functions.shared.errors import ReviewPending

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import UpdateItemInputTypeDef

IN_REVIEW = "in_review"
REJECTED = "rejected"


class PhotoTable:
    """The DynamoDB table with one item per photo without a decision. Its key is `photo_id`, its TTL `purge_at`."""

    def __init__(self, name: str, dynamodb: "DynamoDBClient") -> None:
        """`name` is the name of the table."""
        self.name = name
        self._dynamodb = dynamodb

    def claim_review(self, photo_id: str, entry: Mapping[str, Any], *, now: str) -> dict[str, Any]:
        """Make `entry["execution"]` the owner of a photo's review request; return the item as it was before.

        Raises ReviewPending when another execution owns a request whose `expires_at` has not passed.
        """
        try:
            return self._update(
                photo_id,
                {**entry, "status": IN_REVIEW},
                condition="attribute_not_exists(photo_id) OR #status <> :status"
                " OR #execution = :execution OR #expires_at <= :now",
                more={":now": now},
            )
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise
            raise ReviewPending(
                f"photo {photo_id} already has a review request of another execution; try again later"
            ) from error

    def reject(self, photo_id: str, entry: Mapping[str, Any]) -> dict[str, Any]:
        """Record that a photo was rejected; return the item as it was before."""
        return self._update(photo_id, {**entry, "status": REJECTED})

    def set_attributes(self, photo_id: str, **new: str) -> None:
        """Set attributes of a photo's item."""
        self._update(photo_id, new)

    def remove(self, photo_id: str) -> None:
        """Delete the item of a photo that has a decision now; do nothing when there is none."""
        self._dynamodb.delete_item(TableName=self.name, Key=serialize({"photo_id": photo_id}))

    def _update(
        self,
        photo_id: str,
        entry: Mapping[str, Any],
        condition: str | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        # SET of each attribute rather than a put keeps the attributes that an earlier attempt of the execution set.
        request: UpdateItemInputTypeDef = {
            "TableName": self.name,
            "Key": serialize({"photo_id": photo_id}),
            "UpdateExpression": "SET " + ", ".join(f"#{name} = :{name}" for name in entry),
            "ExpressionAttributeNames": {f"#{name}": name for name in entry},
            "ExpressionAttributeValues": serialize(
                {**{f":{name}": value for name, value in entry.items()}, **(more or {})}
            ),
            "ReturnValues": "ALL_OLD",
        }
        if condition:
            request["ConditionExpression"] = condition
        return deserialize(self._dynamodb.update_item(**request).get("Attributes", {}))
