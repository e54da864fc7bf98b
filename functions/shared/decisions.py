"""Decisions: where each driver was sent, exactly one per photo."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from botocore.exceptions import ClientError

from functions.shared.aws import Client, error_code
from functions.shared.dynamodb import attributes, values
from functions.shared.photo import Photo
from functions.shared.vehicles import Bay


@dataclass(frozen=True)
class Decision:
    """Where a driver goes, and who decided it.

    `vehicle` is None when nobody said, `confidence` is the model's in [0, 1], `decided_by` is `model`,
    `reviewer` or `fallback`, `execution` is the one that decided.
    """

    photo: Photo
    vehicle: str | None
    confidence: float | None
    decided_by: str
    bay: Bay
    model_version: str | None
    execution: str
    decided_at: str

    def as_state(self) -> dict[str, Any]:
        """The decision as the workflow's output, the event and the table have it."""
        return {
            "photo": self.photo.as_state(),
            "driver_id": self.photo.driver_id,
            "vehicle": self.vehicle,
            "confidence": self.confidence,
            "decided_by": self.decided_by,
            "loading_bay": self.bay.loading_bay,
            "order_range": self.bay.order_range,
            "model_version": self.model_version,
            "execution": self.execution,
            "decided_at": self.decided_at,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Decision":
        """Read back what `as_state` wrote."""
        photo = state["photo"]
        own = {field.name: state[field.name] for field in fields(cls) if field.name not in {"photo", "bay"}}
        return cls(
            photo=Photo(photo["bucket"], photo["key"], photo["etag"], photo["size"]),
            bay=Bay(state["loading_bay"], state["order_range"]),
            **own,
        )


@dataclass(frozen=True)
class Recorded:
    """A decision in the table, and whether its event is known to be out."""

    decision: Decision
    announced: bool


class DecisionTable:
    """The one place that says what became of a photo. Its key is `photo_id`."""

    def __init__(self, name: str, dynamodb: Client) -> None:
        self.name = name
        self._dynamodb = dynamodb

    def get(self, photo_id: str) -> Recorded | None:
        """The decision about a photo, read consistently, or None."""
        answer = self._dynamodb.get_item(
            TableName=self.name, Key=attributes({"photo_id": photo_id}), ConsistentRead=True
        )
        if "Item" not in answer:
            return None
        item = values(answer["Item"])
        return Recorded(Decision.from_state(item), bool(item.get("announced")))

    def put_first(self, decision: Decision) -> Recorded:
        """Record a decision unless the photo has one; whichever stands is returned."""
        photo_id = decision.photo.photo_id
        try:
            self._dynamodb.put_item(
                TableName=self.name,
                Item=attributes({"photo_id": photo_id, **decision.as_state(), "announced": False}),
                ConditionExpression="attribute_not_exists(photo_id)",
            )
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise
            if standing := self.get(photo_id):
                return standing
            raise
        return Recorded(decision, announced=False)

    def mark_announced(self, photo_id: str) -> None:
        """Note that the decision's event is out."""
        self._dynamodb.update_item(
            TableName=self.name,
            Key=attributes({"photo_id": photo_id}),
            UpdateExpression="SET announced = :yes",
            ConditionExpression="attribute_exists(photo_id)",
            ExpressionAttributeValues=attributes({":yes": True}),
        )
