"""AWS Lambda: AnswerDriver, invoked by the drivers' HTTP API for each request that IAM allows."""

from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.answer_driver.api import DriverApi
from functions.answer_driver.forms import signing_client
from functions.answer_driver.request import Request
from functions.shared.aws import client
from functions.shared.observability import log_failures, make_logger_and_metrics
from functions.shared.photo_reader import PhotoReader
from functions.shared.settings import read_settings
from functions.shared.uploads import Uploads


@dataclass(frozen=True)
class Settings:
    """Environment variables of the function."""

    uploads_bucket: str
    photo_table: str


settings = read_settings(Settings)
logger, metrics = make_logger_and_metrics("answer-driver")
api = DriverApi(
    settings.uploads_bucket,
    # A driver waits: an answer after the limit of the function would be none.
    PhotoReader(settings.photo_table, client("dynamodb", read_timeout_s=2, attempts=2)),
    Uploads(client("s3", read_timeout_s=2, attempts=2)),
    signing_client(),
)


@logger.inject_lambda_context(correlation_id_path="requestContext.requestId", clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
@log_failures(logger)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer a request of an HTTP API (payload format 2.0); log its route, its status and the photo id."""
    request = Request.from_event(event)
    answer = api.answer(request)
    metrics.add_metric("DriverRequestsRefused", MetricUnit.Count, int(answer.status >= 400))
    logger.info("answered", route=request.route, status=answer.status, photo_id=answer.photo_id)
    return answer.as_response()
