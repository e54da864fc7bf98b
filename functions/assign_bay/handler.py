"""AWS Lambda: AssignBay."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.shared.aws import client
from functions.shared.decision import DECIDERS, Decision
from functions.shared.errors import InvalidInput
from functions.shared.events import EventBus
from functions.shared.observability import log_and_count_outcome, log_failures, make_logger_and_metrics
from functions.shared.outcomes import announce, record_and_announce
from functions.shared.photo import Photo
from functions.shared.photo_record import ROUTED
from functions.shared.photo_table import PhotoTable
from functions.shared.settings import read_settings
from functions.shared.shapes import fraction, optional, read_execution, shown, text
from functions.shared.times import now, timestamp
from functions.shared.uploads import Uploads
from functions.shared.vehicles import load_vehicles

SERVICE = "assign-bay"
# `decided_by` of a photo that has an outcome already.
RECORDED = "recorded"


@dataclass(frozen=True)
class Settings:
    """Environment variables of the function."""

    photo_table: str
    event_bus: str


settings = read_settings(Settings)
logger, metrics = make_logger_and_metrics(SERVICE)
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
        decision = read_decision(photo, event, timestamp(at))
        recorded = record_and_announce(photo, ROUTED, decision.as_state(), at, photos, bus)
    log_and_count_outcome(recorded, logger, SERVICE)
    return dict(recorded.outcome)


def read_decision(photo: Photo, state: Mapping[str, Any], decided_at: str) -> Decision:
    """Return the decision in the workflow's state, with the bay of its vehicle. Raises InvalidInput."""
    decided_by = state.get("decided_by")
    if decided_by not in DECIDERS:
        raise InvalidInput(f"decided_by is {shown(decided_by)}; it must be one of {', '.join(DECIDERS)}")
    vehicle, confidence, model_version = (state.get(name) for name in ("vehicle", "confidence", "model_version"))
    optional(text)(vehicle, "vehicle")
    optional(fraction)(confidence, "confidence")
    optional(text)(model_version, "model_version")
    return Decision(
        photo=photo,
        vehicle=vehicle,
        confidence=confidence,
        decided_by=decided_by,
        bay=vehicles.bay(vehicle),
        model_version=model_version,
        execution=read_execution(state),
        decided_at=decided_at,
    )
