"""Photos without a decision: those that wait for a person, and those that were rejected."""

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from functions.shared.aws import Client, error_code
from functions.shared.dynamodb import attributes, values
from functions.shared.errors import ReviewPending

IN_REVIEW = "in_review"
REJECTED = "rejected"


class PhotoTable:
    """One entry per photo that has no decision. Its key is `photo_id`; `purge_at` is its time to live."""

    def __init__(self, name: str, dynamodb: Client) -> None:
        self.name = name
        self._dynamodb = dynamodb

    def claim_review(self, photo_id: str, entry: Mapping[str, Any], *, now: str) -> dict[str, Any]:
        """Make a photo's review request the one of `entry["execution"]`; the entry as it was before is returned.

        Free are photos without a request, with one of the same execution, and with one whose `expires_at` has
        passed. Raises ReviewPending for any other.
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
                f"photo {photo_id} already waits for a person, asked by another execution; look again later"
            ) from error

    def reject(self, photo_id: str, entry: Mapping[str, Any]) -> dict[str, Any]:
        """Record that a photo was rejected; the entry as it was before is returned."""
        return self._update(photo_id, {**entry, "status": REJECTED})

    def note(self, photo_id: str, **notes: str) -> None:
        """Add what was done about a photo to its entry."""
        self._update(photo_id, notes)

    def remove(self, photo_id: str) -> None:
        """Forget a photo, which has a decision now; nothing happens when it has no entry."""
        self._dynamodb.delete_item(TableName=self.name, Key=attributes({"photo_id": photo_id}))

    def _update(
        self,
        photo_id: str,
        entry: Mapping[str, Any],
        condition: str | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        # SET of each attribute rather than a put: the notes of the same execution's earlier attempt must survive.
        answer = self._dynamodb.update_item(
            TableName=self.name,
            Key=attributes({"photo_id": photo_id}),
            UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in entry),
            ExpressionAttributeNames={f"#{name}": name for name in entry},
            ExpressionAttributeValues=attributes(
                {**{f":{name}": value for name, value in entry.items()}, **(more or {})}
            ),
            ReturnValues="ALL_OLD",
            **({"ConditionExpression": condition} if condition else {}),
        )
        return values(answer.get("Attributes", {}))
