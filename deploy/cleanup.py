"""What `destroy` removes outside the stacks, and the content of the buckets, which CloudFormation does not delete."""

import re
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, TypedDict

import boto3
from botocore.exceptions import ClientError

from deploy.errors import DeployError
from deploy.stack import Progress
from functions.shared.sagemaker import is_missing

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_events.type_defs import RuleTypeDef
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_sqs import SQSClient

LISTENER = "-listener-"
"""Follows the name of the bus in the names of an event listener's rule and queue (operate/event_listener.py)."""


class ObjectVersion(TypedDict):
    """A version of an object, or a delete marker, whose `ETag` is empty. Without versioning, the id is `null`."""

    Key: str
    VersionId: str
    ETag: str


# The request of DeleteObjects is XML 1.0, which cannot contain the other characters.
_DELETED_AT_ONCE = 1000  # the limit of DeleteObjects
_XML_KEY = re.compile("[\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*")


def remove_endpoint(name: str, progress: Progress) -> None:
    """Delete the endpoint, which the workflows create outside the stacks."""
    sagemaker: SageMakerClient = boto3.client("sagemaker")
    try:
        sagemaker.delete_endpoint(EndpointName=name)
        sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=name, WaiterConfig={"Delay": 2, "MaxAttempts": 300})
        progress(f"endpoint {name}: removed")
    except ClientError as error:
        if not is_missing(error):
            raise DeployError(f"Endpoint {name} could not be removed: {error}. Try again in a minute.") from error


def remove_models(prefix: str, progress: Progress) -> None:
    """Delete the models and endpoint configurations, which retrain-model creates outside the stacks."""
    sagemaker: SageMakerClient = boto3.client("sagemaker")
    config_pages = sagemaker.get_paginator("list_endpoint_configs").paginate(NameContains=prefix)
    configs = [found["EndpointConfigName"] for page in config_pages for found in page["EndpointConfigs"]]
    model_pages = sagemaker.get_paginator("list_models").paginate(NameContains=prefix)
    models = [found["ModelName"] for page in model_pages for found in page["Models"]]
    # NameContains finds the prefix anywhere in a name.
    configs, models = ([name for name in names if name.startswith(prefix)] for names in (configs, models))
    for name in configs:
        sagemaker.delete_endpoint_config(EndpointConfigName=name)
    for name in models:
        sagemaker.delete_model(ModelName=name)
    for kind, names in (("endpoint configurations", configs), ("models", models)):
        if names:
            progress(f"{kind}: {len(names)} removed")


def remove_registry(group: str, progress: Progress) -> None:
    """Delete the registered models, then their group: SageMaker deletes only an empty one."""
    sagemaker: SageMakerClient = boto3.client("sagemaker")
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


def remove_log_groups(*prefixes: str) -> None:
    """Delete log groups: a function that logs while its stack is deleted creates its group again."""
    logs: CloudWatchLogsClient = boto3.client("logs")
    for prefix in prefixes:
        for page in logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=prefix):
            for group in page["logGroups"]:
                logs.delete_log_group(logGroupName=group["logGroupName"])


def check_foreign_rules(bus: str, own: Collection[str]) -> None:
    """Raise DeployError naming the rules of other teams on an event bus, which EventBridge would not delete with them.

    `own` are the names of the rules that the stack deletes.
    """
    events: EventBridgeClient = boto3.client("events")
    foreign = []
    for rule in _rules(events, bus):
        if rule["Name"] not in own and not _is_listener(bus, rule["Name"]):
            targets = events.list_targets_by_rule(Rule=rule["Name"], EventBusName=bus)["Targets"]
            receivers = ", ".join(target["Arn"] for target in targets) or "no target"
            managed = f", managed by {rule['ManagedBy']}" if rule.get("ManagedBy") else ""
            foreign.append(f"  {rule['Name']} (sends to {receivers}{managed})")
    if foreign:
        raise DeployError(
            f"EventBridge does not delete event bus {bus} while it has these rules, which other people have added:\n"
            + "\n".join(foreign)
            + "\nAsk the owners of their targets to delete them, with `aws events remove-targets` and `aws events "
            f"delete-rule`, each with --event-bus-name {bus}."
        )


def remove_listeners(bus: str, progress: Progress) -> None:
    """Delete the temporary rules of commands that were killed before they could delete them, and their queues."""
    events: EventBridgeClient = boto3.client("events")
    sqs: SQSClient = boto3.client("sqs")
    for name in [rule["Name"] for rule in _rules(events, bus) if _is_listener(bus, rule["Name"])]:
        targets = events.list_targets_by_rule(Rule=name, EventBusName=bus)["Targets"]
        if targets:
            events.remove_targets(Rule=name, EventBusName=bus, Ids=[target["Id"] for target in targets])
        events.delete_rule(Name=name, EventBusName=bus)
        progress(f"rule {name}: removed, the command that needed it has ended")
    for url in sqs.list_queues(QueueNamePrefix=f"{bus}{LISTENER}").get("QueueUrls", []):
        sqs.delete_queue(QueueUrl=url)


def _rules(events: "EventBridgeClient", bus: str) -> "list[RuleTypeDef]":
    """Return the rules of an event bus; none when it does not exist."""
    try:
        pages = events.get_paginator("list_rules").paginate(EventBusName=bus)
        return [rule for page in pages for rule in page["Rules"]]
    except events.exceptions.ResourceNotFoundException:  # a bus that is gone has no rules
        return []


def _is_listener(bus: str, rule: str) -> bool:
    return rule.startswith(f"{bus}{LISTENER}")


def bucket_exists(bucket: str) -> bool:
    """Whether the bucket exists; somebody may have deleted one that its stack still has."""
    s3: S3Client = boto3.client("s3")
    try:
        s3.head_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("404", "NoSuchBucket"):
            return False
        raise
    return True


def empty_bucket(bucket: str) -> int:
    """Delete all object versions and delete markers; return their number, 0 for a bucket that does not exist.

    Raises DeployError with the first key that was not deleted and the reason.
    """
    s3: S3Client = boto3.client("s3")
    return delete_versions(s3, bucket, list_versions(s3, bucket, "")) if bucket_exists(bucket) else 0


def list_versions(s3: "S3Client", bucket: str, prefix: str) -> Iterator[ObjectVersion]:
    """Yield the object versions and the delete markers under a prefix."""
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        for item in page.get("Versions", []):
            yield ObjectVersion(Key=item["Key"], VersionId=item["VersionId"], ETag=item["ETag"].strip('"'))
        for marker in page.get("DeleteMarkers", []):
            yield ObjectVersion(Key=marker["Key"], VersionId=marker["VersionId"], ETag="")


def delete_versions(s3: "S3Client", bucket: str, versions: Iterable[ObjectVersion]) -> int:
    """Delete object versions and delete markers for good; return their number.

    Raises DeployError with the first key that was not deleted and the reason.
    """
    removed = 0
    for batch in batched(versions, _DELETED_AT_ONCE):
        found: list[ObjectIdentifierTypeDef] = [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in batch]
        named = [item for item in found if _XML_KEY.fullmatch(item["Key"])]
        if named:
            answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": named, "Quiet": True})
            for error in answer.get("Errors", []):
                raise _not_deleted(bucket, error["Key"], f"{error['Code']}: {error.get('Message', '')}")
        for item in found:
            if item not in named:
                try:
                    s3.delete_object(Bucket=bucket, Key=item["Key"], VersionId=item["VersionId"])
                except ClientError as refused:
                    raise _not_deleted(bucket, item["Key"], str(refused)) from refused
        removed += len(found)
    return removed


def batched(items: Iterable[ObjectVersion], size: int) -> Iterator[list[ObjectVersion]]:
    """Yield lists of at most `size` items; itertools has it from Python 3.12 on."""
    left = iter(items)
    while batch := list(islice(left, size)):
        yield batch


def _not_deleted(bucket: str, key: str, reason: str) -> DeployError:
    printable = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in key)
    return DeployError(f"s3://{bucket}/{printable} could not be deleted: {reason}")
