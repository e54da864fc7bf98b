"""Decisions: the loading bay of each driver, exactly one decision per photo."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from functions.shared.aws import error_code
from functions.shared.dynamodb import deserialize, serialize
from functions.shared.photo import Photo
from functions.shared.vehicles import Bay

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@dataclass(frozen=True)
class Decision:
    """The bay that a driver is sent to, and what it is based on.

    `vehicle` is None when it is not known, `confidence` is the model's in [0, 1], `decided_by` is `model`,
    `reviewer` or `fallback`, `execution` is the ARN of the execution that decided.
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
        """Return the decision as JSON, as the workflow's output, the event and the table contain it."""
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
        """Read what `as_state` returned."""
        photo = state["photo"]
        own = {field.name: state[field.name] for field in fields(cls) if field.name not in {"photo", "bay"}}
        return cls(
            photo=Photo(photo["bucket"], photo["key"], photo["etag"], photo["size"]),
            bay=Bay(state["loading_bay"], state["order_range"]),
            **own,
        )


@dataclass(frozen=True)
class RecordedDecision:
    """A decision in the table, and whether its event was published."""

    decision: Decision
    announced: bool


class DecisionTable:
    """The DynamoDB table of decisions. Its key is `photo_id`."""

    def __init__(self, name: str, dynamodb: "DynamoDBClient") -> None:
        """`name` is the name of the table."""
        self.name = name
        self._dynamodb = dynamodb

    def get(self, photo_id: str) -> RecordedDecision | None:
        """Return the decision about a photo, read consistently, or None."""
        answer = self._dynamodb.get_item(
            TableName=self.name, Key=serialize({"photo_id": photo_id}), ConsistentRead=True
        )
        if "Item" not in answer:
            return None
        item = deserialize(answer["Item"])
        return RecordedDecision(Decision.from_state(item), bool(item.get("announced")))

    def put_if_absent(self, decision: Decision) -> RecordedDecision:
        """Record a decision unless the photo has one; return the recorded decision, new or old."""
        photo_id = decision.photo.photo_id
        try:
            self._dynamodb.put_item(
                TableName=self.name,
                Item=serialize({"photo_id": photo_id, **decision.as_state(), "announced": False}),
                ConditionExpression="attribute_not_exists(photo_id)",
            )
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise
            if existing := self.get(photo_id):
                return existing
            raise
        return RecordedDecision(decision, announced=False)

    def mark_announced(self, photo_id: str) -> None:
        """Record that the decision's event was published."""
        self._dynamodb.update_item(
            TableName=self.name,
            Key=serialize({"photo_id": photo_id}),
            UpdateExpression="SET announced = :yes",
            ConditionExpression="attribute_exists(photo_id)",
            ExpressionAttributeValues=serialize({":yes": True}),
        )
