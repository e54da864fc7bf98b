"""AWS Lambda: ReconcilePhotos, run by a schedule and by `make reconcile`."""

from dataclasses import asdict, dataclass
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.reconcile_photos.executions import Executions
from functions.reconcile_photos.reconcile import Reconciliation
from functions.reconcile_photos.report import Report
from functions.reconcile_photos.request import Request
from functions.shared.aws import client
from functions.shared.errors import SconesError
from functions.shared.events import EventBus
from functions.shared.observability import log_failures, make_logger_and_metrics
from functions.shared.photo_table import PhotoTable
from functions.shared.settings import read_settings
from functions.shared.times import now

# A call stops when less than this is left of its timeout. It is longer than the slowest step, which describes the
# running executions without a record.
RESERVE_MS = 60_000


class ReconciliationIncomplete(SconesError):
    """The scheduled reconciliation did not examine every photo in its time."""


@dataclass(frozen=True)
class Settings:
    """Environment variables of the function."""

    photo_table: str
    uploads_bucket: str
    event_bus: str
    classify_photo_arn: str


settings = read_settings(Settings)
logger, metrics = make_logger_and_metrics("reconcile-photos")
# More attempts than elsewhere: Step Functions limits the rate of requests, and here no driver waits.
executions = Executions(settings.classify_photo_arn, client("stepfunctions", attempts=8))
photos = PhotoTable(settings.photo_table, client("dynamodb"))
bus = EventBus(settings.event_bus, client("events"))
s3 = client("s3", read_timeout_s=20)


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
@log_failures(logger)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Reconcile what `event` asks for (see Request); return the report, with a `continuation` when time ran out."""
    reconciliation = Reconciliation(
        request=Request.from_state(event, now()),
        bucket=settings.uploads_bucket,
        s3=s3,
        photos=photos,
        bus=bus,
        executions=executions,
        logger=logger,
        has_time=lambda: context.get_remaining_time_in_millis() > RESERVE_MS,
    )
    report = reconciliation.run()
    log_and_count(report)
    if report.continuation and report.request.scheduled:
        raise ReconciliationIncomplete(
            f"the time ended in phase {report.continuation.phase}; run `make reconcile`, which continues until the end"
        )
    return report.as_state()


def log_and_count(report: Report) -> None:
    """Log the counts; publish the metric of the alarm, as 0 only when the run is complete: that ends the alarm."""
    if report.continuation is None or report.unaccounted:
        metrics.add_metric("PhotosUnaccounted", MetricUnit.Count, report.unaccounted)
    logger.info("reconciled", complete=report.continuation is None, **asdict(report.counts))
