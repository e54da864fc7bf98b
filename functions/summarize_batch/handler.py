"""AWS Lambda: SummarizeBatch, the last function of classify-batch."""

import json
import tempfile
from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.shared.aws import client
from functions.shared.batch import Batch
from functions.shared.batch_results import BatchResults
from functions.shared.label_requests import LabelRequests
from functions.shared.observability import log_failures, make_logger_and_metrics
from functions.shared.settings import read_settings
from functions.shared.shapes import any_text, object_with, optional, read_execution
from functions.shared.texts import printable, shortened
from functions.shared.times import now, timestamp
from functions.summarize_batch.children import find_failures
from functions.summarize_batch.reviews import BatchReviews
from functions.summarize_batch.summarize import write_lines

COMPLETE, INCOMPLETE = "complete", "incomplete"
_CAUSE_CHARACTERS = 300

_ERROR = optional(object_with({"Error": any_text}, {"Cause": any_text}))


@dataclass(frozen=True)
class Settings:
    """Environment variables of the function."""

    ml_bucket: str
    batch_result_table: str
    photo_table: str


settings = read_settings(Settings)
logger, metrics = make_logger_and_metrics("summarize-batch")
results = BatchResults(settings.batch_result_table, client("dynamodb"))
photos = LabelRequests(settings.photo_table, client("dynamodb"))
s3 = client("s3", read_timeout_s=30)


@logger.inject_lambda_context(correlation_id_path="execution", clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
@log_failures(logger)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Write results and summary of `event["batch"]` to the ML bucket; return the summary and the event.

    `event["manifest"]` is the key of the manifest of the Map Run's results; with `event["error"]` there is none,
    because the Map Run failed.
    """
    execution, batch = read_execution(event), Batch.from_state(event.get("batch"))
    optional(any_text)(event.get("manifest"), "manifest")
    _ERROR(event.get("error"), "error")
    logger.append_keys(batch_id=batch.id)
    error, manifest = event.get("error"), event.get("manifest")
    unclassified = find_failures(s3, settings.ml_bucket, manifest) if manifest else []
    results_key, summary_key = f"{batch.folder}results.jsonl", f"{batch.folder}summary.json"
    with tempfile.TemporaryFile() as file:
        counts = write_lines(results.list_results(batch.id), file).as_state()
        file.seek(0)
        s3.upload_fileobj(file, settings.ml_bucket, results_key, {"ContentType": "application/x-ndjson"})
    detail = {
        "batch_id": batch.id,
        "status": INCOMPLETE if error or unclassified else COMPLETE,
        **{name: counts[name] for name in ("photos", "outcomes", "vehicles")},
        "results": f"s3://{settings.ml_bucket}/{results_key}",
        "summary": f"s3://{settings.ml_bucket}/{summary_key}",
        "execution": execution,
        "completed_at": timestamp(now()),
    }
    stopped = (
        {
            "error": error["Error"],
            "cause": shortened(printable(error.get("Cause", "")), _CAUSE_CHARACTERS),
        }
        if error
        else None
    )
    # Of a complete batch, so that the sample is drawn from all of its photos.
    asked = batch.reviews and detail["status"] == COMPLETE
    reviews = BatchReviews(photos, execution).request(results.list_results(batch.id), batch.reviews) if asked else 0
    summary = {**detail, **counts, "reviews": reviews, "unclassified": unclassified, "stopped_by": stopped}
    content = json.dumps(summary, indent=2, ensure_ascii=False).encode()
    s3.put_object(Bucket=settings.ml_bucket, Key=summary_key, Body=content, ContentType="application/json")
    logger.info("batch summarized", status=detail["status"], photos=counts["outcomes"], reviews=reviews)
    metrics.add_metric("BatchesIncomplete", MetricUnit.Count, int(detail["status"] == INCOMPLETE))
    return {"event": detail, "unclassified": unclassified, "stopped_by": stopped}
