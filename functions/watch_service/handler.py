"""AWS Lambda: WatchService, run every minute: publishes what alarms need and AWS does not measure."""

from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.shared.aws import client
from functions.shared.champion import ModelTable
from functions.shared.observability import log_failures, make_logger_and_metrics
from functions.shared.photo_reader import PhotoReader
from functions.shared.settings import read_settings
from functions.shared.times import now
from functions.watch_service.opening_hours import read_opening_hours
from functions.watch_service.watch import Watch

UNITS = {"LongestDriverWait": MetricUnit.Seconds}


@dataclass(frozen=True)
class Settings:
    """Environment variables of the function."""

    stage: str
    photo_table: str
    model_table: str
    endpoint_name: str
    opening_hours: str
    time_zone: str


settings = read_settings(Settings)
logger, metrics = make_logger_and_metrics("watch-service")
photos = PhotoReader(settings.photo_table, client("dynamodb"))
models = ModelTable(settings.model_table, client("dynamodb"))
opening_hours = read_opening_hours(settings.opening_hours, settings.time_zone)


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
@log_failures(logger)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Publish and return the metrics of `Watch`."""
    watch = Watch(photos, models, client("sagemaker"), settings.endpoint_name, opening_hours, now())
    measured = dict(watch.measure())
    for name, value in measured.items():
        metrics.add_metric(name, UNITS.get(name, MetricUnit.NoUnit), value)
    return measured
