"""AWS Lambda: RecordRetraining, the last step of a retraining."""

from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import BotoCoreError, ClientError

from functions.record_retraining.expiry import let_expire
from functions.record_retraining.registry import Registry
from functions.record_retraining.result import RetrainingResult, check_event
from functions.shared.aws import client
from functions.shared.champion import ModelTable
from functions.shared.observability import log_and_count_unrecorded, log_failures, make_logger_and_metrics
from functions.shared.s3 import parse_uri
from functions.shared.settings import read_settings
from functions.shared.shapes import read_execution
from functions.shared.times import now, timestamp
from functions.shared.training_input import write_training_input


@dataclass(frozen=True)
class Settings:
    """Environment variables of the function."""

    ml_bucket: str
    model_table: str
    model_group: str
    endpoint_name: str


settings = read_settings(Settings)
logger, metrics = make_logger_and_metrics("record-retraining")
table = ModelTable(settings.model_table, client("dynamodb"))
s3 = client("s3")
registry = Registry(settings.model_group, client("sagemaker", read_timeout_s=20))


@logger.inject_lambda_context(correlation_id_path="execution", clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
@log_failures(logger)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Record the result of the retraining, and release the lock; return the event and the output of the execution."""
    execution = read_execution(event)
    check_event(event)
    champion = table.champion()
    result = RetrainingResult(
        promoted=event["outcome"] == "promoted",
        state=event["state"],
        execution=execution,
        endpoint=settings.endpoint_name,
        at=timestamp(now()),
        recorded=champion.model_version if champion else None,
        has_reference=table.reference() is not None,
    )
    if result.promoted:
        table.promote(result.new_champion, result.execution, result.new_reference)
        record_training_input(result)
    if result.judged_snapshot:
        table.record_judged(result.judged_snapshot, result.at)
    if result.model_version:
        register(result)
    if result.rejected_artifact:
        expire(result, result.rejected_artifact)
    table.release_lock(result.execution)
    log_and_count(result)
    return {
        "event": result.as_event(),
        "output": result.as_output(),
        "failed": result.failed,
        "error": result.reason,
        "cause": result.verdict,
    }


def record_training_input(result: RetrainingResult) -> None:
    """Write the input of automatic retrainings; on an error of S3, report it and keep the earlier input.

    Only a promotion writes it, so data of a rejected model or of a dry run is not used again.
    """
    if not result.training_input:
        return
    try:
        write_training_input(s3, settings.ml_bucket, result.training_input)
    except (ClientError, BotoCoreError) as error:
        log_and_count_unrecorded(logger, "training input", str(result.model_version), error)


def register(result: RetrainingResult) -> None:
    """Register the challenger; an error is reported, and does not undo a promotion."""
    try:
        bucket, key = parse_uri(str(result.state["trained"]["artifact"]))
        package = registry.register(result, s3.head_object(Bucket=bucket, Key=key)["ETag"].strip('"'))
    except (ClientError, BotoCoreError) as error:
        log_and_count_unrecorded(logger, "challenger", str(result.model_version), error)
    else:
        logger.info("challenger registered", model_version=result.model_version, package=package)


def expire(result: RetrainingResult, artifact: str) -> None:
    """Let the files of the rejected challenger expire; on an error of S3, report it, and they are kept.

    An error after the promotion was recorded rejects a model that is, or was, champion: it is kept.
    """
    if table.promoted(str(result.model_version)) is not None:
        return
    try:
        files = let_expire(s3, artifact)
    except (ClientError, BotoCoreError) as error:
        log_and_count_unrecorded(logger, "expiry of the challenger", str(result.model_version), error)
    else:
        logger.info("challenger expires", model_version=result.model_version, files=files)


def log_and_count(result: RetrainingResult) -> None:
    """Log and count the result."""
    logger.info(
        "model promoted" if result.promoted else "model rejected",
        model_version=result.model_version,
        champion_before=result.champion_before,
        reason=result.reason,
        verdict=result.verdict,
        new_reference=result.new_reference.model_version if result.new_reference else None,
    )
    metrics.add_dimension("reason", result.reason or "Promoted")
    metrics.add_metric("Retrainings", MetricUnit.Count, 1)
