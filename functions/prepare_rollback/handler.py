"""AWS Lambda: PrepareRollback, the first step of a rollback."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.prepare_rollback.alarm_rule import reason_to_ignore
from functions.prepare_rollback.prepare import ignored_state, ready_state, refused_state
from functions.prepare_rollback.request import Request
from functions.prepare_rollback.retraining import Retrainings, is_retraining
from functions.prepare_rollback.target import RollbackRefused, Target, Targets
from functions.shared.aws import client
from functions.shared.champion import Champion, ModelTable, RetrainingRunning
from functions.shared.observability import log_failures, make_logger_and_metrics
from functions.shared.running import is_running
from functions.shared.settings import read_settings
from functions.shared.shapes import read_execution
from functions.shared.times import now


@dataclass(frozen=True)
class Settings:
    """Environment variables of the function."""

    model_table: str
    endpoint_name: str
    rollback_window_hours: float


settings = read_settings(Settings)
logger, metrics = make_logger_and_metrics("prepare-rollback")
table = ModelTable(settings.model_table, client("dynamodb"))
sagemaker = client("sagemaker", read_timeout_s=20)
targets = Targets(table, sagemaker)
retrainings = Retrainings(settings.endpoint_name, sagemaker, client("stepfunctions"))
window = timedelta(hours=settings.rollback_window_hours)


@logger.inject_lambda_context(correlation_id_path="execution", clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
@log_failures(logger)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Acquire the lock and find the model to restore; the workflow continues when `outcome` is `ready`.

    Otherwise nothing was changed, and the lock is released.
    """
    execution = read_execution(event)
    request = Request.from_state(event.get("request"))
    try:
        # Checked before the lock too, which a retraining may hold for an hour.
        if why := reason_to_ignore_alarm(request, recorded_champion()):
            return log_outcome(ignored_state(request, table.champion(), why, execution))
        if why := acquire_lock(request, execution):
            return log_outcome(ignored_state(request, table.champion(), why, execution))
        champion = recorded_champion()
        if why := reason_to_ignore_alarm(request, champion):
            table.release_lock(execution)
            return log_outcome(ignored_state(request, champion, why, execution))
        target = find_target(request, champion)
    except RetrainingRunning as running:
        return log_outcome(refused_state(request, table.champion(), "RetrainingRunning", str(running), execution))
    except RollbackRefused as refusal:
        table.release_lock(execution)
        return log_outcome(refused_state(request, table.champion(), refusal.reason, str(refusal), execution))
    return log_outcome(ready_state(request, champion, target, execution))


def acquire_lock(request: Request, execution: str) -> str | None:
    """Acquire the lock. For an alarm, stop a retraining that holds it but has not changed the endpoint.

    Returns why the alarm is ignored instead: the retraining is deploying a model, and it monitors the alarms itself.
    Raises RetrainingRunning for a person, and while another rollback runs.
    """
    stopped: set[str] = set()
    try:
        table.acquire_lock(execution, now(), has_not_ended(stopped))
    except RetrainingRunning:
        holder = table.lock_holder()
        if request.alarmed_at is None or holder is None or not is_retraining(holder):
            raise
        if retrainings.changes_endpoint(recorded_champion(), now()):
            return f"{holder} is deploying or has withdrawn another model, which the alarm may be about"
        retrainings.stop(holder, execution, request.reason)
        logger.warning("retraining stopped", stopped=holder)
        stopped.add(holder)
        table.acquire_lock(execution, now(), has_not_ended(stopped))
    return None


def has_not_ended(stopped: set[str]) -> Callable[[str], bool]:
    """Return the function that tells whether an execution runs that is not one of `stopped`."""
    return lambda holder: holder not in stopped and is_running(client("stepfunctions"), holder)


def recorded_champion() -> Champion:
    """Return the recorded champion. Raises RollbackRefused when there is none."""
    champion = table.champion()
    if champion is None:
        raise RollbackRefused(
            "NoChampion", "this stage has no champion that could be rolled back. Train one: `make retrain`"
        )
    return champion


def reason_to_ignore_alarm(request: Request, champion: Champion) -> str | None:
    """Return why the alarm is ignored; None when it is not, and for a person."""
    if request.alarmed_at is None:
        return None
    return reason_to_ignore(champion, request.alarmed_at, now(), window, table.last_judged_at())


def find_target(request: Request, champion: Champion) -> Target:
    """Return the model that the request names. Raises RollbackRefused."""
    return targets.find(request.to, champion) if request.to else targets.find_predecessor(champion)


def log_outcome(prepared: dict[str, Any]) -> dict[str, Any]:
    """Log the outcome and return it."""
    logger.info(
        "rollback prepared",
        outcome=prepared["outcome"],
        reason=prepared["reason"],
        verdict=prepared["words"],
        model_version=prepared["model_version"],
    )
    return prepared
