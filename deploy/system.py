"""Deploy and destroy the whole system: both stacks, the artefacts, and what the workflows created."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import ClientError, WaiterError

from deploy.cleanup import empty_bucket, remove_endpoint, remove_log_groups, remove_models, remove_registry
from deploy.errors import DeployError
from deploy.package import PREFIX, ROOT, RUNTIME, Artefact, build_artefacts
from deploy.stack import Progress, Stack
from deploy.target import Target
from deploy.templates import load_template
from functions.shared.champion import ModelTable
from functions.shared.sagemaker import is_missing

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient

BUILD = ROOT / "build" / "artifacts"

# Outputs of the data stack that are parameters of the app stack.
DATA_OUTPUTS = ("UploadsBucket", "MlBucket", "DecisionTable", "PhotoTable", "ModelTable", "SageMakerRoleArn")

# Environment variables that set a parameter of the app stack.
SETTINGS = {
    "REVIEW_TIMEOUT_S": "ReviewTimeoutSeconds",
    "MIN_NEW_LABELS": "MinNewLabels",
    "BAKE_SECONDS": "BakeSeconds",
    "GATE": "Gate",
    "ROLLBACK_ALARMS": "RollbackAlarms",
    "ROLLBACK_WINDOW_HOURS": "RollbackWindowHours",
    "LOG_RETENTION_DAYS": "LogRetentionDays",
    "TRAINING_INSTANCE_TYPE": "TrainingInstanceType",
    "ENDPOINT_INSTANCE_TYPE": "EndpointInstanceType",
}


def deploy(target: Target, progress: Progress = print, build: Path = BUILD) -> dict[str, str]:
    """Create or update everything, and return the outputs of the app stack. Raises DeployError."""
    tls = "false" if target.is_local else "true"
    data = Stack(target.data_stack, progress)
    changed = data.deploy(load_template("data"), {"Stage": target.stage, "RequireTls": tls})
    data_outputs = data.outputs()
    packaged = build_artefacts(build)
    for artefact in _upload_missing(data_outputs["MlBucket"], packaged):
        progress(f"{artefact.key}: {len(artefact.content) / 1e6:.2f} MB uploaded")
    app = Stack(target.app_stack, progress)
    changed |= app.deploy(
        load_template("app"),
        {
            "Stage": target.stage,
            "Runtime": RUNTIME,
            **{name: data_outputs[name] for name in DATA_OUTPUTS},
            **{artefact.parameter: artefact.key for artefact in packaged},
            **app_settings(target),
        },
    )
    progress(f"Stage {target.stage} is {'deployed' if changed else 'unchanged: nothing to deploy'}.")
    outputs = app.outputs()
    _restore_endpoint(outputs, progress)
    return outputs


def app_settings(target: Target) -> dict[str, str]:
    """Return the parameters of the app stack that depend on the target or on the environment."""
    return {
        # The embedded AWS has no traffic to monitor.
        **({"BakeSeconds": "5"} if target.is_local else {}),
        # Without a downloaded data set, training uses pictures drawn by the program.
        "AllowDrawnTrainingData": "yes" if target.is_local else "no",
        "RollbackAlarms": f"{target.app_stack}-endpoint-errors",
        **{parameter: os.environ[name] for name, parameter in SETTINGS.items() if os.environ.get(name)},
    }


def destroy(target: Target, *, with_data: bool, progress: Progress = print) -> None:
    """Remove the system; photos, models, labels and decisions only `with_data`. Raises DeployError."""
    app = Stack(target.app_stack, progress)
    endpoint = f"{target.app_stack}-vehicles"
    remove_endpoint(endpoint, progress)
    app.delete()
    remove_log_groups(f"/aws/lambda/{target.app_stack}-", f"/aws/sagemaker/Endpoints/{endpoint}")
    data = Stack(target.data_stack, progress)
    if data.status() is None:
        progress(f"{data.name}: does not exist")
        return
    data_outputs = data.outputs()
    if not with_data:
        kept = [value for name, value in data_outputs.items() if not name.endswith("Arn")]
        progress(
            f"Data is kept in {', '.join(kept)}, and the models in SageMaker; the next `make deploy` uses them again."
        )
        progress("`make destroy DATA=yes` removes the data too.")
        return
    remove_models(f"vehicles-{target.stage}-", progress)
    remove_registry(target.app_stack, progress)
    for bucket in (data_outputs["UploadsBucket"], data_outputs["MlBucket"]):
        progress(f"{bucket}: {empty_bucket(bucket)} objects removed")
    data.delete()


def outputs(target: Target) -> dict[str, str]:
    """Return the outputs of the deployed app stack. Raises DeployError when it is not deployed."""
    return Stack(target.app_stack).outputs()


def _upload_missing(bucket: str, packaged: Iterable[Artefact]) -> Iterable[Artefact]:
    """Upload the artefacts that are not in the bucket yet, and yield each uploaded one."""
    s3: S3Client = boto3.client("s3")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{PREFIX}/")
    existing = {found["Key"] for page in pages for found in page.get("Contents", [])}
    for artefact in packaged:
        if artefact.key not in existing:
            s3.put_object(Bucket=bucket, Key=artefact.key, Body=artefact.content)
            yield artefact


def _restore_endpoint(outputs: dict[str, str], progress: Progress) -> None:
    """Create the endpoint of the recorded champion when it is missing: `destroy` keeps the data and the models."""
    champion = ModelTable(outputs["ModelTable"], boto3.client("dynamodb")).champion()
    sagemaker: SageMakerClient = boto3.client("sagemaker")
    name = outputs["EndpointName"]
    if champion is None or _exists(sagemaker.describe_endpoint, EndpointName=name):
        return
    if not _exists(sagemaker.describe_endpoint_config, EndpointConfigName=champion.endpoint_config):
        progress(f"Champion {champion.model_version} is recorded, but SageMaker has no configuration of that name.")
        progress("Photos go to review until a new model is promoted: run `make retrain FORCE=yes`.")
        return
    progress(f"endpoint {name}: restoring champion {champion.model_version}")
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=champion.endpoint_config)
    try:
        sagemaker.get_waiter("endpoint_in_service").wait(
            EndpointName=name, WaiterConfig={"Delay": 2, "MaxAttempts": 900}
        )
    except WaiterError as error:
        raise DeployError(f"Endpoint {name} was not restored: {error}. `make status` shows it.") from error


def _exists(describe: Callable[..., Any], **named: str) -> bool:
    try:
        describe(**named)
    except ClientError as error:
        if is_missing(error):
            return False
        raise
    return True
