"""The whole system: both stacks and the artefacts between them."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError, WaiterError

from deploy.errors import DeployError
from deploy.package import PREFIX, ROOT, RUNTIME, Artefact, artefacts
from deploy.stack import Progress, Stack
from deploy.target import Target
from deploy.templates import template
from functions.shared.champion import ModelTable

BUILD = ROOT / "build" / "artifacts"

# What the app stack takes over from the data stack.
DATA_OUTPUTS = ("UploadsBucket", "MlBucket", "DecisionTable", "PhotoTable", "ModelTable", "SageMakerRoleArn")

# Parameters of the app stack that an operator may set through the environment, by the variable's name.
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
    """Create or update everything; returns the stack's outputs. Raises DeployError."""
    tls = "false" if target.is_local else "true"
    data = Stack(target.data_stack, progress)
    changed = data.deploy(template("data"), {"Stage": target.stage, "RequireTls": tls})
    stored = data.outputs()
    packaged = artefacts(build)
    for artefact in _missing(stored["MlBucket"], packaged):
        progress(f"{artefact.key}: {len(artefact.content) / 1e6:.2f} MB uploaded")
    app = Stack(target.app_stack, progress)
    changed |= app.deploy(
        template("app"),
        {
            "Stage": target.stage,
            "Runtime": RUNTIME,
            **{name: stored[name] for name in DATA_OUTPUTS},
            **{artefact.parameter: artefact.key for artefact in packaged},
            **app_settings(target),
        },
    )
    progress(f"Stage {target.stage} is {'deployed' if changed else 'unchanged: nothing to deploy'}.")
    given = app.outputs()
    _bring_back_the_champion(given, progress)
    return given


def app_settings(target: Target) -> dict[str, str]:
    """The parameters of the app stack that depend on where it is, and those that the environment sets."""
    return {
        # There is no traffic to watch on an embedded AWS, and people wait for the end.
        **({"BakeSeconds": "5"} if target.is_local else {}),
        # Without archive and network only drawn pictures are left to try the whole system with.
        "AllowDrawnTrainingData": "yes" if target.is_local else "no",
        "RollbackAlarms": f"{target.app_stack}-endpoint-errors",
        **{parameter: os.environ[name] for name, parameter in SETTINGS.items() if os.environ.get(name)},
    }


def destroy(target: Target, *, with_data: bool, progress: Progress = print) -> None:
    """Remove everything this system made; photos, models, labels and decisions only `with_data`. Raises DeployError."""
    app = Stack(target.app_stack, progress)
    endpoint = f"{target.app_stack}-vehicles"
    _remove_endpoint(endpoint, progress)
    app.delete()
    _remove_log_groups(f"/aws/lambda/{target.app_stack}-", f"/aws/sagemaker/Endpoints/{endpoint}")
    data = Stack(target.data_stack, progress)
    if data.status() is None:
        progress(f"{data.name}: there is none")
        return
    stored = data.outputs()
    if not with_data:
        kept = [value for name, value in stored.items() if not name.endswith("Arn")]
        progress(f"Data is kept in {', '.join(kept)}, and the models in SageMaker; `make deploy` finds it again.")
        progress("`make destroy DATA=yes` removes it too.")
        return
    _remove_models(f"vehicles-{target.stage}-", progress)
    _remove_registry(target.app_stack, progress)
    for bucket in (stored["UploadsBucket"], stored["MlBucket"]):
        progress(f"{bucket}: {_empty(bucket)} objects removed")
    data.delete()


def outputs(target: Target) -> dict[str, str]:
    """The outputs of the deployed stack. Raises DeployError when it is not deployed."""
    return Stack(target.app_stack).outputs()


def _missing(bucket: str, packaged: Iterable[Artefact]) -> Iterable[Artefact]:
    """Uploads the artefacts that are not in the bucket yet, and yields each one it uploaded."""
    s3: Any = boto3.client("s3")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{PREFIX}/")
    there = {found["Key"] for page in pages for found in page.get("Contents", [])}
    for artefact in packaged:
        if artefact.key not in there:
            s3.put_object(Bucket=bucket, Key=artefact.key, Body=artefact.content)
            yield artefact


def _bring_back_the_champion(given: dict[str, str], progress: Progress) -> None:
    """A stage that was removed but for its data has a champion and no endpoint."""
    champion = ModelTable(given["ModelTable"], boto3.client("dynamodb")).champion()
    sagemaker: Any = boto3.client("sagemaker")
    name = given["EndpointName"]
    if champion is None or _exists(sagemaker.describe_endpoint, EndpointName=name):
        return
    if not _exists(sagemaker.describe_endpoint_config, EndpointConfigName=champion.endpoint_config):
        progress(f"Champion {champion.model_version} is recorded, but SageMaker has no configuration of that name.")
        progress("Photos go to review until there is a new model: `make retrain FORCE=yes`.")
        return
    progress(f"endpoint {name}: bringing back champion {champion.model_version}")
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=champion.endpoint_config)
    try:
        sagemaker.get_waiter("endpoint_in_service").wait(
            EndpointName=name, WaiterConfig={"Delay": 2, "MaxAttempts": 900}
        )
    except WaiterError as error:
        raise DeployError(f"Endpoint {name} did not come back: {error}. `make status` shows it.") from error


def _exists(describe: Callable[..., Any], **named: str) -> bool:
    try:
        describe(**named)
    except ClientError as error:
        if "Could not find" in str(error):
            return False
        raise
    return True


def _remove_endpoint(name: str, progress: Progress) -> None:
    """The retrain workflow made the endpoint, so no stack knows of it."""
    sagemaker: Any = boto3.client("sagemaker")
    try:
        sagemaker.delete_endpoint(EndpointName=name)
        sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=name, WaiterConfig={"Delay": 2, "MaxAttempts": 300})
        progress(f"endpoint {name}: removed")
    except ClientError as error:
        if "Could not find" not in str(error):
            raise DeployError(f"Endpoint {name} could not be removed: {error}. Try again in a minute.") from error


def _remove_models(prefix: str, progress: Progress) -> None:
    """The retrain workflow made these too."""
    sagemaker: Any = boto3.client("sagemaker")
    for kind, listing, key, field, delete in (
        (
            "endpoint configurations",
            "list_endpoint_configs",
            "EndpointConfigs",
            "EndpointConfigName",
            sagemaker.delete_endpoint_config,
        ),
        ("models", "list_models", "Models", "ModelName", sagemaker.delete_model),
    ):
        pages = sagemaker.get_paginator(listing).paginate(NameContains=prefix)
        names = [item[field] for page in pages for item in page[key] if item[field].startswith(prefix)]
        for found in names:
            delete(**{field: found})
        if names:
            progress(f"{kind}: {len(names)} removed")


def _remove_registry(group: str, progress: Progress) -> None:
    """The group of registered models, which SageMaker removes only when it is empty."""
    sagemaker: Any = boto3.client("sagemaker")
    groups = sagemaker.get_paginator("list_model_package_groups").paginate(NameContains=group)
    if not any(
        found["ModelPackageGroupName"] == group for page in groups for found in page["ModelPackageGroupSummaryList"]
    ):
        return
    pages = sagemaker.get_paginator("list_model_packages").paginate(ModelPackageGroupName=group)
    arns = [package["ModelPackageArn"] for page in pages for package in page["ModelPackageSummaryList"]]
    for arn in arns:
        sagemaker.delete_model_package(ModelPackageName=arn)
    sagemaker.delete_model_package_group(ModelPackageGroupName=group)
    progress(f"model registry {group}: {len(arns)} entries removed")


def _remove_log_groups(*prefixes: str) -> None:
    """Functions that log while their stack is deleted make their log group anew, without retention."""
    logs: Any = boto3.client("logs")
    for prefix in prefixes:
        for page in logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=prefix):
            for group in page["logGroups"]:
                logs.delete_log_group(logGroupName=group["logGroupName"])


def _empty(bucket: str) -> int:
    s3: Any = boto3.client("s3")
    removed = 0
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        found = page.get("Versions", []) + page.get("DeleteMarkers", [])
        if found:
            objects = [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in found]
            s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
            removed += len(objects)
    return removed
