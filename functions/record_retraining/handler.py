"""AWS Lambda: RecordRetraining, the end of every retraining but one whose recording fails."""

import json
from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import BotoCoreError, ClientError

from functions.record_retraining.conclusion import Conclusion
from functions.record_retraining.registry import Registry
from functions.shared.aws import client
from functions.shared.champion import ModelTable
from functions.shared.observability import make_logger_and_metrics, reports_failures
from functions.shared.settings import read
from functions.shared.times import now, timestamp

TRAINING_INPUT = "training/current.json"


@dataclass(frozen=True)
class Settings:
    """What the function needs to know of its stack."""

    ml_bucket: str
    model_table: str
    model_group: str
    inference_image: str
    endpoint_name: str


settings = read(Settings)
logger, metrics = make_logger_and_metrics("record-retraining")
table = ModelTable(settings.model_table, client("dynamodb"))
s3 = client("s3")
registry = Registry(settings.model_group, settings.inference_image, client("sagemaker", read_timeout_s=20))


@logger.inject_lambda_context(correlation_id_path="execution", clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
@reports_failures(logger)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Record how the retraining of `event["state"]` ended, and let the next one in; its event and output come back."""
    champion = table.champion()
    conclusion = Conclusion(
        promoted=event["outcome"] == "promoted",
        state=event["state"],
        execution=str(event["execution"]),
        endpoint=settings.endpoint_name,
        at=timestamp(now()),
        recorded=champion.model_version if champion else None,
    )
    if conclusion.promoted:
        table.crown(conclusion.new_champion, conclusion.execution)
        write_training_input(conclusion)
    if conclusion.judged_snapshot:
        table.record_judged(conclusion.judged_snapshot, str(conclusion.model_version), conclusion.at)
    if conclusion.model_version:
        register(conclusion)
    table.release_lock(conclusion.execution)
    record(conclusion)
    return {
        "event": conclusion.as_event(),
        "output": conclusion.as_output(),
        "failed": conclusion.failed,
        "error": conclusion.reason,
        "cause": conclusion.verdict,
    }


def write_training_input(conclusion: Conclusion) -> None:
    """Write what automatic retrainings train on from now on; when S3 is out of reach, they go on with what was there.

    Only a promotion writes it: data whose model was rejected, or was only tried in a dry run, trains nothing later.
    """
    if not conclusion.training_input:
        return
    body = json.dumps(conclusion.training_input).encode()
    try:
        s3.put_object(Bucket=settings.ml_bucket, Key=TRAINING_INPUT, Body=body)
    except (ClientError, BotoCoreError) as error:
        logger.error("training input not written", model_version=conclusion.model_version, error=str(error))


def register(conclusion: Conclusion) -> None:
    """Enter the challenger into the registry; a registry that is out of reach must not undo a promotion."""
    try:
        package = registry.register(conclusion)
    except (ClientError, BotoCoreError) as error:
        logger.error("challenger not registered", model_version=conclusion.model_version, error=str(error))
    else:
        logger.info("challenger registered", model_version=conclusion.model_version, package=package)


def record(conclusion: Conclusion) -> None:
    """Log and count the ending."""
    logger.info(
        "model promoted" if conclusion.promoted else "model rejected",
        model_version=conclusion.model_version,
        champion_before=conclusion.champion_before,
        reason=conclusion.reason,
        verdict=conclusion.verdict,
    )
    metrics.add_dimension("reason", conclusion.reason or "Promoted")
    metrics.add_metric("Retrainings", MetricUnit.Count, 1)
