"""AWS Lambda: AuditDecisions, run by a schedule."""

from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.audit_decisions.answers import Answers
from functions.audit_decisions.audit import Audit
from functions.audit_decisions.requests import AuditQueue
from functions.shared.audit import AuditFigures
from functions.shared.aws import client
from functions.shared.label_requests import LabelRequests
from functions.shared.observability import log_failures, make_logger_and_metrics
from functions.shared.settings import read_settings
from functions.shared.times import now


@dataclass(frozen=True)
class Settings:
    """Environment variables of the function."""

    photo_table: str
    ml_bucket: str
    audit_queue_url: str
    second_opinion_share: float


settings = read_settings(Settings)
logger, metrics = make_logger_and_metrics("audit-decisions")
photos = LabelRequests(settings.photo_table, client("dynamodb"))
answers = Answers(settings.ml_bucket, client("s3"))
queue = AuditQueue(settings.audit_queue_url, client("sqs"))


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
@log_failures(logger)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Run the audit once; return what it changed and the figures."""
    audit = Audit(photos, answers, queue, settings.second_opinion_share, now())
    figures = audit.run()
    changes = {"requested": audit.requested, "answered": audit.answered, "sent": audit.sent}
    logger.info("audited", changes=changes, figures=figures.as_state())
    count(figures)
    return {**changes, "figures": figures.as_state()}


def count(figures: AuditFigures) -> None:
    """Publish the figures of the model version that decided last, as far as there are answers."""
    current = figures.current
    if current:
        metrics.add_metric("AuditsAnswered", MetricUnit.Count, current.answered)
        metrics.add_metric("AuditsOpen", MetricUnit.Count, current.open)
        metrics.add_metadata("model_version", figures.model_version)
    if current and current.error is not None and current.lower is not None and current.upper is not None:
        metrics.add_metric("AuditError", MetricUnit.NoUnit, current.error)
        metrics.add_metric("AuditErrorLowerBound", MetricUnit.NoUnit, current.lower)
        metrics.add_metric("AuditErrorUpperBound", MetricUnit.NoUnit, current.upper)
    if figures.reviewers.agreement is not None:
        metrics.add_metric("ReviewersAgree", MetricUnit.NoUnit, figures.reviewers.agreement)
