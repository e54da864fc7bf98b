"""A retraining that holds the lock when an alarm is about the champion."""

from datetime import datetime
from typing import TYPE_CHECKING

from functions.prepare_rollback.alarm_rule import LONGEST_ALARM_PERIOD
from functions.shared.champion import Champion
from functions.shared.sagemaker import find_endpoint

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_stepfunctions import SFNClient

# The error of a retraining that a rollback stopped.
STOPPED = "StoppedByRollback"


class Retrainings:
    """Stops retrainings that have not changed the endpoint."""

    def __init__(self, endpoint: str, sagemaker: "SageMakerClient", stepfunctions: "SFNClient") -> None:
        """`endpoint` is the name of the endpoint."""
        self._endpoint = endpoint
        self._sagemaker = sagemaker
        self._stepfunctions = stepfunctions

    def changes_endpoint(self, champion: Champion, now: datetime) -> bool:
        """Whether the endpoint does not just serve the champion: then the alarm may be about a new model.

        That is so for some minutes after a new model was withdrawn, too. Raises ClientError.
        """
        found = find_endpoint(self._endpoint, self._sagemaker)
        if found is None or (found["EndpointStatus"], found["EndpointConfigName"]) != (
            "InService",
            champion.endpoint_config,
        ):
            return True
        changed, promoted_at = found["LastModifiedTime"], champion.promoted_at
        since_promotion = promoted_at is None or changed > datetime.fromisoformat(promoted_at)
        return since_promotion and now - changed < LONGEST_ALARM_PERIOD

    def stop(self, execution: str, rollback: str, reason: str) -> None:
        """Stop a retraining, which can be stopped in every state. Raises ClientError."""
        self._stepfunctions.stop_execution(
            executionArn=execution,
            error=STOPPED,
            cause=f"{rollback} rolls the champion back, because drivers need a working model now: {reason}. "
            "Start the retraining again when that has ended: make retrain",
        )


def is_retraining(execution: str) -> bool:
    """Whether an execution, given by its ARN, is one of retrain-model.

    >>> is_retraining("arn:aws:states:eu-west-1:123456789012:execution:scones-dev-retrain-model:first")
    True
    """
    return "retrain-model" in execution.rpartition(":")[0]
