"""AWS Lambda: PrepareRollback, the beginning of a rollback."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.prepare_rollback.alarm_rule import reason_to_ignore
from functions.prepare_rollback.prepare import ignored, ready, refused
from functions.prepare_rollback.request import Request
from functions.prepare_rollback.target import Refusal, Target, Targets
from functions.shared.aws import client
from functions.shared.champion import Champion, ModelTable, RetrainingRunning
from functions.shared.observability import make_logger_and_metrics, reports_failures
from functions.shared.running import is_running
from functions.shared.settings import read
from functions.shared.times import now


@dataclass(frozen=True)
class Settings:
    """What the function needs to know of its stack. The number is a text, as every environment variable is."""

    model_table: str
    rollback_window_hours: str


settings = read(Settings)
logger, metrics = make_logger_and_metrics("prepare-rollback")
table = ModelTable(settings.model_table, client("dynamodb"))
targets = Targets(table, client("sagemaker", read_timeout_s=20))
window = timedelta(hours=float(settings.rollback_window_hours))


@logger.inject_lambda_context(correlation_id_path="execution", clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
@reports_failures(logger)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take the lock and find the model to restore; the workflow goes on when `outcome` is `ready`.

    Otherwise nothing was changed, and the lock is free again.
    """
    execution = str(event.get("execution"))
    request = Request.from_state(event.get("request"))
    try:
        # An alarm to ignore needs no lock, which a retraining may hold for an hour.
        if why := ignored_because(request, champion_of_stage()):
            return ended(ignored(request, table.champion(), why, execution))
        table.take_lock(execution, now(), lambda holder: is_running(client("stepfunctions"), holder))
        champion = champion_of_stage()
        if why := ignored_because(request, champion):
            table.release_lock(execution)
            return ended(ignored(request, champion, why, execution))
        target = target_of(request, champion)
    except RetrainingRunning as running:
        return ended(refused(request, table.champion(), "RetrainingRunning", str(running), execution))
    except Refusal as refusal:
        table.release_lock(execution)
        return ended(refused(request, table.champion(), refusal.reason, str(refusal), execution))
    return ended(ready(request, champion, target, execution))


def champion_of_stage() -> Champion:
    """The recorded champion. Raises Refusal when there is none."""
    champion = table.champion()
    if champion is None:
        raise Refusal("NoChampion", "this stage has no champion that could be rolled back. Train one: `make retrain`")
    return champion


def ignored_because(request: Request, champion: Champion) -> str | None:
    """Why nothing is done about an alarm; None when a rollback begins, and always for a person."""
    return reason_to_ignore(champion, request.alarmed_at, now(), window) if request.alarmed_at else None


def target_of(request: Request, champion: Champion) -> Target:
    """The model that was asked for. Raises Refusal."""
    return targets.named(request.to, champion) if request.to else targets.predecessor(champion)


def ended(prepared: dict[str, Any]) -> dict[str, Any]:
    """Log what was decided, and return it."""
    logger.info(
        "rollback prepared",
        outcome=prepared["outcome"],
        reason=prepared["reason"],
        verdict=prepared["words"],
        model_version=prepared["model_version"],
    )
    return prepared
