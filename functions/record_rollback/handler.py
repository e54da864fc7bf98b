"""AWS Lambda: RecordRollback, the end of every rollback that began."""

from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.record_rollback.conclusion import RolledBack, failure
from functions.shared.aws import client
from functions.shared.champion import ModelTable
from functions.shared.observability import make_logger_and_metrics, reports_failures
from functions.shared.settings import read
from functions.shared.times import now, timestamp


@dataclass(frozen=True)
class Settings:
    """What the function needs to know of its stack."""

    model_table: str
    endpoint_name: str


settings = read(Settings)
logger, metrics = make_logger_and_metrics("record-rollback")
table = ModelTable(settings.model_table, client("dynamodb"))


@logger.inject_lambda_context(correlation_id_path="execution", clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
@reports_failures(logger)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Record how the rollback of `event["state"]` ended, and release the lock; its event and output come back."""
    execution = str(event["execution"])
    if event["outcome"] == "failed":
        return failed(event["state"], execution)
    done = RolledBack(event["state"]["prepared"], execution, settings.endpoint_name, timestamp(now()))
    table.record_rollback(done.target, done.rolled_back, execution)
    table.release_lock(execution)
    logger.info(
        "model rolled back",
        model_version=done.target.model_version,
        rolled_back=done.rolled_back.model_version,
        reason=done.reason,
    )
    metrics.add_metric("Rollbacks", MetricUnit.Count, 1)
    return {"event": done.as_event(), "output": done.as_output(), "error": None, "cause": None}


def failed(state: dict[str, Any], execution: str) -> dict[str, Any]:
    """Release the lock; error and cause come back."""
    table.release_lock(execution)
    error, cause = failure(state)
    logger.error("rollback failed", error=error, cause=cause)
    metrics.add_metric("RollbacksFailed", MetricUnit.Count, 1)
    return {"event": None, "output": None, "error": error, "cause": cause}
