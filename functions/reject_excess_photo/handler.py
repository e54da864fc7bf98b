"""AWS Lambda: RejectExcessPhoto.

A function of its own, because its reserved concurrency is the share that the floods of all drivers have: RejectPhoto is
for the unusable photos of drivers who keep to the limit.
"""

from dataclasses import dataclass, replace
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.shared.aws import client
from functions.shared.events import EventBus
from functions.shared.observability import log_and_count_outcome, log_failures, make_logger_and_metrics
from functions.shared.outcomes import record_and_announce
from functions.shared.photo import Photo
from functions.shared.photo_record import REJECTED
from functions.shared.photo_table import PhotoTable
from functions.shared.rejection import TOO_MANY_PHOTOS, Rejection
from functions.shared.settings import read_settings
from functions.shared.shapes import any_text, object_with, optional, read_execution, text, time
from functions.shared.times import now, timestamp

SERVICE = "reject-excess-photo"


@dataclass(frozen=True)
class Settings:
    """Environment variables of the function."""

    photo_table: str
    event_bus: str


settings = read_settings(Settings)
logger, metrics = make_logger_and_metrics(SERVICE)
photos = PhotoTable(settings.photo_table, client("dynamodb"))
bus = EventBus(settings.event_bus, client("events"))


@logger.inject_lambda_context(correlation_id_path="execution", clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
@log_failures(logger)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Reject `event["photo"]`; `event["excess"]` is that of ClassifyPhoto. Return the recorded outcome.

    Raises PhotoInProgress when an earlier upload of the same photo was accepted and has no outcome yet.
    """
    photo, excess = Photo.from_state(event.get("photo")), event.get("excess")
    shapes = {"message": any_text, "uploaded_at": time, "sequencer": optional(text), "retry_at": time}
    object_with(shapes)(excess, "excess")
    assert excess is not None
    photo = replace(photo, uploaded_at=excess["uploaded_at"], sequencer=excess["sequencer"])
    logger.append_keys(photo_id=photo.photo_id)
    at = now()
    rejection = Rejection(
        photo, TOO_MANY_PHOTOS, excess["message"], read_execution(event), timestamp(at), excess["retry_at"]
    )
    recorded = record_and_announce(photo, REJECTED, rejection.as_state(), at, photos, bus)
    log_and_count_outcome(recorded, logger, SERVICE)
    return dict(recorded.outcome)
