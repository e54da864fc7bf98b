"""AWS Lambda: RejectPhoto."""

from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.shared.aws import client
from functions.shared.events import EventBus
from functions.shared.observability import count_rejected, log_failures, make_logger_and_metrics
from functions.shared.outcomes import Recorded, record_and_announce
from functions.shared.photo import Photo
from functions.shared.photo_record import REJECTED
from functions.shared.photo_table import PhotoTable
from functions.shared.rejection import Rejection
from functions.shared.settings import read_settings
from functions.shared.times import now, timestamp
from functions.shared.uploads import Uploads


@dataclass(frozen=True)
class Settings:
    """Environment variables of the function."""

    photo_table: str
    event_bus: str


settings = read_settings(Settings)
logger, metrics = make_logger_and_metrics("reject-photo")
photos = PhotoTable(settings.photo_table, client("dynamodb"))
bus = EventBus(settings.event_bus, client("events"))
uploads = Uploads(client("s3"))


@logger.inject_lambda_context(correlation_id_path="execution", clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
@log_failures(logger)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Reject `event["photo"]` for the caught error `event["error"]`; return the recorded outcome."""
    photo = uploads.identify_or_mark_gone(Photo.from_state(event.get("photo")))
    logger.append_keys(photo_id=photo.photo_id)
    at = now()
    rejection = Rejection.from_state(photo, event, timestamp(at))
    recorded = record_and_announce(photo, REJECTED, rejection.as_state(), at, photos, bus)
    log_and_count(rejection, recorded)
    return dict(recorded.outcome)


def log_and_count(rejection: Rejection, recorded: Recorded) -> None:
    """Log the outcome; count a rejection only when its event was published."""
    rejected = recorded.outcome.get("rejected")
    logger.info(
        "photo rejected" if rejected and recorded.announced else "already decided",
        reason=rejection.reason,
        explanation=rejection.message,
        decided_in=recorded.outcome["execution"],
    )
    if rejected and recorded.announced:
        count_rejected(True)
        metrics.add_dimension("reason", rejected["reason"])
        metrics.add_metric("PhotosRejected", MetricUnit.Count, 1)
        metrics.add_metadata("photo_id", recorded.outcome["photo"]["photo_id"])
