"""AWS Lambda: ClassifyPhoto."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.classify_photo.audit_share import AuditShare
from functions.classify_photo.classify import Classifier, Outcome
from functions.classify_photo.upload_limit import UploadLimit
from functions.shared.assessment import Assessor
from functions.shared.aws import client
from functions.shared.endpoint import Endpoint
from functions.shared.errors import ModelUnavailable
from functions.shared.events import EventBus
from functions.shared.observability import log_and_count_outcome, log_failures, make_logger_and_metrics
from functions.shared.parameters import Parameters
from functions.shared.photo import Photo
from functions.shared.photo_table import PhotoTable
from functions.shared.settings import read_settings
from functions.shared.shapes import read_execution, time
from functions.shared.threshold import Threshold
from functions.shared.uploads import Uploads
from functions.shared.vehicles import load_vehicles

SERVICE = "classify-photo"


@dataclass(frozen=True)
class Settings:
    """Environment variables of the function."""

    photo_table: str
    upload_count_table: str
    uploads_per_minute: int
    endpoint_name: str
    threshold_parameter: str
    audit_share_parameter: str
    audit_share: float
    event_bus: str


settings = read_settings(Settings)
logger, metrics = make_logger_and_metrics(SERVICE)
vehicles = load_vehicles()
parameters = Parameters((settings.threshold_parameter, settings.audit_share_parameter), client("ssm"))
classifier = Classifier(
    # One attempt, because a photo is classified without it.
    limit=UploadLimit(
        settings.upload_count_table,
        settings.uploads_per_minute,
        client("dynamodb", connect_timeout_s=1, read_timeout_s=1, attempts=1),
    ),
    photos=PhotoTable(settings.photo_table, client("dynamodb")),
    assessor=Assessor(
        Uploads(client("s3")),
        # One attempt, because the workflow retries.
        Endpoint(settings.endpoint_name, client("sagemaker-runtime", read_timeout_s=15, attempts=1), vehicles),
        Threshold(settings.threshold_parameter, parameters),
    ),
    audit_share=AuditShare(settings.audit_share_parameter, settings.audit_share, parameters),
    vehicles=vehicles,
    bus=EventBus(settings.event_bus, client("events")),
)


@logger.inject_lambda_context(correlation_id_path="execution", clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
@log_failures(logger)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Classify `event["photo"]`; the workflow branches on the `outcome` of the result.

    Without the time of its upload, the photo counts as uploaded at `event["started_at"]`, the start of the execution.
    """
    photo = Photo.from_state(event.get("photo"))
    if photo.uploaded_at is None:
        time(event.get("started_at"), "started_at")
        photo = replace(photo, uploaded_at=event["started_at"])
    if photo.etag is not None:
        logger.append_keys(photo_id=photo.photo_id)
    uploaded_at = datetime.fromisoformat(str(photo.uploaded_at))
    try:
        outcome = classifier.process(photo, uploaded_at, read_execution(event))
    except ModelUnavailable:
        metrics.add_metric("ModelUnavailable", MetricUnit.Count, 1)
        raise
    logger.append_keys(photo_id=outcome.photo.photo_id)
    log_and_count(outcome, read_execution(event))
    return outcome.as_state()


def log_and_count(outcome: Outcome, execution: str) -> None:
    """Log the outcome; count it unless the photo had one before this execution."""
    recorded = outcome.recorded
    if outcome.uncounted:
        logger.warning("upload not counted", explanation=outcome.uncounted)
        metrics.add_metric("UploadsNotCounted", MetricUnit.Count, 1)
    if outcome.answer is None:
        logger.info("too many photos of the driver")
        return
    # The average is the share of requests that failed.
    metrics.add_metric("ModelUnavailable", MetricUnit.Count, 0)
    classification = outcome.answer.classification
    earlier = recorded is not None and recorded.outcome["execution"] != execution
    logger.info(
        "already decided" if earlier else "classified",
        outcome=outcome.as_state()["outcome"],
        vehicle=classification.vehicle,
        confidence=classification.confidence,
        threshold=outcome.threshold,
        model_version=classification.model_version,
    )
    if recorded and recorded.announced:
        log_and_count_outcome(recorded, logger, SERVICE)
    if earlier:
        return
    metrics.add_metric("PhotosClassified", MetricUnit.Count, 1)
    metrics.add_metric("Confidence", MetricUnit.NoUnit, classification.confidence)
    metrics.add_metric("SentToReview", MetricUnit.Count, int(outcome.reason is not None))
    metrics.add_metric("EndpointLatency", MetricUnit.Milliseconds, outcome.answer.latency_ms)
    metrics.add_metadata("model_version", classification.model_version)
    metrics.add_metadata("photo_id", outcome.photo.photo_id)
