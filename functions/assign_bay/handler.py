"""AWS Lambda: AssignBay."""

from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.assign_bay.assign import Assignment, assign
from functions.shared.aws import client
from functions.shared.decisions import Decision, DecisionTable
from functions.shared.events import EventBus
from functions.shared.observability import log_failures, make_logger_and_metrics
from functions.shared.photo import Photo
from functions.shared.photo_table import PhotoTable
from functions.shared.settings import read_settings
from functions.shared.times import now, timestamp
from functions.shared.uploads import Uploads
from functions.shared.vehicles import load_vehicles


@dataclass(frozen=True)
class Settings:
    """Environment variables of the function."""

    decision_table: str
    photo_table: str
    event_bus: str


settings = read_settings(Settings)
logger, metrics = make_logger_and_metrics("assign-bay")
decisions = DecisionTable(settings.decision_table, client("dynamodb"))
photos = PhotoTable(settings.photo_table, client("dynamodb"))
bus = EventBus(settings.event_bus, client("events"))
uploads = Uploads(client("s3"))
vehicles = load_vehicles()


@logger.inject_lambda_context(correlation_id_path="execution", clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
@log_failures(logger)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Assign the driver of `event["photo"]` to the bay of `event["vehicle"]`; return the recorded decision."""
    photo = uploads.identify_or_mark_gone(Photo.from_state(event.get("photo")))
    logger.append_keys(photo_id=photo.photo_id)
    assignment = assign(read_decision(photo, event), decisions, photos, bus)
    log_and_count(assignment)
    return assignment.decision.as_state()


def read_decision(photo: Photo, event: dict[str, Any]) -> Decision:
    """Return the decision described by the workflow's state, with the bay of its vehicle and the current time."""
    return Decision(
        photo=photo,
        vehicle=event.get("vehicle"),
        confidence=event.get("confidence"),
        decided_by=str(event.get("decided_by")),
        bay=vehicles.bay(event.get("vehicle")),
        model_version=event.get("model_version"),
        execution=str(event.get("execution")),
        decided_at=timestamp(now()),
    )


def log_and_count(assignment: Assignment) -> None:
    """Log the decision; count it only when its event was published."""
    decision = assignment.decision
    logger.info(
        "driver routed" if assignment.announced else "already decided",
        vehicle=decision.vehicle,
        loading_bay=decision.bay.loading_bay,
        decided_by=decision.decided_by,
        decided_in=decision.execution,
    )
    if assignment.announced:
        metrics.add_dimension("loading_bay", decision.bay.loading_bay)
        metrics.add_dimension("decided_by", decision.decided_by)
        metrics.add_metric("DriversRouted", MetricUnit.Count, 1)
        metrics.add_metadata("model_version", decision.model_version)
        metrics.add_metadata("photo_id", decision.photo.photo_id)
