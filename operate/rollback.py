"""Putting an earlier model back behind the endpoint, by hand."""

import time
from dataclasses import replace
from typing import Any

import boto3
from botocore.exceptions import ClientError

from functions.shared.models import Champion, ModelTable
from operate.errors import CommandError
from operate.stack import Deployed

LIMIT_S = 1800
POLL_S = 1.0


def roll_back(deployed: Deployed, to: str = "") -> Champion:
    """Make model `to`, or the champion's predecessor, champion and wait until it answers.

    Raises CommandError when there is no such model, or when the endpoint does not take it; then the champion stays.
    """
    sagemaker: Any = boto3.client("sagemaker")
    table = ModelTable(deployed.model_table, boto3.client("dynamodb"))
    champion = table.champion()
    wanted = to or (champion.previous if champion else None)
    if not wanted:
        raise CommandError("The champion has no predecessor. Name a model: `make rollback TO=<model>`.")
    if champion and wanted == champion.model_version:
        raise CommandError(f"{wanted} is the champion already.")
    try:
        artifact = sagemaker.describe_model(ModelName=wanted)["PrimaryContainer"]["ModelDataUrl"]
        sagemaker.describe_endpoint_config(EndpointConfigName=wanted)
        sagemaker.update_endpoint(EndpointName=deployed.endpoint_name, EndpointConfigName=wanted)
    except ClientError as error:
        raise CommandError(f"{wanted} cannot be put back: {error}. `make status` lists the models.") from error
    _await(sagemaker, deployed.endpoint_name, wanted)
    # A model that was champion before still knows its labels, so that they are not news to the next retraining.
    back = replace(
        table.promoted(wanted) or Champion(wanted, wanted, artifact),
        previous=champion.model_version if champion else None,
        promoted_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    )
    table.crown(back)
    return back


def _await(sagemaker: Any, endpoint: str, configuration: str) -> None:
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        found = sagemaker.describe_endpoint(EndpointName=endpoint)
        if found["EndpointStatus"] == "InService":
            if found["EndpointConfigName"] == configuration:
                return
            raise CommandError(f"The endpoint refused {configuration} and kept {found['EndpointConfigName']}.")
        if found["EndpointStatus"] in ("Failed", "OutOfService"):
            raise CommandError(f"The endpoint is {found['EndpointStatus']}: {found.get('FailureReason', '')}")
        time.sleep(POLL_S)
    raise CommandError(f"The endpoint is still changing after {LIMIT_S} s. Look again with `make status`.")
