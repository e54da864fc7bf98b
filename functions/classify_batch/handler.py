"""AWS Lambda: ClassifyBatch, invoked for each group of items of a batch."""

from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.classify_batch.classify import IGNORED, KNOWN, BatchClassifier
from functions.classify_batch.items import read_item
from functions.shared.assessment import Assessor
from functions.shared.aws import client
from functions.shared.batch import Batch
from functions.shared.batch_results import OUTCOMES, BatchResults
from functions.shared.endpoint import Endpoint
from functions.shared.observability import log_failures, make_logger_and_metrics
from functions.shared.parameters import Parameters
from functions.shared.settings import read_settings
from functions.shared.shapes import anything, list_of, read_execution
from functions.shared.threshold import Threshold
from functions.shared.uploads import Uploads
from functions.shared.vehicles import load_vehicles


@dataclass(frozen=True)
class Settings:
    """Environment variables of the function."""

    batch_result_table: str
    endpoint_name: str
    threshold_parameter: str


settings = read_settings(Settings)
logger, metrics = make_logger_and_metrics("classify-batch")
parameters = Parameters((settings.threshold_parameter,), client("ssm"))
classifier = BatchClassifier(
    Assessor(
        Uploads(client("s3")),
        # One attempt, because the workflow retries.
        Endpoint(settings.endpoint_name, client("sagemaker-runtime", read_timeout_s=15, attempts=1), load_vehicles()),
        Threshold(settings.threshold_parameter, parameters),
    ),
    BatchResults(settings.batch_result_table, client("dynamodb")),
)


@logger.inject_lambda_context(correlation_id_path="execution", clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
@log_failures(logger)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Classify `event["items"]` of `event["batch"]`; return the number of photos by outcome."""
    read_execution(event)
    batch = Batch.from_state(event.get("batch"))
    list_of(anything)(event.get("items"), "items")
    items = [read_item(item, batch) for item in event["items"]]
    logger.append_keys(batch_id=batch.id)
    counts = classifier.classify(batch.id, items, context.get_remaining_time_in_millis)
    answer = {name: counts[name] for name in (*OUTCOMES, KNOWN, IGNORED)}
    answer[IGNORED] += sum(not item.is_photo for item in items)
    logger.info("classified", photos=answer)
    for name in OUTCOMES:
        metrics.add_metric(f"BatchPhotos{name.capitalize()}", MetricUnit.Count, answer[name])
    return answer
