"""AWS Lambda: PrepareBatch."""

from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.prepare_batch.request import execution_name, read_request
from functions.shared.observability import log_failures, make_logger_and_metrics
from functions.shared.settings import read_settings
from functions.shared.shapes import read_execution


@dataclass(frozen=True)
class Settings:
    """Environment variables of the function."""

    uploads_bucket: str
    batch_concurrency: int
    batch_tolerated_failures: int
    batch_reviews: int


settings = read_settings(Settings)
logger, _ = make_logger_and_metrics("prepare-batch")


@logger.inject_lambda_context(correlation_id_path="execution", clear_state=True)
@log_failures(logger)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Check `event["request"]`, the input of classify-batch; return the batch."""
    read_execution(event)
    batch = read_request(
        event.get("request"),
        name=execution_name(event),
        bucket=settings.uploads_bucket,
        concurrency=settings.batch_concurrency,
        tolerated=settings.batch_tolerated_failures,
        reviews=settings.batch_reviews,
    )
    logger.info("batch accepted", batch_id=batch.id, kind=batch.kind, concurrency=batch.concurrency)
    return batch.as_state()
