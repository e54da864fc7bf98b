"""What runs now, what waits, who is champion and where it comes from."""

from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.exceptions import ClientError
from rich.table import Table

from functions.shared.models import ModelTable
from operate.show import console
from operate.stack import Deployed

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
    for title, arn in (("classify-photo", deployed.classify_photo_arn), ("retrain-model", deployed.retrain_model_arn)):
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
    champion = ModelTable(deployed.model_table, boto3.client("dynamodb")).champion()
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
    for package in _packages(sagemaker, deployed.app_name):
        about = package.get("CustomerMetadataProperties", {})
        version = about.get("model_version", "?")
        crown = " ♛" if version == champion.model_version else ""
        grid.add_row(
            version + crown,
            package["ModelApprovalStatus"].lower(),
            f"{package['CreationTime'].astimezone(UTC):%Y-%m-%d %H:%M}",
            about.get("parent") or about.get("previous") or "—",
            _short(about.get("snapshot")),
            _short(about.get("source")),
        )
    console.print(grid)
    age = datetime.now(UTC) - datetime.fromisoformat(champion.promoted_at) if champion.promoted_at else None
    console.print(f"Champion {champion.model_version}" + (f", for {str(age).split('.')[0]}" if age else ""))


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
