"""AWS Lambda: RecordRollback, the last step of a rollback."""

from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.record_rollback.result import RollbackResult, failure
from functions.shared.aws import client
from functions.shared.champion import ModelTable
from functions.shared.observability import log_failures, make_logger_and_metrics
from functions.shared.settings import read_settings
from functions.shared.times import now, timestamp


@dataclass(frozen=True)
class Settings:
    """Environment variables of the function."""

    model_table: str
    endpoint_name: str


settings = read_settings(Settings)
logger, metrics = make_logger_and_metrics("record-rollback")
table = ModelTable(settings.model_table, client("dynamodb"))


@logger.inject_lambda_context(correlation_id_path="execution", clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
@log_failures(logger)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Record the result of the rollback, and release the lock; return the event and the output of the execution."""
    execution = str(event["execution"])
    if event["outcome"] == "failed":
        return record_failure(event["state"], execution)
    result = RollbackResult(event["state"]["prepared"], execution, settings.endpoint_name, timestamp(now()))
    table.record_rollback(result.target, result.rolled_back, execution)
    table.release_lock(execution)
    logger.info(
        "model rolled back",
        model_version=result.target.model_version,
        rolled_back=result.rolled_back.model_version,
        reason=result.reason,
    )
    metrics.add_metric("Rollbacks", MetricUnit.Count, 1)
    return {"event": result.as_event(), "output": result.as_output(), "error": None, "cause": None}


def record_failure(state: dict[str, Any], execution: str) -> dict[str, Any]:
    """Release the lock and log the failure; return its error and cause."""
    table.release_lock(execution)
    error, cause = failure(state)
    logger.error("rollback failed", error=error, cause=cause)
    metrics.add_metric("RollbacksFailed", MetricUnit.Count, 1)
    return {"event": None, "output": None, "error": error, "cause": cause}
