"""The current champion, and the lock that a retraining or a rollback holds."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from functions.shared.aws import Client, error_code
from functions.shared.dynamodb import attributes, values
from functions.shared.errors import SconesError
from functions.shared.times import timestamp

# Longer than any retraining may take: two jobs of an hour, two endpoint updates of half an hour, and waiting.
LOCK_EXPIRES_AFTER = timedelta(hours=6)
# Where a champion comes from.
RETRAINING = "retraining"
INITIAL = "initial"


class RetrainingRunning(SconesError):
    """Another retraining or a rollback is under way; two would train on the same labels and change one endpoint."""


class LockLost(SconesError):
    """Another execution took the lock over before this one could record its champion."""


class EndpointBusy(SconesError):
    """The endpoint is being created or updated; it can be looked at again in a while."""


@dataclass(frozen=True)
class Champion:
    """The model that serves by right.

    `model_version` is what it answers as; of a trained model it is also the name of its training job, model and
    endpoint configuration. `snapshot` is the S3 prefix of the labels it has learned, None when it has seen none of
    ours; `threshold` is its own, in [0, 1], None when unknown; `previous` is the champion before it. `origin` is
    `initial` for a model that was never compared with another; `golden` is the S3 prefix of the photos it was probed
    with. `restored_at` is when a rollback made it champion again. The `rolled_back_…` fields mark a model that a
    rollback replaced: when, why, and by which execution.
    """

    model_version: str
    endpoint_config: str
    artifact: str
    snapshot: str | None = None
    threshold: float | None = None
    promoted_at: str | None = None
    previous: str | None = None
    origin: str = RETRAINING
    golden: str | None = None
    restored_at: str | None = None
    rolled_back_at: str | None = None
    rolled_back_reason: str | None = None
    rolled_back_by: str | None = None

    @property
    def is_initial(self) -> bool:
        """Whether it was put into service without a comparison with any other model."""
        return self.origin == INITIAL

    def marked(self, at: str, reason: str, execution: str) -> "Champion":
        """The model as one that was rolled back, which later rollbacks skip."""
        return replace(self, rolled_back_at=at, rolled_back_reason=reason, rolled_back_by=execution)

    def restored(self, at: str) -> "Champion":
        """The model as champion again, without a mark of an earlier rollback."""
        return replace(self, restored_at=at, rolled_back_at=None, rolled_back_reason=None, rolled_back_by=None)

    def as_state(self) -> dict[str, Any]:
        """The champion as it travels through the workflow and lies in the table."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Champion":
        """Read back what `as_state` wrote; other keys are ignored."""
        return cls(**{field.name: state[field.name] for field in fields(cls) if field.name in state})


class ModelTable:
    """Items under the key `id`.

    `champion`, `lock` while a retraining or a rollback is under way, `promoted/{model}` for each model that ever was
    champion, and `judged`, the last snapshot whose challenger was judged.
    """

    def __init__(self, name: str, dynamodb: Client) -> None:
        self.name = name
        self._dynamodb = dynamodb

    def champion(self) -> Champion | None:
        """The recorded champion, read consistently, or None."""
        item = self._get("champion")
        return Champion.from_state(item) if item else None

    def promoted(self, model_version: str) -> Champion | None:
        """What was recorded of a model when it became champion, or None when it never did."""
        item = self._get(f"promoted/{model_version}")
        return Champion.from_state(item) if item else None

    def all_promoted(self) -> list[Champion]:
        """What was recorded of every model that ever was champion, in no order."""
        pages = self._dynamodb.get_paginator("scan").paginate(TableName=self.name, ConsistentRead=True)
        items = (values(item) for page in pages for item in page["Items"])
        return [Champion.from_state(item) for item in items if str(item["id"]).startswith("promoted/")]

    def crown(self, champion: Champion, holder: str = "") -> None:
        """Record who is champion from now on; for `holder`, an execution, only as long as the lock is its own.

        Raises LockLost when another execution has begun since: it goes by the champion that it found.
        """
        self._record(champion, (champion,), holder)

    def record_rollback(self, target: Champion, rolled_back: Champion, holder: str) -> None:
        """Record that `target` is champion again, and the mark of the model that was rolled back.

        Raises LockLost when the lock is not the execution's any more.
        """
        self._record(target, (target, rolled_back), holder)

    def _record(self, champion: Champion, models: Iterable[Champion], holder: str) -> None:
        items = [("champion", champion), *((f"promoted/{model.model_version}", model) for model in models)]
        writes: list[dict[str, Any]] = [
            {"Put": {"TableName": self.name, "Item": attributes({"id": name, **model.as_state()})}}
            for name, model in items
        ]
        if not holder:
            self._dynamodb.transact_write_items(TransactItems=writes)
            return
        own_lock = {
            "TableName": self.name,
            "Key": attributes({"id": "lock"}),
            "ConditionExpression": "execution = :execution",
            "ExpressionAttributeValues": attributes({":execution": holder}),
        }
        try:
            self._dynamodb.transact_write_items(TransactItems=[{"ConditionCheck": own_lock}, *writes])
        except ClientError as error:
            if error_code(error) != "TransactionCanceledException":
                raise
            recorded = self.champion()
            # A second try finds the lock given back by the first.
            if recorded is None or recorded.model_version != champion.model_version:
                raise LockLost(f"{holder} lost the lock; {champion.model_version} is not champion") from error

    def rolled_back_snapshots(self) -> list[str]:
        """The S3 prefixes of the snapshots whose models were promoted and then rolled back, each once, in order."""
        return sorted({model.snapshot for model in self.all_promoted() if model.rolled_back_at and model.snapshot})

    def judged_snapshot(self) -> str | None:
        """The S3 prefix of the last snapshot whose challenger was judged, or None."""
        item = self._get("judged")
        return str(item["snapshot"]) if item else None

    def record_judged(self, snapshot: str, model_version: str, at: str) -> None:
        """Record that the challenger of a snapshot was judged, whatever the verdict, at the time `at` (ISO 8601).

        An automatic trigger does not train on the same labels again. The later of two records stays.
        """
        item = {"id": "judged", "snapshot": snapshot, "model_version": model_version, "judged_at": at}
        try:
            self._dynamodb.put_item(
                TableName=self.name,
                Item=attributes(item),
                ConditionExpression="attribute_not_exists(id) OR judged_at <= :at",
                ExpressionAttributeValues=attributes({":at": at}),
            )
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise

    def take_lock(self, execution: str, now: datetime, is_running: Callable[[str], bool]) -> None:
        """Let no other retraining or rollback in until `release_lock`. The same execution may take it again.

        A lock outlives its execution when somebody stops it: one whose holder is not running any more, or that has
        expired, is taken over. Raises RetrainingRunning when the holder is alive.
        """
        lock = {"id": "lock", "execution": execution, "expires_at": timestamp(now + LOCK_EXPIRES_AFTER)}
        if self._put_if(lock, "attribute_not_exists(id) OR execution = :execution", execution):
            return
        held = self._get("lock")
        holder = str(held.get("execution")) if held else execution
        expired = not held or str(held.get("expires_at")) <= timestamp(now)
        if not expired and is_running(holder):
            raise RetrainingRunning(f"{holder} is under way; this execution ends without touching anything")
        # Still the dead one's: of two that want to take it over, one finds it changed.
        if not self._put_if(lock, "attribute_not_exists(id) OR execution = :execution", holder):
            raise RetrainingRunning("another execution took over the lock at the same moment; this one ends")

    def release_lock(self, execution: str) -> None:
        """Give the lock back; nothing happens when it is somebody else's by now."""
        try:
            self._dynamodb.delete_item(
                TableName=self.name,
                Key=attributes({"id": "lock"}),
                ConditionExpression="execution = :execution",
                ExpressionAttributeValues=attributes({":execution": execution}),
            )
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise

    def _get(self, name: str) -> dict[str, Any] | None:
        answer = self._dynamodb.get_item(TableName=self.name, Key=attributes({"id": name}), ConsistentRead=True)
        return values(answer["Item"]) if "Item" in answer else None

    def _put_if(self, item: Mapping[str, Any], condition: str, execution: str) -> bool:
        try:
            self._dynamodb.put_item(
                TableName=self.name,
                Item=attributes(item),
                ConditionExpression=condition,
                ExpressionAttributeValues=attributes({":execution": execution}),
            )
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise
            return False
        return True
