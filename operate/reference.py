"""Show or replace the reference model, with which the gate compares every challenger beside the champion."""

import uuid
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import ClientError

from deploy.outputs import Deployed
from functions.shared.aws import error_code
from functions.shared.champion import Champion, ModelTable, Reference, RetrainingRunning
from functions.shared.running import is_running
from functions.shared.s3 import ABSENT, parse_uri
from functions.shared.times import now, timestamp
from operate.errors import CommandError
from operate.model_names import find_promoted
from operate.terminal import console

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CHAMPION = "champion"
REASON = "chosen with make reference"


def show(deployed: Deployed) -> None:
    """Print the reference model."""
    table = ModelTable(deployed.model_table, boto3.client("dynamodb"))
    console.print(describe(table.reference(), table.champion()), soft_wrap=True, markup=False)


def describe(reference: Reference | None, champion: Champion | None) -> str:
    """Return one line about the reference model.

    >>> champion = Champion("v2", "v2", "s3://b")
    >>> describe(Reference("v1", "s3://a", "2026-11-27T12:00:00.000Z", "the first champion"), champion)
    'Reference model: v1 since 2026-11-27 12:00 UTC, the first champion'
    >>> describe(None, champion)
    'Reference model: v2, the champion, until the next promotion records one'
    >>> describe(None, None)
    'Reference model: none yet; the first champion becomes it'
    """
    if reference:
        since = reference.since[:16].replace("T", " ")
        return f"Reference model: {reference.model_version} since {since} UTC, {reference.reason}"
    if champion:
        return f"Reference model: {champion.model_version}, the champion, until the next promotion records one"
    return "Reference model: none yet; the first champion becomes it"


def replace(deployed: Deployed, name: str) -> Reference:
    """Make a model that is or was champion the reference; `champion` names the current one. Returns the reference.

    Raises CommandError when there is no such model or artifact, when the model was rolled back, or while a retraining
    or a rollback runs.
    """
    table = ModelTable(deployed.model_table, boto3.client("dynamodb"))
    holder = f"make reference {uuid.uuid4()}"
    try:
        table.acquire_lock(holder, now(), lambda other: is_running(boto3.client("stepfunctions"), other))
    except RetrainingRunning as running:
        raise CommandError(f"{running}. Repeat the command when it has ended: make status") from running
    try:
        model = _find(table, name)
        _check_artifact(model)
        reference = Reference.of(model, timestamp(now()), REASON)
        table.set_reference(reference)
    finally:
        table.release_lock(holder)
    return reference


def _find(table: ModelTable, name: str) -> Champion:
    model = table.champion() if name == CHAMPION else table.promoted(find_promoted(name, table))
    if model is None:
        raise CommandError(f"No model {name} was ever in production in this stage. List the models: make status")
    if model.rolled_back_at:
        raise CommandError(
            f"{name} was rolled back at {model.rolled_back_at}: {model.rolled_back_reason}. Choose another model: "
            "make reference MODEL=champion"
        )
    return model


def _check_artifact(model: Champion) -> None:
    s3: S3Client = boto3.client("s3")
    bucket, key = parse_uri(model.artifact)
    try:
        s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error_code(error) not in {*ABSENT, "NoSuchBucket"}:
            raise
        raise CommandError(
            f"The artifact of {model.model_version} is gone: there is no {model.artifact}. Choose another model; "
            "make status lists them"
        ) from error
