"""The input of classify-batch: which photos, and the id of the batch."""

from collections.abc import Mapping
from typing import Any

from functions.shared.batch import INVENTORY, KINDS, PREFIX, Batch, batch_id
from functions.shared.errors import InvalidInput
from functions.shared.s3 import parse_uri
from functions.shared.shapes import address, flag, number, object_with

_REQUEST = object_with(
    {},
    {
        "id": batch_id,
        **dict.fromkeys(KINDS, address),
        "tolerated_failure_percentage": number(0, 100),
        "review_unsure": flag,
        # Of Step Functions, in the input of a nested execution.
        "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID": lambda value, path: None,
    },
    closed=True,
)


def read_request(request: Any, *, name: str, bucket: str, concurrency: int, tolerated: int, reviews: int) -> Batch:
    """Return the batch of an input, with the settings of the stage.

    `name` is the name of the execution, the id of a batch without one. `reviews` is the number of unsure photos that
    reviewers are asked about at most, if the input asks for it. Raises InvalidInput.
    """
    _REQUEST(request, "the input")
    given = [kind for kind in KINDS if kind in request]
    if len(given) != 1:
        found = " and ".join(given) or "no photos"
        raise InvalidInput(f"the input has {found}; pass exactly one of {', '.join(KINDS)}")
    (kind,) = given
    source, key = parse_uri(request[kind])
    if source != bucket:
        raise InvalidInput(
            f"{kind} is in bucket {source}, which this stage does not read; copy it to s3://{bucket}/batches/"
        )
    _check_key(kind, key)
    identifier = request.get("id", name)
    batch_id(identifier, "id")
    return Batch(
        id=identifier,
        kind=kind,
        bucket=bucket,
        prefix=key if kind == PREFIX else None,
        key=None if kind == PREFIX else key,
        concurrency=concurrency,
        tolerated_failure_percentage=int(request.get("tolerated_failure_percentage", tolerated)),
        reviews=reviews if request.get("review_unsure", False) else 0,
    )


def _check_key(kind: str, key: str) -> None:
    if not key:
        raise InvalidInput(f"{kind} is a whole bucket; pass a folder such as s3://…/batches/<name>/")
    if kind == PREFIX and not key.endswith("/"):
        raise InvalidInput("prefix does not end in a slash, so it would match other folders too; add the slash")
    if kind == INVENTORY and not key.endswith("manifest.json"):
        raise InvalidInput("inventory is not a manifest.json of S3 Inventory; pass its address")
    if kind not in (PREFIX, INVENTORY) and key.endswith("/"):
        raise InvalidInput(f"{kind} is a folder; pass the address of a list")


def execution_name(context: Mapping[str, Any]) -> str:
    """Return the name of the execution in the event of the function."""
    return str(context["execution"]).rpartition(":")[2]
