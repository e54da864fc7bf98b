"""Deploy the whole system: the artefacts, both stacks, and the endpoint of the recorded champion."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import ClientError, WaiterError

from deploy.artefacts import remove_unused, upload_once
from deploy.changes import Approve, accept, describe_changes
from deploy.cleanup import bucket_exists
from deploy.errors import DeployError, explained
from deploy.image import UNBUILT, build_context, find_image, push_image
from deploy.maintenance import silenced
from deploy.package import ROOT, Artefact, build_artefacts
from deploy.people import boundary, deploy_people
from deploy.preflight import check_account
from deploy.settings import ACCEPT_UPLOADS, given_settings
from deploy.stack import SYSTEM, Progress, Stack
from deploy.target import Target
from deploy.templates import load_template
from functions.shared.champion import ModelTable
from functions.shared.sagemaker import is_missing

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient

BUILD = ROOT / "build" / "artifacts"

# Outputs of the data stack that are parameters of the app stack.
DATA_OUTPUTS = (
    *("UploadsBucket", "MlBucket", "ArtifactsBucket"),
    *("PhotoTable", "ModelTable"),
    *("TrainingRoleArn", "EvaluationRoleArn", "BacktestRoleArn", "EndpointRoleArn"),
)

# "It takes around five minutes for the changes to take effect" (Amazon S3 User Guide, "Enabling Amazon EventBridge").
EVENTS_AFTER_S = 300


@dataclass(frozen=True)
class Deployment:
    """A stage that may be deployed: its stacks, the template of the app stack, its parameters and its settings."""

    target: Target
    data: Stack
    app: Stack
    template: dict[str, Any]
    present: Mapping[str, str]
    settings: Mapping[str, str]
    is_new: bool
    accepting: bool

    @classmethod
    def prepare(cls, target: Target, progress: Progress) -> "Deployment":
        """Check the stage and, on AWS, the account. Raises DeployError before anything is changed."""
        data, app = Stack(target.data_stack, progress), Stack(target.app_stack, progress)
        for stack in (data, app):
            stack.check_deployable()
        _refuse_two_tables(data)
        _refuse_missing_buckets(data)
        template, present = load_template("app"), app.present_parameters()
        settings = given_settings(target, template, present)
        if not target.is_local:
            check_account(settings, present, progress)
        is_new = not app.is_created()
        # An earlier version has no such parameter and always accepts uploads.
        accepting = not is_new and data.parameters().get(ACCEPT_UPLOADS, "yes") == "yes"
        return cls(target, data, app, template, present, settings, is_new, accepting)

    @property
    def require_tls(self) -> str:
        """The parameter of both stacks that denies requests without TLS, which the embedded AWS does not have."""
        return "false" if self.target.is_local else "true"

    @property
    def data_parameters(self) -> dict[str, str]:
        """The parameters of the data stack."""
        return {
            "Stage": self.target.stage,
            "RequireTls": self.require_tls,
            "PermissionsBoundary": boundary(self.target),
            ACCEPT_UPLOADS: "yes" if self.accepting else "no",
            "LogRetentionDays": self.settings.get("LogRetentionDays") or self.present["LogRetentionDays"],
        }

    def artefacts(self, build: Path) -> list[Artefact]:
        """Build the artefacts of the app stack."""
        runtime = self.settings.get("Runtime") or self.present["Runtime"]
        return build_artefacts(build, runtime, self.present.get("LayerKey", ""))

    def app_parameters(
        self, data_outputs: Mapping[str, str], packaged: Iterable[Artefact], image: str
    ) -> dict[str, str]:
        """Return the parameters of the app stack that are not kept."""
        return {
            "Stage": self.target.stage,
            "Image": image,
            "RequireTls": self.require_tls,
            "PermissionsBoundary": boundary(self.target),
            **{name: data_outputs[name] for name in DATA_OUTPUTS},
            **{artefact.parameter: artefact.key for artefact in packaged},
            **self.settings,
        }


def deploy(
    target: Target, progress: Progress = print, build: Path = BUILD, approve: Approve = accept
) -> dict[str, str]:
    """Create or update everything, and return the outputs of the app stack. Raises DeployError.

    The policies for people are created only on the embedded AWS, where the caller is an administrator. `approve` sees
    the changes of each stack before they are made. The bucket accepts uploads only after the app stack was created:
    without its rule, an upload would be lost.
    """
    planned = Deployment.prepare(target, progress)
    data, app, accepting = planned.data, planned.app, planned.accepting
    if target.is_local:
        deploy_people(target, progress)
    changed = data.deploy(load_template("data"), planned.data_parameters, approve=approve)
    data_outputs = data.outputs()
    with explained("" if accepting else "The stage accepts no uploads until `make deploy` succeeds."):
        image = push_image(data_outputs, build_context(), progress)
        packaged = planned.artefacts(build)
        for artefact in _upload_missing(data_outputs["ArtifactsBucket"], packaged):
            progress(f"{artefact.key}: {len(artefact.content) / 1e6:.2f} MB uploaded")
        parameters = planned.app_parameters(data_outputs, packaged, image)
        with silenced(target.stage, progress):
            changed |= app.deploy(planned.template, parameters, data_outputs["ArtifactsBucket"], approve)
            if planned.is_new:
                _run_drift_watch(app)
        if not accepting:
            if not target.is_local:
                _wait_for_events(data.created_at(), progress)
            changed |= data.set_parameter(ACCEPT_UPLOADS, "yes")
            progress("Uploads are accepted.")
    if target.is_production:
        for stack in (data, app):
            stack.protect(True)
    present = app.parameters()
    keep_job_logs(int(present["LogRetentionDays"]))
    s3: S3Client = boto3.client("s3")
    if removed := remove_unused(s3, data_outputs["ArtifactsBucket"], present.values()):
        progress(f"{data_outputs['ArtifactsBucket']}: {removed} old artefacts removed")
    progress(f"Stage {target.stage} is {'deployed' if changed else 'unchanged: nothing to deploy'}.")
    outputs = app.outputs()
    _restore_endpoint(outputs, progress)
    return outputs


def _run_drift_watch(app: Stack) -> None:
    """Run the drift watch once, whose schedule first runs after an hour: its alarm takes missing data for a fault."""
    lambda_: LambdaClient = boto3.client("lambda")
    name = app.resources("AWS::Lambda::Function")["WatchQualityFunction"]
    lambda_.invoke(FunctionName=name, InvocationType="Event", Payload=b"{}")


def keep_job_logs(days: int) -> None:
    """Make the logs of SageMaker's jobs expire after `days`.

    All stages of an account share these log groups, and SageMaker creates them without a retention, so they are in no
    stack. A retention that somebody has set stays.
    """
    logs: CloudWatchLogsClient = boto3.client("logs")
    for name in ("/aws/sagemaker/TrainingJobs", "/aws/sagemaker/ProcessingJobs"):
        groups = logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]
        group = next((one for one in groups if one["logGroupName"] == name), None)
        if group is None:
            logs.create_log_group(logGroupName=name)
        if group is None or "retentionInDays" not in group:
            logs.put_retention_policy(logGroupName=name, retentionInDays=days)


def plan(target: Target, progress: Progress = print, build: Path = BUILD) -> None:
    """Print what `deploy` would change, and change nothing. Raises DeployError as `deploy` does."""
    planned = Deployment.prepare(target, progress)
    data_changes = planned.data.plan(load_template("data"), planned.data_parameters)
    outputs = planned.data.present_outputs()
    # An output of a stack that does not exist yet has no value, and the plan needs none.
    known = {name: outputs.get(name, "not-known-yet") for name in DATA_OUTPUTS}
    image = find_image(outputs, build_context()) if "ImageRepository" in outputs else None
    parameters = planned.app_parameters(known, planned.artefacts(build), image or UNBUILT)
    app_changes = planned.app.plan(planned.template, parameters, outputs.get("ArtifactsBucket"))
    for stack, changes in ((planned.data, data_changes), (planned.app, app_changes)):
        for line in describe_changes(stack.name, changes):
            progress(line)
    progress("Nothing was changed.")


def _refuse_two_tables(data: Stack) -> None:
    """Raise DeployError for a stage of a version before the photo table had all records: it is not migrated."""
    if "DecisionTable" in data.present_outputs():
        raise DeployError(
            f"{data.name} was deployed by an earlier version, which kept decisions in a table of their own. They are "
            "not migrated: run `make destroy DATA=yes` with that version, then `make deploy` with this one."
        )


def _refuse_missing_buckets(data: Stack) -> None:
    """Raise DeployError when somebody deleted a bucket of the stack: CloudFormation does not create it again."""
    if missing := [name for name in data.resources("AWS::S3::Bucket").values() if not bucket_exists(name)]:
        raise DeployError(
            f"{data.name} has lost {', '.join(missing)}: somebody deleted it outside of CloudFormation. What it held "
            "is gone. Run `make destroy DATA=yes`, which removes the rest of the stage's data too, then `make deploy`."
        )


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
    sagemaker.create_endpoint(
        EndpointName=name,
        EndpointConfigName=champion.endpoint_config,
        Tags=[{"Key": "system", "Value": SYSTEM}, {"Key": "stack", "Value": outputs["EventBus"]}],
    )
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
