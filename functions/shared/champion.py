"""The current champion, and the lock that a retraining or a rollback holds."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from functions.shared.aws import error_code
from functions.shared.dynamodb import deserialize, serialize
from functions.shared.errors import SconesError
from functions.shared.shapes import address, all_of, any_text, anything, fraction, object_with, one_of, optional, text
from functions.shared.times import timestamp

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import ConditionCheckTypeDef, TransactWriteItemTypeDef

# TimeoutSeconds of retrain-model: its execution has ended by then.
LOCK_EXPIRES_AFTER = timedelta(hours=6)
# Each retraining reads the manifests of all of them.
JUDGED_SNAPSHOTS = 20
# Origins of a champion.
RETRAINING = "retraining"
INITIAL = "initial"


class RetrainingRunning(SconesError):
    """Another retraining or rollback is running; two would train on the same labels and change the same endpoint."""


class LockLost(SconesError):
    """Another execution took over the lock before this one could record its champion."""


class EndpointBusy(SconesError):
    """The endpoint is being created, updated or deleted. A retry can help."""


@dataclass(frozen=True)
class Champion:
    """The model in production, or one that was.

    `model_version` is the version in its answers; of a trained model it is also the name of its training job, model
    and endpoint configuration. `snapshot` is the S3 prefix of the labels it was trained on, None when there were none;
    `threshold` is its own, in [0, 1], None when unknown; `previous` is the champion before it. `origin` is `initial`
    for a model that was never compared with another; `golden` is the S3 prefix of its golden photos. `restored_at` is
    when a rollback made it champion again. The `rolled_back_…` fields mark a model that a rollback replaced: when,
    why, and by which execution. `training_input` is what a retraining on the same data needs, None when unknown.
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
    training_input: Mapping[str, Any] | None = None

    @property
    def is_initial(self) -> bool:
        """Whether it became champion without a comparison with another model."""
        return self.origin == INITIAL

    def as_rolled_back(self, at: str, reason: str, execution: str) -> "Champion":
        """Return the model marked as rolled back; later rollbacks skip it."""
        return replace(self, rolled_back_at=at, rolled_back_reason=reason, rolled_back_by=execution)

    def as_restored(self, at: str) -> "Champion":
        """Return the model as restored by a rollback, without the mark of an earlier one."""
        return replace(self, restored_at=at, rolled_back_at=None, rolled_back_reason=None, rolled_back_by=None)

    def as_state(self) -> dict[str, Any]:
        """Return the model as JSON, as the workflow and the table contain it."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Champion":
        """Read what `as_state` returned; other keys are ignored."""
        return cls(**{field.name: state[field.name] for field in fields(cls) if field.name in state})


@dataclass(frozen=True)
class Reference:
    """The reference model: the gate compares each challenger with it, too, so that small losses cannot add up.

    `artifact` is the S3 address of its model.tar.gz; `since` is when it became the reference (ISO 8601), and `reason`
    why.
    """

    model_version: str
    artifact: str
    since: str
    reason: str

    @classmethod
    def of(cls, model: Champion, since: str, reason: str) -> "Reference":
        """Return a model that is or was champion, as the reference."""
        return cls(model.model_version, model.artifact, since, reason)


# What `Champion.from_state` reads.
CHAMPION_STATE = object_with(
    {"model_version": text, "endpoint_config": text, "artifact": any_text},
    {
        **dict.fromkeys(("snapshot", "golden"), optional(address)),
        "threshold": optional(fraction),
        **dict.fromkeys(("promoted_at", "restored_at", "rolled_back_at"), optional(text)),
        **dict.fromkeys(("previous", "rolled_back_reason", "rolled_back_by"), optional(text)),
        "origin": one_of(RETRAINING, INITIAL),
        "training_input": optional(all_of(object_with({}), anything)),
    },
)


class ModelTable:
    """The DynamoDB table of models. Its key is `id`.

    The items are `champion`; `lock` while a retraining or a rollback runs; `promoted/{model}` for each model that was
    ever champion; `reference`, the reference model; and `judged`, the last snapshots whose challengers were judged.
    """

    def __init__(self, name: str, dynamodb: "DynamoDBClient") -> None:
        """`name` is the name of the table."""
        self.name = name
        self._dynamodb = dynamodb

    def champion(self) -> Champion | None:
        """Return the recorded champion, read consistently, or None."""
        item = self._get("champion")
        return Champion.from_state(item) if item else None

    def promoted(self, model_version: str) -> Champion | None:
        """Return the record of a model that was ever champion, or None."""
        item = self._get(f"promoted/{model_version}")
        return Champion.from_state(item) if item else None

    def all_promoted(self) -> list[Champion]:
        """Return the records of all models that were ever champion, in no order."""
        pages = self._dynamodb.get_paginator("scan").paginate(TableName=self.name, ConsistentRead=True)
        items = (deserialize(item) for page in pages for item in page["Items"])
        return [Champion.from_state(item) for item in items if str(item["id"]).startswith("promoted/")]

    def reference(self) -> Reference | None:
        """Return the recorded reference model, read consistently, or None."""
        item = self._get("reference")
        return Reference(**{field.name: str(item[field.name]) for field in fields(Reference)}) if item else None

    def set_reference(self, reference: Reference) -> None:
        """Replace the reference model. The caller holds the lock."""
        self._dynamodb.put_item(TableName=self.name, Item=serialize({"id": "reference", **asdict(reference)}))

    def promote(self, champion: Champion, holder: str = "", reference: Reference | None = None) -> None:
        """Record the new champion, and `reference` as the reference model unless it is None, in one transaction.

        When `holder`, an execution, is given, only while it holds the lock. Raises LockLost when another execution took
        over the lock: that one compares with the champion before.
        """
        self._record(champion, (champion,), holder, reference)

    def record_rollback(self, target: Champion, rolled_back: Champion, holder: str) -> None:
        """Record that `target` is champion again, and the model that was rolled back.

        If that model is the reference, `target` replaces it in the same transaction: no challenger is measured by a
        model that failed in production. Raises LockLost when `holder`, an execution, does not hold the lock any more.
        """
        before, reference = self.reference(), None
        if before and before.model_version == rolled_back.model_version:
            reason = f"restored by the rollback of {before.model_version}"
            reference = Reference.of(target, str(rolled_back.rolled_back_at), reason)
        self._record(target, (target, rolled_back), holder, reference)

    def _record(
        self, champion: Champion, models: Iterable[Champion], holder: str, reference: Reference | None = None
    ) -> None:
        items = [
            ("champion", champion.as_state()),
            *((f"promoted/{model.model_version}", model.as_state()) for model in models),
            *([("reference", asdict(reference))] if reference else ()),
        ]
        writes: list[TransactWriteItemTypeDef] = [
            {"Put": {"TableName": self.name, "Item": serialize({"id": name, **item})}} for name, item in items
        ]
        if not holder:
            self._dynamodb.transact_write_items(TransactItems=writes)
            return
        own_lock: ConditionCheckTypeDef = {
            "TableName": self.name,
            "Key": serialize({"id": "lock"}),
            "ConditionExpression": "execution = :execution",
            "ExpressionAttributeValues": serialize({":execution": holder}),
        }
        try:
            self._dynamodb.transact_write_items(TransactItems=[{"ConditionCheck": own_lock}, *writes])
        except ClientError as error:
            if error_code(error) != "TransactionCanceledException":
                raise
            recorded = self.champion()
            # In a retry, the first attempt has released the lock.
            if recorded is None or recorded.model_version != champion.model_version:
                raise LockLost(
                    f"{holder} lost the lock; {champion.model_version} was not recorded as champion"
                ) from error

    def rolled_back_snapshots(self) -> list[str]:
        """Return the S3 prefixes of the snapshots of all models that were rolled back, each once, sorted."""
        return sorted({model.snapshot for model in self.all_promoted() if model.rolled_back_at and model.snapshot})

    def judged_snapshots(self) -> list[str]:
        """Return the S3 prefixes of the last JUDGED_SNAPSHOTS snapshots whose challengers were judged, oldest first."""
        return [snapshot for snapshot, _ in sorted(self._judged().items(), key=lambda item: item[::-1])]

    def record_judged(self, snapshot: str, at: str) -> None:
        """Record that the challenger of a snapshot was judged at the time `at` (ISO 8601), whatever the verdict.

        An automatic trigger does not train on the same labels again.
        """
        while True:
            before = self._judged()
            judged = {**before, snapshot: max(at, before.get(snapshot, at))}
            last = sorted(judged, key=lambda one: (judged[one], one))[-JUDGED_SNAPSHOTS:]
            try:
                self._dynamodb.put_item(
                    TableName=self.name,
                    Item=serialize({"id": "judged", "snapshots": {one: judged[one] for one in last}}),
                    ConditionExpression="attribute_not_exists(id) OR snapshots = :before",
                    ExpressionAttributeValues=serialize({":before": before}),
                )
            except ClientError as error:
                # Another execution, which took over the lock, has recorded its snapshot meanwhile.
                if error_code(error) != "ConditionalCheckFailedException":
                    raise
            else:
                return

    def last_judged_at(self) -> str | None:
        """Return when a challenger was last judged (ISO 8601), None when that is unknown."""
        return max(self._judged().values(), default=None)

    def _judged(self) -> dict[str, str]:
        """Return when each of the last snapshots was judged."""
        item = self._get("judged")
        return dict(item["snapshots"]) if item else {}

    def acquire_lock(self, execution: str, now: datetime, is_running: Callable[[str], bool]) -> None:
        """Keep other retrainings and rollbacks from starting until `release_lock`. The holder may acquire it again.

        A lock stays when its execution is stopped: one whose holder does not run any more, or that has expired, is
        taken over. Raises RetrainingRunning when the holder runs.
        """
        lock = {"id": "lock", "execution": execution, "expires_at": timestamp(now + LOCK_EXPIRES_AFTER)}
        if self._put_if(lock, "attribute_not_exists(id) OR execution = :execution", execution):
            return
        held = self._get("lock")
        holder = str(held.get("execution")) if held else execution
        expired = not held or str(held.get("expires_at")) <= timestamp(now)
        if not expired and is_running(holder):
            raise RetrainingRunning(f"{holder} is running; this execution ends without changing anything")
        # Of two executions that take over the same lock, one finds it changed.
        if not self._put_if(lock, "attribute_not_exists(id) OR execution = :execution", holder):
            raise RetrainingRunning("another execution took over the lock at the same time; this one ends")

    def lock_holder(self) -> str | None:
        """Return the execution that holds the lock, None when it is free."""
        held = self._get("lock")
        return str(held["execution"]) if held else None

    def release_lock(self, execution: str) -> None:
        """Release the lock; do nothing when another execution holds it."""
        try:
            self._dynamodb.delete_item(
                TableName=self.name,
                Key=serialize({"id": "lock"}),
                ConditionExpression="execution = :execution",
                ExpressionAttributeValues=serialize({":execution": execution}),
            )
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise

    def _get(self, name: str) -> dict[str, Any] | None:
        answer = self._dynamodb.get_item(TableName=self.name, Key=serialize({"id": name}), ConsistentRead=True)
        return deserialize(answer["Item"]) if "Item" in answer else None

    def _put_if(self, item: Mapping[str, Any], condition: str, execution: str) -> bool:
        try:
            self._dynamodb.put_item(
                TableName=self.name,
                Item=serialize(item),
                ConditionExpression=condition,
                ExpressionAttributeValues=serialize({":execution": execution}),
            )
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise
            return False
        return True
