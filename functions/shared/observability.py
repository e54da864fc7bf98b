"""Logs and metrics of every function: JSON lines with the execution and the photo, EMF in one namespace."""

import functools
import warnings
from collections.abc import Callable
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.shared.errors import PhotoFault, ReviewPending

NAMESPACE = "Scones/Vehicles"

Handler = Callable[[dict[str, Any], LambdaContext], dict[str, Any]]

# A function that finds its work already done has nothing to count; Powertools would print a line that is not JSON.
warnings.filterwarnings("ignore", message="No application metrics to publish")


def make_logger_and_metrics(service: str) -> tuple[Logger, Metrics]:
    """The logger and the metrics of one function, named alike."""
    return Logger(service=service), Metrics(namespace=NAMESPACE, service=service)


def reports_failures(logger: Logger) -> Callable[[Handler], Handler]:
    """Log a failure once, by the name the workflow catches it with, and let it go on to Step Functions.

    Only name and message are logged: the event holds a task token, and a traceback may hold the event.
    """

    def decorate(handler: Handler) -> Handler:
        @functools.wraps(handler)
        def reporting(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
            try:
                return handler(event, context)
            except (PhotoFault, ReviewPending) as expected:
                logger.info(str(expected), error=type(expected).__name__)
                raise
            except Exception as error:
                logger.error(str(error), error=type(error).__name__)
                raise

        return reporting

    return decorate
