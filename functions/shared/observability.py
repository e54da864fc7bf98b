"""Logs and metrics of every function: JSON lines with the execution and the photo, EMF in one namespace."""

import functools
import os
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from aws_lambda_powertools import Logger, Metrics, single_metric
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import BotoCoreError, ClientError

from functions.shared.aws import call_failed
from functions.shared.errors import (
    AnnouncementPending,
    BatchUnfinished,
    FolderMarker,
    ModelBusy,
    PhotoDecided,
    PhotoFault,
    PhotoInProgress,
    ReviewPending,
)
from functions.shared.outcomes import Recorded
from functions.shared.shapes import read_event

NAMESPACE = "Scones/Vehicles"

# Errors that the workflow expects and that nobody has to look at.
_EXPECTED = (
    *(PhotoFault, FolderMarker, ModelBusy, ReviewPending, PhotoInProgress, PhotoDecided, AnnouncementPending),
    BatchUnfinished,
)

Handler = Callable[[dict[str, Any], LambdaContext], dict[str, Any]]

# A retry without new work has no metrics; the warning of Powertools would be a log line that is not JSON.
warnings.filterwarnings("ignore", message="No application metrics to publish")


def make_logger_and_metrics(service: str) -> tuple[Logger, Metrics]:
    """Return the logger and the metrics of one function; `service` is its name in both.

    Each metric has the dimensions `service` and `stage`: several stages of one account must not share an alarm.
    """
    metrics = Metrics(namespace=NAMESPACE, service=service)
    metrics.set_default_dimensions(stage=os.environ["STAGE"])
    return Logger(service=service), metrics


def log_failures(logger: Logger) -> Callable[[Handler], Handler]:
    """Return a decorator that logs an exception of the handler with its class name, and raises it again.

    An error of boto3 is raised as AwsUnavailable or AwsRefused, an event that is no object as InvalidInput.
    Only name and message are logged: the event has a task token, and a traceback may contain the event.
    """

    def decorate(handler: Handler) -> Handler:
        @functools.wraps(handler)
        def logging_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
            try:
                return handler(read_event(event), context)
            except _EXPECTED as expected:
                logger.info(str(expected), error=type(expected).__name__)
                raise
            except (ClientError, BotoCoreError) as error:
                failed = call_failed(error)
                logger.error(str(failed), error=type(failed).__name__)
                count("FunctionErrors")
                raise failed from error
            except Exception as error:
                logger.error(str(error), error=type(error).__name__)
                count("FunctionErrors")
                raise

        return logging_handler

    return decorate


def count(
    name: str,
    value: float = 1,
    unit: MetricUnit = MetricUnit.Count,
    metadata: Mapping[str, str] | None = None,
    **dimensions: str,
) -> None:
    """Publish a metric of the stage with other dimensions than those of the function.

    `metadata` is in the log line of the metric only.
    """
    dimensions = {**dimensions, "stage": os.environ["STAGE"]}
    with single_metric(name, unit, value, namespace=NAMESPACE, default_dimensions=dimensions) as metric:
        for key, text in (metadata or {}).items():
            metric.add_metadata(key, text)


def count_rejected(rejected: bool) -> None:
    """Count an outcome as a rejection or a decision: the average of the metric is the share of rejected photos."""
    count("Rejected", int(rejected))


def log_and_count_unrecorded(logger: Logger, what: str, model_version: str, error: Exception) -> None:
    """Log that something about a model could not be recorded, and count it: an alarm notifies an operator.

    For what must not undo a promotion or a rollback that has happened.
    """
    logger.error(f"{what} not recorded", model_version=model_version, error=str(error))
    count("ModelRecordsMissing", metadata={"model_version": model_version}, service="model-records")


def log_and_count_outcome(recorded: Recorded, logger: Logger, service: str) -> None:
    """Log the outcome of a photo; count it when its event was published by this call.

    A decision has the dimensions service, stage, loading_bay and decided_by; a rejection service, stage and reason.
    """
    outcome = recorded.outcome
    routed = "loading_bay" in outcome
    done = "driver routed" if routed else "photo rejected"
    logger.info(
        done if recorded.announced else "already decided",
        vehicle=outcome.get("vehicle"),
        loading_bay=outcome.get("loading_bay"),
        decided_by=outcome.get("decided_by"),
        rejected=outcome.get("rejected"),
        decided_in=outcome["execution"],
    )
    if not recorded.announced:
        return
    count_rejected(not routed)
    metadata = {"photo_id": outcome["photo"]["photo_id"]}
    if routed:
        metadata["model_version"] = outcome["model_version"]
        dimensions = {name: outcome[name] for name in ("loading_bay", "decided_by")}
        count("DriversRouted", metadata=metadata, service=service, **dimensions)
    else:
        count("PhotosRejected", metadata=metadata, service=service, reason=outcome["rejected"]["reason"])
