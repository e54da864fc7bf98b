"""Starting rollback-model and following it, state by state."""

import json
from typing import Any

import boto3

from deploy.outputs import Deployed
from operate import retrain
from operate.errors import CommandError
from operate.show import console

WORKFLOW = "rollback-model"
REASON = "asked for with make rollback"


def roll_back(deployed: Deployed, to: str = "", reason: str = REASON) -> dict[str, Any]:
    """Put model `to`, or the champion's predecessor, back behind the endpoint; returns the execution's output.

    Raises CommandError when the rollback was refused or failed; then the champion stays.
    """
    wanted = {"trigger": "manual", "reason": reason, **({"to": to} if to else {})}
    states: Any = boto3.client("stepfunctions")
    execution: str = states.start_execution(stateMachineArn=deployed.rollback_model_arn, input=json.dumps(wanted))[
        "executionArn"
    ]
    output = retrain.follow(execution, WORKFLOW)
    if output["outcome"] != "rolled back":
        raise CommandError(f"{output['verdict']} ({output['reason']}). The champion stays.")
    return output


def show(output: dict[str, Any]) -> None:
    """Print which model is champion, which was marked, and which were passed over."""
    for model, why in output["skipped"].items():
        console.print(f"{model} was skipped: it {why}.", markup=False, soft_wrap=True)
    if output["mark_removed"]:
        console.print(f"{output['champion']} was marked as rolled back; the mark is removed.", soft_wrap=True)
    console.print(f"{output['champion']} is champion again and answers at its endpoint.", soft_wrap=True)
    console.print(f"{output['rolled_back']} is marked as rolled back: later rollbacks skip it.", soft_wrap=True)
    console.print(f"To put it back all the same: make rollback TO={output['rolled_back']}", soft_wrap=True)
