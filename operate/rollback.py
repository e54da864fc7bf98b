"""Start rollback-model, follow it and print its result."""

from typing import Any

import boto3

from deploy.outputs import Deployed
from functions.shared.champion import ModelTable
from operate import executions
from operate.errors import CommandError
from operate.model_names import find_promoted, short_name
from operate.terminal import console

WORKFLOW = "rollback-model"
REASON = "requested with make rollback"


def roll_back(deployed: Deployed, to: str = "", reason: str = REASON) -> dict[str, Any]:
    """Restore model `to`, by default the predecessor of the champion; returns the output of the execution.

    `to` is the name of a model, or its short name.
    Raises CommandError when the rollback was refused or failed; the champion then stays in production.
    """
    if to:
        to = find_promoted(to, ModelTable(deployed.model_table, boto3.client("dynamodb")))
    request = {"trigger": "manual", "reason": reason, **({"to": to} if to else {})}
    output = executions.follow(executions.start(deployed.rollback_model_arn, request), WORKFLOW)
    if output["outcome"] != "rolled back":
        raise CommandError(f"{output['verdict']} ({output['reason']}). The champion stays.")
    return output


def print_result(output: dict[str, Any]) -> None:
    """Print the restored model, the marked model and the skipped models."""
    for model, why in output["skipped"].items():
        console.print(f"{model} was skipped: it {why}.", markup=False, soft_wrap=True)
    if output["mark_removed"]:
        console.print(f"{output['champion']} was marked as rolled back; the mark is removed.", soft_wrap=True)
    console.print(f"{output['champion']} is in production again.", soft_wrap=True)
    console.print(f"{output['rolled_back']} is marked as rolled back: later rollbacks skip it.", soft_wrap=True)
    console.print(f"To restore it anyway: make rollback TO={short_name(output['rolled_back'])}", soft_wrap=True)
