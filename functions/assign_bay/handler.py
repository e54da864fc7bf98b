"""AWS Lambda: AssignBay."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.assign_bay.decision import Decision
from functions.shared.aws import client
from functions.shared.errors import InvalidInput
from functions.shared.events import EventBus
from functions.shared.observability import log_failures, make_logger_and_metrics
from functions.shared.outcomes import Recorded, announce, record_and_announce
from functions.shared.photo import Photo
from functions.shared.photo_record import ROUTED
from functions.shared.photo_table import PhotoTable
from functions.shared.settings import read_settings
from functions.shared.shapes import read_execution
from functions.shared.times import now, timestamp
from functions.shared.uploads import Uploads
from functions.shared.vehicles import load_vehicles

# `decided_by` of a photo that has an outcome already.
RECORDED = "recorded"


@dataclass(frozen=True)
class Settings:
    """Environment variables of the function."""

    photo_table: str
    event_bus: str


settings = read_settings(Settings)
logger, metrics = make_logger_and_metrics("assign-bay")
photos = PhotoTable(settings.photo_table, client("dynamodb"))
bus = EventBus(settings.event_bus, client("events"))
uploads = Uploads(client("s3"))
vehicles = load_vehicles()


@logger.inject_lambda_context(correlation_id_path="execution", clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
@log_failures(logger)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Assign the driver of `event["photo"]` to the bay of `event["vehicle"]`; return the recorded outcome.

    With `decided_by` RECORDED the photo has an outcome already, which is announced if it was not.
    """
    photo = uploads.identify_or_mark_gone(Photo.from_state(event.get("photo")))
    logger.append_keys(photo_id=photo.photo_id)
    at = now()
    if event.get("decided_by") == RECORDED:
        record = photos.get(photo.photo_id)
        if record is None:
            raise InvalidInput(f"{photo} has no record; classify it")
        recorded = announce(record, read_execution(event), at, photos, bus)
    else:
        decision = Decision.from_state(photo, event, vehicles, timestamp(at))
        recorded = record_and_announce(photo, ROUTED, decision.as_state(), at, photos, bus)
    log_and_count(recorded)
    return dict(recorded.outcome)


def log_and_count(recorded: Recorded) -> None:
    """Log the outcome; count a decision only when its event was published."""
    outcome: Mapping[str, Any] = recorded.outcome
    logger.info(
        "driver routed" if recorded.announced else "already decided",
        vehicle=outcome.get("vehicle"),
        loading_bay=outcome.get("loading_bay"),
        decided_by=outcome.get("decided_by"),
        rejected=outcome.get("rejected"),
        decided_in=outcome["execution"],
    )
    if recorded.announced and "loading_bay" in outcome:
        metrics.add_dimension("loading_bay", outcome["loading_bay"])
        metrics.add_dimension("decided_by", outcome["decided_by"])
        metrics.add_metric("DriversRouted", MetricUnit.Count, 1)
        metrics.add_metadata("model_version", outcome["model_version"])
        metrics.add_metadata("photo_id", outcome["photo"]["photo_id"])
