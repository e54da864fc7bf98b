"""AWS Lambda: RequestReview, a task that waits until its task token is returned."""

from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.request_review.request import ReviewQueue, ReviewRequest, request_review
from functions.shared.aws import client
from functions.shared.events import EventBus
from functions.shared.observability import log_failures, make_logger_and_metrics
from functions.shared.photo import Photo
from functions.shared.photo_table import PhotoTable
from functions.shared.settings import read_settings
from functions.shared.times import now
from functions.shared.uploads import Uploads


@dataclass(frozen=True)
class Settings:
    """Environment variables of the function."""

    photo_table: str
    review_queue_url: str
    event_bus: str


settings = read_settings(Settings)
logger, metrics = make_logger_and_metrics("request-review")
photos = PhotoTable(settings.photo_table, client("dynamodb"))
bus = EventBus(settings.event_bus, client("events"))
queue = ReviewQueue(settings.review_queue_url, client("sqs"))
uploads = Uploads(client("s3"))


@logger.inject_lambda_context(correlation_id_path="execution", clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
@log_failures(logger)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Request a review of `event["photo"]`. The answer reaches the workflow through the task token."""
    photo = uploads.identify(Photo.from_state(event.get("photo")))
    logger.append_keys(photo_id=photo.photo_id)
    request = ReviewRequest.from_state(photo, event, now())
    log_and_count(request, sent=request_review(request, photos, bus, queue))
    return request.as_event()


def log_and_count(request: ReviewRequest, *, sent: bool) -> None:
    """Log the request; count it only when it was sent to the queue."""
    state = request.as_event()
    logger.info(
        "review requested" if sent else "review already requested",
        reason=request.reason,
        vehicle=state["vehicle"],
        confidence=state["confidence"],
        expires_at=state["expires_at"],
    )
    if sent:
        metrics.add_dimension("reason", request.reason)
        metrics.add_metric("ReviewsRequested", MetricUnit.Count, 1)
        metrics.add_metadata("model_version", state["model_version"])
        metrics.add_metadata("photo_id", request.photo.photo_id)
