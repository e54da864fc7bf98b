"""AWS Lambda: RecordRollback, the last step of a rollback."""

from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import BotoCoreError, ClientError

from functions.record_rollback.registry import Registry
from functions.record_rollback.result import RollbackResult, check_event, describe_failure
from functions.shared.aws import client
from functions.shared.champion import Champion, ModelTable
from functions.shared.observability import log_and_count_unrecorded, log_failures, make_logger_and_metrics
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
logger, metrics = make_logger_and_metrics("record-rollback")
table = ModelTable(settings.model_table, client("dynamodb"))
registry = Registry(settings.model_group, client("sagemaker", read_timeout_s=20))
s3 = client("s3")


@logger.inject_lambda_context(correlation_id_path="execution", clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
@log_failures(logger)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Record the result of the rollback, and release the lock; return the event and the output of the execution."""
    execution = read_execution(event)
    check_event(event)
    if event["outcome"] == "failed":
        return record_failure(event["state"], execution)
    result = RollbackResult(event["state"]["prepared"], execution, settings.endpoint_name, timestamp(now()))
    table.record_rollback(result.target, result.rolled_back, execution)
    restore_training_input(result.target)
    mark_in_registry(result)
    table.release_lock(execution)
    logger.info(
        "model rolled back",
        model_version=result.target.model_version,
        rolled_back=result.rolled_back.model_version,
        reason=result.reason,
    )
    metrics.add_metric("Rollbacks", MetricUnit.Count, 1)
    return {"event": result.as_event(), "output": result.as_output(), "error": None, "cause": None}


def restore_training_input(champion: Champion) -> None:
    """Make automatic retrainings use the training input of the restored model; an error is reported.

    The training input is unknown for an initial model and for one that was promoted before it was recorded: then
    automatic retrainings keep the one of the model that was rolled back.
    """
    if champion.training_input is None:
        logger.warning("training input unknown", model_version=champion.model_version)
        return
    try:
        write_training_input(s3, settings.ml_bucket, champion.training_input)
    except (ClientError, BotoCoreError) as error:
        log_and_count_unrecorded(logger, "training input", champion.model_version, error)


def mark_in_registry(result: RollbackResult) -> None:
    """Reject the model that was rolled back in the registry, and approve the restored one; an error is reported."""
    restored, rolled_back = result.target.model_version, result.rolled_back.model_version
    rejection = f"Rolled back at {result.at}: {result.reason}"
    approval = f"Restored at {result.at} in place of {rolled_back}: {result.reason}"
    try:
        package = registry.set_approval(rolled_back, "Rejected", rejection)
        registry.set_approval(restored, "Approved", approval)
    except (ClientError, BotoCoreError) as error:
        log_and_count_unrecorded(logger, "approval", rolled_back, error)
    else:
        logger.info("model rejected in the registry", model_version=rolled_back, package=package)


def record_failure(state: dict[str, Any], execution: str) -> dict[str, Any]:
    """Release the lock and log the failure; return its error and cause."""
    table.release_lock(execution)
    error, cause = describe_failure(state)
    logger.error("rollback failed", error=error, cause=cause)
    metrics.add_metric("RollbacksFailed", MetricUnit.Count, 1)
    return {"event": None, "output": None, "error": error, "cause": cause}
