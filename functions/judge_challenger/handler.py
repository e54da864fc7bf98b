"""AWS Lambda: JudgeChallenger."""

from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.judge_challenger.gate import Gate, judge
from functions.judge_challenger.report import check_report
from functions.shared.aws import client
from functions.shared.champion import INITIAL
from functions.shared.errors import SconesError
from functions.shared.observability import log_failures, make_logger_and_metrics
from functions.shared.s3 import read_json
from functions.shared.settings import read_settings
from functions.shared.shapes import address, flag, object_with, optional, text


class EvaluationMissing(SconesError):
    """The evaluation job succeeded without a report."""


@dataclass(frozen=True)
class Settings:
    """Environment variables of the function: the limits of the gate that differ from the defaults, as JSON."""

    gate: Gate


EVENT = object_with(
    {
        "evaluation": address,
        "run": object_with({"name": text}),
        "prepared": object_with(
            {
                **dict.fromkeys(("force", "dry_run", "drawn"), flag),
                "champion": optional(object_with({})),
                "reference": object_with({"model_version": text}),
            }
        ),
    }
)

settings = read_settings(Settings)
logger, metrics = make_logger_and_metrics("judge-challenger")
s3 = client("s3")


@logger.inject_lambda_context(correlation_id_path="execution", clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
@log_failures(logger)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Judge the evaluation report at `event["evaluation"]`; the workflow continues when `promote` is true."""
    EVENT(event, "the event")
    report = read_json(s3, event["evaluation"])
    if report is None:
        raise EvaluationMissing(f"there is no {event['evaluation']}; see the log of the evaluation job")
    prepared = event["prepared"]
    check_report(report, event["evaluation"], prepared["reference"]["model_version"])
    verdict = judge(
        report,
        settings.gate,
        force=prepared["force"],
        dry_run=prepared["dry_run"],
        drawn=prepared["drawn"],
        initial=(prepared["champion"] or {}).get("origin") == INITIAL,
    )
    logger.info(
        "challenger judged",
        model_version=event["run"]["name"],
        promote=verdict.promote,
        reason=verdict.reason,
        verdict=verdict.explanation,
        new_reference=verdict.new_reference,
        failed=[check.check for check in verdict.checks if not check.passed],
    )
    for metric in ("accuracy", "ece", "auroc"):
        if (value := report["challenger"].get(metric)) is not None:
            metrics.add_metric(f"Challenger{metric.title()}", MetricUnit.NoUnit, value)
    return {
        "promote": verdict.promote,
        "reason": verdict.reason,
        "words": verdict.explanation,
        "checks": [check.as_state() for check in verdict.checks],
        "challenger": report["challenger"],
        "champion": report.get("champion"),
        "reference": report["reference"] if report.get("champion") is not None else None,
        "new_reference": verdict.new_reference,
        "threshold": report["challenger"]["threshold"],
        "evaluation": event["evaluation"],
    }
