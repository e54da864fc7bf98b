"""AWS Lambda: WatchQuality, run by a schedule."""

from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.shared.aws import client
from functions.shared.champion import ModelTable
from functions.shared.drift_state import TOO_FEW, DriftState, DriftTable
from functions.shared.events import EventBus
from functions.shared.observability import count, log_failures, make_logger_and_metrics
from functions.shared.photo_reader import PhotoReader
from functions.shared.settings import read_settings
from functions.shared.shapes import flag, object_with
from functions.shared.times import now
from functions.watch_quality.answers import count_answered_photos
from functions.watch_quality.audit_share import AuditShareParameter
from functions.watch_quality.baseline import read_baseline
from functions.watch_quality.watch import Rules, Watch
from functions.watch_quality.window import read_window

SERVICE = "watch-quality"


@dataclass(frozen=True)
class Settings:
    """Environment variables of the function."""

    photo_table: str
    model_table: str
    ml_bucket: str
    event_bus: str
    audit_share_parameter: str
    audit_share: float
    drift_period_hours: float
    drift_min_photos: int
    drift_psi_limit: float
    drift_window_periods: int
    drift_labels: int
    drift_audit_share: float


EVENT = object_with({}, {"look": flag})

settings = read_settings(Settings)
logger, metrics = make_logger_and_metrics(SERVICE)
models = ModelTable(settings.model_table, client("dynamodb"))
s3 = client("s3", read_timeout_s=20)
watch = Watch(
    rules=Rules(
        period=timedelta(hours=settings.drift_period_hours),
        min_photos=settings.drift_min_photos,
        psi_limit=settings.drift_psi_limit,
        window_periods=settings.drift_window_periods,
        labels=settings.drift_labels,
        audit_share=settings.drift_audit_share,
    ),
    table=DriftTable(settings.model_table, client("dynamodb")),
    bus=EventBus(settings.event_bus, client("events")),
    share=AuditShareParameter(settings.audit_share_parameter, settings.audit_share, client("ssm")),
    read_window=partial(read_window, PhotoReader(settings.photo_table, client("dynamodb"))),
    read_baseline=partial(read_baseline, s3=s3),
    count_labels=partial(count_answered_photos, s3, settings.ml_bucket),
)


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
@log_failures(logger)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Look at the photos of the last period when it has ended; with `event["look"]`, at those since the last look."""
    EVENT(event, "the event")
    champion = models.champion()
    if champion is None:
        # The metric is also the sign of life of the watch.
        metrics.add_metric("DriftDetected", MetricUnit.Count, 0)
        return {"model_version": None, "look": None, "drift": None}
    state = watch.run(champion, now(), look=event.get("look", False))
    log_and_count(state)
    answer = state.as_state()
    return {name: answer[name] for name in ("model_version", "look", "drift")}


def log_and_count(state: DriftState) -> None:
    """Log the last look; publish whether a drift goes on, the index of each statistic and the review rate."""
    metrics.add_metric("DriftDetected", MetricUnit.Count, int(state.drift is not None))
    if (look := state.look) is None:
        return
    logger.info(
        "photos compared",
        model_version=state.model_version,
        result=look.result,
        since=look.since,
        until=look.until,
        photos=look.photos,
        drifting=[one.statistic for one in state.drift.statistics] if state.drift else [],
        labels=state.drift.labels if state.drift else None,
    )
    if look.result == TOO_FEW:
        return
    if look.review_rate is not None:
        metrics.add_metric("ReviewRate", MetricUnit.NoUnit, look.review_rate)
    for one in look.comparisons:
        count("DriftIndex", one.psi, MetricUnit.NoUnit, service=SERVICE, statistic=one.statistic)
