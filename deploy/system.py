"""Deploy and destroy the whole system: both stacks, the artefacts, and what the workflows created."""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError, WaiterError

from deploy.artefacts import upload_once
from deploy.cleanup import empty_bucket, remove_endpoint, remove_log_groups, remove_models, remove_registry
from deploy.errors import DeployError
from deploy.package import ROOT, RUNTIME, Artefact, build_artefacts
from deploy.stack import UPDATABLE, Progress, Stack
from deploy.target import Target
from deploy.templates import load_template
from functions.shared.champion import ModelTable
from functions.shared.sagemaker import is_missing

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient

BUILD = ROOT / "build" / "artifacts"

# Outputs of the data stack with a bucket, which is emptied before it is deleted.
BUCKETS = ("UploadsBucket", "MlBucket", "ArtifactsBucket")

# Outputs of the data stack that are parameters of the app stack.
DATA_OUTPUTS = (
    *BUCKETS,
    *("PhotoTable", "ModelTable"),
    *("TrainingRoleArn", "EvaluationRoleArn", "EndpointRoleArn"),
)

# The parameter of the data stack with which the uploads bucket accepts (`yes`) or denies (`no`) uploads.
ACCEPT_UPLOADS = "AcceptUploads"

# "It takes around five minutes for the changes to take effect" (Amazon S3 User Guide, "Enabling Amazon EventBridge").
EVENTS_AFTER_S = 300

# Environment variables that set a parameter of the app stack.
SETTINGS = {
    "REVIEW_TIMEOUT_S": "ReviewTimeoutSeconds",
    "UPLOADS_PER_MINUTE": "UploadsPerMinute",
    "EXCESS_CONCURRENCY": "ExcessConcurrency",
    "MIN_NEW_LABELS": "MinNewLabels",
    "MAX_LABELS_PER_DRIVER": "MaxLabelsPerDriver",
    "MAX_LABELS_PER_REVIEWER": "MaxLabelsPerReviewer",
    "BAKE_SECONDS": "BakeSeconds",
    "GATE": "Gate",
    "ROLLBACK_ALARMS": "RollbackAlarms",
    "ROLLBACK_WINDOW_HOURS": "RollbackWindowHours",
    "LOG_RETENTION_DAYS": "LogRetentionDays",
    "TRAINING_INSTANCE_TYPE": "TrainingInstanceType",
    "ENDPOINT_INSTANCE_TYPE": "EndpointInstanceType",
}


def deploy(target: Target, progress: Progress = print, build: Path = BUILD) -> dict[str, str]:
    """Create or update everything, and return the outputs of the app stack. Raises DeployError.

    The bucket accepts uploads only after the app stack was created: without its rule, an upload would be lost.
    """
    data, app = Stack(target.data_stack, progress), Stack(target.app_stack, progress)
    _refuse_two_tables(data)
    # An earlier version has no such parameter and always accepts uploads.
    accepting = app.is_created() and data.parameters().get(ACCEPT_UPLOADS, "yes") == "yes"
    parameters = {
        "Stage": target.stage,
        "RequireTls": _require_tls(target),
        ACCEPT_UPLOADS: "yes" if accepting else "no",
    }
    changed = data.deploy(load_template("data"), parameters)
    data_outputs = data.outputs()
    with explained("" if accepting else "The stage accepts no uploads until `make deploy` succeeds."):
        packaged = build_artefacts(build)
        for artefact in _upload_missing(data_outputs["ArtifactsBucket"], packaged):
            progress(f"{artefact.key}: {len(artefact.content) / 1e6:.2f} MB uploaded")
        changed |= app.deploy(
            load_template("app"),
            {
                "Stage": target.stage,
                "RequireTls": _require_tls(target),
                "Runtime": RUNTIME,
                **{name: data_outputs[name] for name in DATA_OUTPUTS},
                **{artefact.parameter: artefact.key for artefact in packaged},
                **app_settings(target),
            },
            data_outputs["ArtifactsBucket"],
        )
        if not accepting:
            if not target.is_local:
                _wait_for_events(data.created_at(), progress)
            changed |= data.set_parameter(ACCEPT_UPLOADS, "yes")
            progress("Uploads are accepted.")
    progress(f"Stage {target.stage} is {'deployed' if changed else 'unchanged: nothing to deploy'}.")
    outputs = app.outputs()
    _restore_endpoint(outputs, progress)
    return outputs


def _require_tls(target: Target) -> str:
    """The parameter of both stacks that denies requests without TLS, which the embedded AWS does not have."""
    return "false" if target.is_local else "true"


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
    """Remove the system; photos, their records, models and labels only `with_data`.

    Uploads are denied first. Raises DeployError, which says what was not removed and how to go on.
    """
    command = "make destroy DATA=yes" if with_data else "make destroy"
    data, app = Stack(target.data_stack, progress), Stack(target.app_stack, progress)
    with explained(f"Nothing was removed. Run `{command}` again."):
        if with_data:
            _refuse_protected_table(data)
        _deny_uploads(data, progress)
    with explained(
        f"The stage accepts no uploads, and only a part of it was removed. Run `{command}` to remove the rest, or "
        "`make deploy` to use the stage again."
    ):
        endpoint = f"{target.app_stack}-vehicles"
        remove_endpoint(endpoint, progress)
        app.delete()
        remove_log_groups(f"/aws/lambda/{target.app_stack}-", f"/aws/sagemaker/Endpoints/{endpoint}")
    if data.status() is None:
        progress(f"{data.name}: does not exist")
        return
    data_outputs = data.outputs()
    if not with_data:
        kept = [value for name, value in data_outputs.items() if not name.endswith("Arn")]
        progress(
            f"Data is kept in {', '.join(kept)}, and the models in SageMaker; the next `make deploy` uses them again."
        )
        progress("The uploads bucket accepts no uploads until then. `make destroy DATA=yes` removes the data too.")
        return
    with explained("The app stack is removed, but only a part of the data. Run `make destroy DATA=yes` again."):
        remove_models(f"vehicles-{target.stage}-", progress)
        remove_registry(target.app_stack, progress)
        for bucket in (data_outputs[name] for name in BUCKETS if name in data_outputs):
            progress(f"{bucket}: {empty_bucket(bucket)} objects removed")
        data.delete()


@contextmanager
def explained(sentence: str) -> Iterator[None]:
    """Raise every error of AWS or of the deployment as a DeployError that ends with `sentence`."""
    try:
        yield
    except (DeployError, ClientError, BotoCoreError) as error:
        raise DeployError(f"{error}\n{sentence}".strip()) from error


def _refuse_two_tables(data: Stack) -> None:
    """Raise DeployError for a stage of a version before the photo table had all records: it is not migrated."""
    if data.status() is not None and "DecisionTable" in data.outputs():
        raise DeployError(
            f"{data.name} was deployed by an earlier version, which kept decisions in a table of their own. They are "
            "not migrated: run `make destroy DATA=yes` with that version, then `make deploy` with this one."
        )


def _refuse_protected_table(data: Stack) -> None:
    """Raise DeployError when the photo table may not be deleted, before anything else is removed."""
    if data.status() is None or (table := data.outputs().get("PhotoTable")) is None:
        return
    if boto3.client("dynamodb").describe_table(TableName=table)["Table"].get("DeletionProtectionEnabled"):
        raise DeployError(
            f"Table {table} is protected against deletion. To delete it for good, first run "
            f"`aws dynamodb update-table --table-name {table} --no-deletion-protection-enabled`."
        )


def _deny_uploads(data: Stack, progress: Progress) -> None:
    """Make the uploads bucket deny uploads, before the rule that starts their workflow is removed."""
    if data.status() not in UPDATABLE:
        return
    if ACCEPT_UPLOADS not in data.parameters():
        progress(f"{data.name}: an earlier version is deployed, which cannot deny uploads; `make deploy` updates it.")
        return
    if data.set_parameter(ACCEPT_UPLOADS, "no"):
        progress("Uploads are denied.")


def _wait_for_events(created: datetime, progress: Progress) -> None:
    """Wait until S3 sends the events of a bucket that was created at this time."""
    remaining_s = EVENTS_AFTER_S - (datetime.now(UTC) - created).total_seconds()
    if remaining_s > 0:
        progress(f"Waiting {remaining_s:.0f} s: a new bucket sends events only {EVENTS_AFTER_S} s after its creation.")
        time.sleep(remaining_s)


def outputs(target: Target) -> dict[str, str]:
    """Return the outputs of the deployed app stack. Raises DeployError when it is not deployed."""
    return Stack(target.app_stack).outputs()


def _upload_missing(bucket: str, packaged: Iterable[Artefact]) -> Iterable[Artefact]:
    """Upload the artefacts that are not in the bucket yet, and yield each uploaded one. Raises DeployError."""
    s3: S3Client = boto3.client("s3")
    for artefact in packaged:
        if upload_once(s3, bucket, artefact.key, artefact.content):
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
