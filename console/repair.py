"""Put the endpoint of the champion back: retrain-model does it, with nothing to train."""

import json
from typing import TYPE_CHECKING

from console.operations import execution_name
from deploy.outputs import Deployed

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

REPAIR_INPUT = {"trigger": "repair"}


def start_repair(deployed: Deployed, stepfunctions: "SFNClient", who: str) -> str:
    """Start the execution that restores the endpoint and ends when it is in service; return its ARN.

    Its name has `who` asked for it, so that the history of the workflow says so. Raises ClientError, BotoCoreError.
    """
    started = stepfunctions.start_execution(
        stateMachineArn=deployed.retrain_model_arn,
        name=execution_name("repair", who),
        input=json.dumps(REPAIR_INPUT),
    )
    return started["executionArn"]
