"""A batch as the states of classify-batch pass it: its id, where its photos are, and where its results go."""

from dataclasses import asdict, dataclass
from typing import Any

from functions.shared.shapes import matching, number, object_with, one_of, optional, text

PREFIX, CSV, JSONL, INVENTORY = "prefix", "csv", "jsonl", "inventory"
KINDS = (PREFIX, CSV, JSONL, INVENTORY)
FOLDER = "batches"
"""The folder of batches, in the uploads bucket for photos and in the ML bucket for results."""

# A part of keys in S3 and of a DynamoDB key. The name of an execution has at most 80 characters.
batch_id = matching("[A-Za-z0-9][A-Za-z0-9_-]{0,79}")

_BATCH = object_with(
    {"id": batch_id, "kind": one_of(*KINDS), "bucket": text},
    {
        "prefix": optional(text),
        "key": optional(text),
        "concurrency": number(1),
        "tolerated_failure_percentage": number(0, 100),
        "reviews": number(0),
    },
)


@dataclass(frozen=True)
class Batch:
    """A batch. Its photos are those under `prefix`, or in the list or inventory with the key `key`, in `bucket`.

    `concurrency` is the number of photos that are classified at a time; `tolerated_failure_percentage` the share of
    photos without a result, in percent, above which the batch stops. `reviews` is the number of unsure photos that
    reviewers are asked about at most.
    """

    id: str
    kind: str
    bucket: str
    prefix: str | None = None
    key: str | None = None
    concurrency: int = 1
    tolerated_failure_percentage: int = 0
    reviews: int = 0

    @classmethod
    def from_state(cls, state: Any) -> "Batch":
        """Read the `batch` of a workflow's state. Raises InvalidInput."""
        _BATCH(state, "batch")
        return cls(
            id=state["id"],
            kind=state["kind"],
            bucket=state["bucket"],
            prefix=state.get("prefix"),
            key=state.get("key"),
            concurrency=int(state.get("concurrency", 1)),
            tolerated_failure_percentage=int(state.get("tolerated_failure_percentage", 0)),
            reviews=int(state.get("reviews", 0)),
        )

    @property
    def folder(self) -> str:
        """The folder of the results in the ML bucket, with its slash."""
        return f"{FOLDER}/{self.id}/"

    def as_state(self) -> dict[str, Any]:
        """Return the batch as JSON, as the workflow's state contains it."""
        return asdict(self)
