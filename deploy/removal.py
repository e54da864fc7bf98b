"""Remove the whole system: what the workflows created, both stacks, and on demand the data."""

import os
import sys
from typing import TYPE_CHECKING

import boto3

from deploy.cleanup import (
    bucket_exists,
    check_foreign_rules,
    empty_bucket,
    remove_endpoint,
    remove_listeners,
    remove_log_groups,
    remove_models,
    remove_registry,
)
from deploy.errors import DeployError, explained
from deploy.people import check_unattached, remove_people
from deploy.settings import ACCEPT_UPLOADS
from deploy.stack import FAILED_CREATION, Progress, Stack
from deploy.target import Target

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def confirm_removal(target: Target, *, with_data: bool) -> None:
    """Ask for the name of the stage on an account, when its data or production is to be removed.

    The environment variable CONFIRM=<stage> answers in CI. Raises DeployError for another answer.
    """
    if target.is_local or not (with_data or target.is_production):
        return
    what = "with all photos, records, labels and models" if with_data else "without its data"
    place = f"stage {target.stage} of account {target.account}, {what}"
    answer = os.environ.get("CONFIRM")
    if answer is None:
        if not sys.stdin.isatty():
            raise DeployError(f"Nothing was removed. CONFIRM={target.stage} confirms that {place} is to be removed.")
        answer = input(f"This removes {place}. Type the name of the stage: ")
    if answer.strip() != target.stage:
        raise DeployError("Nothing was removed: that is not the name of the stage.")


def destroy(target: Target, *, with_data: bool, progress: Progress = print) -> None:
    """Remove the system; photos, their records, models and labels only `with_data`.

    Uploads are denied first. Raises DeployError, which says what was not removed and how to go on.
    """
    command = "make destroy DATA=yes" if with_data else "make destroy"
    data, app = Stack(target.data_stack, progress), Stack(target.app_stack, progress)
    with explained(f"Nothing was removed. Run `{command}` again."):
        for stack in (data, app):
            stack.check_idle()
        # The physical id of a rule on a custom bus is `bus|rule`.
        rules = [rule.rpartition("|")[2] for rule in app.resources("AWS::Events::Rule").values()]
        check_foreign_rules(target.app_stack, rules)
        _refuse_console(target)
        if with_data:
            _refuse_protected_table(data)
            if target.is_local:
                check_unattached(target)
        _deny_uploads(data, progress)
    with explained(
        f"The stage accepts no uploads, and only a part of it was removed. Run `{command}` to remove the rest, or "
        "`make deploy` to use the stage again."
    ):
        endpoint = f"{target.app_stack}-vehicles"
        remove_endpoint(endpoint, progress)
        remove_listeners(target.app_stack, progress)
        if app.status() is not None:
            app.protect(False)
        app.delete()
        remove_log_groups(f"/aws/lambda/{target.app_stack}-", f"/aws/sagemaker/Endpoints/{endpoint}")
    if data.status() is None:
        progress(f"{data.name}: does not exist")
        if with_data:
            _remove_people(target, progress)
        return
    buckets = sorted(data.resources("AWS::S3::Bucket").values())
    if not with_data and data.status() in (*FAILED_CREATION, "DELETE_FAILED"):
        progress(f"{data.name} is {data.status()}: it is of no use. `make destroy DATA=yes` removes what it still has.")
        return
    if not with_data:
        kept = [*buckets, *sorted(data.resources("AWS::DynamoDB::Table").values())]
        progress(
            f"Data is kept in {', '.join(kept)}, and the models in SageMaker; the next `make deploy` uses them again."
        )
        progress("The uploads bucket accepts no uploads until then. `make destroy DATA=yes` removes the data too.")
        return
    with explained("The app stack is removed, but only a part of the data. Run `make destroy DATA=yes` again."):
        remove_models(f"vehicles-{target.stage}-", progress)
        remove_registry(target.app_stack, progress)
        for bucket in buckets:
            progress(f"{bucket}: {empty_bucket(bucket)} objects removed")
        data.protect(False)
        data.delete()
        _remove_people(target, progress)


def _remove_people(target: Target, progress: Progress) -> None:
    """Remove the policies for people from the embedded AWS, where `make deploy` created them."""
    if target.is_local:
        remove_people(target, progress)
    elif Stack(target.people_stack).status() is not None:
        progress(f"{target.people_stack} is kept: an administrator removes it with `make people REMOVE=yes`.")


def _refuse_console(target: Target) -> None:
    """Raise DeployError while the stage has a console behind a load balancer, which would run on without the stage."""
    if Stack(target.console_stack).status() is not None:
        raise DeployError(
            f"The console of stage {target.stage} still exists (stack {target.console_stack}). First let an "
            "administrator run `make console REMOVE=yes`."
        )


def _refuse_protected_table(data: Stack) -> None:
    """Raise DeployError when the photo table may not be deleted, before anything else is removed."""
    table = data.resources("AWS::DynamoDB::Table").get("PhotoTable")
    if table is None:
        return
    dynamodb: DynamoDBClient = boto3.client("dynamodb")
    try:
        described = dynamodb.describe_table(TableName=table)["Table"]
    except dynamodb.exceptions.ResourceNotFoundException:  # nothing is left to protect
        return
    if described.get("DeletionProtectionEnabled"):
        raise DeployError(
            f"Table {table} is protected against deletion. To delete it for good, first run "
            f"`aws dynamodb update-table --table-name {table} --no-deletion-protection-enabled`."
        )


def _deny_uploads(data: Stack, progress: Progress) -> None:
    """Make the uploads bucket deny uploads, before the rule that starts their workflow is removed.

    A stack of which a part is deleted cannot be updated. Raises DeployError when it can, but not now.
    """
    status = data.status()
    bucket = data.resources("AWS::S3::Bucket").get("UploadsBucket")
    if bucket is None or not bucket_exists(bucket):
        return
    if status in (*FAILED_CREATION, "DELETE_FAILED"):
        progress(f"{data.name} is {status}: it cannot be updated to deny uploads.")
        return
    data.check_deployable()
    if ACCEPT_UPLOADS not in data.parameters():
        progress(f"{data.name}: an earlier version is deployed, which cannot deny uploads; `make deploy` updates it.")
        return
    if data.set_parameter(ACCEPT_UPLOADS, "no"):
        progress("Uploads are denied.")
