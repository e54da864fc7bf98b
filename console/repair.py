"""Put the endpoint of the champion back: retrain-model does it, with nothing to train."""

import json
import re
from typing import TYPE_CHECKING

from deploy.outputs import Deployed
from functions.shared.times import now

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

REPAIR_INPUT = {"trigger": "repair"}


def start_repair(deployed: Deployed, stepfunctions: "SFNClient", who: str) -> str:
    """Start the execution that restores the endpoint and ends when it is in service; return its ARN.

    Its name has `who` asked for it, so that the history of the workflow says so. Raises ClientError, BotoCoreError.
    """
    name = f"repair-{re.sub('[^A-Za-z0-9-]', '-', who)[:40]}-{now():%Y%m%dT%H%M%S%f}"
    started = stepfunctions.start_execution(
        stateMachineArn=deployed.retrain_model_arn, name=name, input=json.dumps(REPAIR_INPUT)
    )
    return started["executionArn"]
