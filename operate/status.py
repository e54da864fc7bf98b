"""What runs now, what waits, who is champion and where it comes from."""

from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.exceptions import ClientError
from rich.table import Table

from deploy.outputs import Deployed
from functions.shared.champion import Champion, ModelTable
from operate.show import console

QUEUES = (
    ("review_queue_url", "waiting for a reviewer"),
    ("review_dead_letter_queue_url", "review requests nobody could open"),
    ("unrouted_queue_url", "photos that could not be routed"),
)


def show(deployed: Deployed) -> None:
    """Print it."""
    _running(deployed)
    _queues(deployed)
    _models(deployed)


def _running(deployed: Deployed) -> None:
    states: Any = boto3.client("stepfunctions")
    for title, arn in (
        ("classify-photo", deployed.classify_photo_arn),
        ("retrain-model", deployed.retrain_model_arn),
        ("rollback-model", deployed.rollback_model_arn),
    ):
        counts = {
            status: len(states.list_executions(stateMachineArn=arn, statusFilter=status, maxResults=1000)["executions"])
            for status in ("RUNNING", "FAILED", "TIMED_OUT")
        }
        failed = counts["FAILED"] + counts["TIMED_OUT"]
        console.print(f"{title}: {counts['RUNNING']} running, {failed} failed")


def _queues(deployed: Deployed) -> None:
    sqs: Any = boto3.client("sqs")
    for output, title in QUEUES:
        found = sqs.get_queue_attributes(
            QueueUrl=getattr(deployed, output),
            AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
        )["Attributes"]
        hidden = int(found["ApproximateNumberOfMessagesNotVisible"])
        console.print(
            f"{title}: {found['ApproximateNumberOfMessages']}" + (f", {hidden} being looked at" if hidden else "")
        )


def _models(deployed: Deployed) -> None:
    sagemaker: Any = boto3.client("sagemaker")
    table = ModelTable(deployed.model_table, boto3.client("dynamodb"))
    champion = table.champion()
    if champion is None:
        console.print("There is no champion yet. Train one: `make retrain`.")
        return
    try:
        endpoint = sagemaker.describe_endpoint(EndpointName=deployed.endpoint_name)
        serving = f"{endpoint['EndpointStatus']}, serving {endpoint['EndpointConfigName']}"
    except ClientError as error:
        serving = f"not there ({error.response['Error']['Message']})"
    console.print(f"Endpoint {deployed.endpoint_name}: {serving}")
    grid = Table(title="Models, newest first", title_justify="left")
    for heading in ("model", "verdict", "registered", "parent", "labels snapshot", "code"):
        grid.add_column(heading, overflow="fold")
    recorded = {model.model_version: model for model in table.all_promoted()}
    for package in _packages(sagemaker, deployed.app_name):
        about = package.get("CustomerMetadataProperties", {})
        version = about.get("model_version", "?")
        crown = " ♛" if version == champion.model_version else ""
        grid.add_row(
            version + crown,
            _verdict(package["ModelApprovalStatus"], recorded.get(version)),
            f"{package['CreationTime'].astimezone(UTC):%Y-%m-%d %H:%M}",
            about.get("parent") or "—",
            _short(about.get("snapshot")),
            _short(about.get("source")),
        )
    console.print(grid)
    for model in sorted(recorded.values(), key=lambda model: str(model.rolled_back_at)):
        if model.rolled_back_at:
            why = f"{model.model_version} was rolled back at {model.rolled_back_at}: {model.rolled_back_reason}"
            console.print(why, markup=False)
    console.print(_champion(champion, datetime.now(UTC)))


def _verdict(approval: str, model: Champion | None) -> str:
    """What became of a registered model; `model` is its record when it ever was champion."""
    if model is None:
        return approval.lower()
    word = "initial, not compared" if model.is_initial else approval.lower()
    return f"{word}, rolled back" if model.rolled_back_at else word


def _champion(champion: Champion, now: datetime) -> str:
    """One line about the champion.

    >>> _champion(Champion("v1", "v1", "s3://a", origin="initial"), datetime.now(UTC))
    'Champion v1, an initial model without a verdict: it was not compared with anything'
    """
    since = champion.restored_at or champion.promoted_at
    line = f"Champion {champion.model_version}"
    if since:
        line += f", for {str(now - datetime.fromisoformat(since)).split('.')[0]}"
    if champion.restored_at:
        line += ", restored by a rollback"
    if champion.is_initial:
        line += ", an initial model without a verdict: it was not compared with anything"
    return line


def _packages(sagemaker: Any, group: str) -> list[dict[str, Any]]:
    try:
        listed = sagemaker.list_model_packages(
            ModelPackageGroupName=group, SortBy="CreationTime", SortOrder="Descending", MaxResults=10
        )["ModelPackageSummaryList"]
    except ClientError:
        return []  # The first retraining makes the group.
    return [sagemaker.describe_model_package(ModelPackageName=found["ModelPackageArn"]) for found in listed]


def _short(uri: str | None) -> str:
    """The hash of a content-addressed S3 prefix or file, its first digits.

    >>> _short("s3://b/source/0123456789abcdef/sourcedir.tar.gz")
    '01234567'
    """
    parts = [part for part in (uri or "").split("/") if len(part) >= 16 and all(c in "0123456789abcdef" for c in part)]
    return parts[-1][:8] if parts else "—"
