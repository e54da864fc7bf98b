"""docs/retention.md says what the templates do, and nothing about a photo outlives its record."""

import json
import os
import re
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from deploy.settings import given_settings
from deploy.target import Target
from deploy.templates import load_template
from functions.classify_photo.upload_limit import KEPT as KEPT_COUNTS
from functions.record_retraining.expiry import OUTCOME, REJECTED
from functions.shared.times import RETENTION
from operate.forget_stores import MESSAGES_KEPT

ROOT = Path(__file__).resolve().parents[3]
DATA: dict[str, Any] = load_template("data")["Resources"]
APP: dict[str, Any] = load_template("app")
RESOURCES = {**DATA, **APP["Resources"]}
ROWS = [
    [cell.strip() for cell in line.strip("|\n").split("|")]
    for line in (ROOT / "docs" / "retention.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| ")
]
KEPT = {row[0]: row[2] for row in ROWS}
LIFECYCLE_DELAY_DAYS = 2  # lifecycle rules act at midnight, after rounding up


def rules(bucket: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = DATA[bucket]["Properties"]["LifecycleConfiguration"]["Rules"]
    assert all(rule["Status"] == "Enabled" for rule in found)
    return found


def expiration(bucket: str, prefix: str) -> int:
    """The days after which the objects under a prefix expire."""
    (days,) = [
        rule["ExpirationInDays"]
        for rule in rules(bucket)
        if "ExpirationInDays" in rule and "TagFilters" not in rule and prefix.startswith(rule.get("Prefix", ""))
    ]
    return int(days)


def old_versions(bucket: str) -> int:
    (days,) = [
        rule["NoncurrentVersionExpiration"]["NoncurrentDays"]
        for rule in rules(bucket)
        if "NoncurrentVersionExpiration" in rule
    ]
    return int(days)


def test_every_lifecycle_rule_is_in_the_table() -> None:
    for bucket in ("UploadsBucket", "MlBucket"):
        for rule in rules(bucket):
            if "ExpirationInDays" in rule:
                tagged = "".join(f", tag `{tag['Key']}={tag['Value']}`" for tag in rule.get("TagFilters", ()))
                assert (
                    KEPT[f"{bucket} `{rule.get('Prefix', 'uploads/')}`{tagged}"] == f"{rule['ExpirationInDays']} days"
                )
        assert KEPT[f"{bucket}, old versions"] == f"{old_versions(bucket)} days"
        assert [rule for rule in rules(bucket) if rule.get("ExpiredObjectDeleteMarker")]
    (days,) = [
        rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"]
        for rule in rules("UploadsBucket")
        if "AbortIncompleteMultipartUpload" in rule
    ]
    assert KEPT["UploadsBucket, unfinished uploads"] == f"{days} day"


def test_every_bucket_table_and_queue_is_in_the_table() -> None:
    kinds = ("AWS::S3::Bucket", "AWS::DynamoDB::Table", "AWS::SQS::Queue")
    stores = [name for name, resource in RESOURCES.items() if resource["Type"] in kinds]
    assert len(stores) >= 7
    assert not [name for name in stores if not any(re.match(rf"{name}\b", row[0]) for row in ROWS)]


def test_queues_keep_messages_as_long_as_the_table_says() -> None:
    for name, resource in RESOURCES.items():
        if resource["Type"] == "AWS::SQS::Queue":
            seconds = resource["Properties"]["MessageRetentionPeriod"]
            if name == "ReviewQueue":
                continue
            assert KEPT[name] == f"{seconds // 86400} days"
            assert seconds == MESSAGES_KEPT.total_seconds()


def test_the_review_queue_keeps_a_message_as_long_as_its_driver_waits() -> None:
    kept = APP["Resources"]["ReviewQueue"]["Properties"]["MessageRetentionPeriod"]
    parameter = APP["Parameters"][kept["Ref"]]
    assert parameter["Default"] == APP["Parameters"]["ReviewTimeoutSeconds"]["Default"]
    assert KEPT["ReviewQueue"] == f"{parameter['Default'] // 60} minutes (`REVIEW_TIMEOUT_S`)"
    assert parameter["MaxValue"] == MESSAGES_KEPT.total_seconds()


@pytest.mark.parametrize(
    ("given", "present", "expected"),
    [
        ("3600", {}, "3600"),
        ("5", {}, "60"),
        ("", {"ReviewTimeoutSeconds": "1800"}, "1800"),
        ("default", {"ReviewTimeoutSeconds": "1800"}, "900"),
    ],
)
def test_the_review_queue_follows_the_timeout_within_the_limits_of_sqs(
    given: str, present: dict[str, str], expected: str
) -> None:
    with patch.dict(os.environ, {"REVIEW_TIMEOUT_S": given}):
        assert given_settings(Target("aws", "dev"), APP, present)["ReviewRetentionSeconds"] == expected


def test_every_log_group_has_the_retention_of_the_table() -> None:
    days = APP["Parameters"]["LogRetentionDays"]["Default"]
    assert KEPT["Log groups of functions, workflows and the endpoint"].startswith(f"{days} days ")
    groups = [resource for resource in RESOURCES.values() if resource["Type"] == "AWS::Logs::LogGroup"]
    assert {str(group["Properties"]["RetentionInDays"]) for group in groups} == {"{'Ref': 'LogRetentionDays'}"}
    names = [group["Properties"]["LogGroupName"]["Fn::Sub"] for group in groups]
    assert "/aws/sagemaker/Endpoints/scones-${Stage}-vehicles" in names


def test_records_expire_and_their_backup_too() -> None:
    table = DATA["PhotoTable"]["Properties"]
    assert table["TimeToLiveSpecification"] == {"AttributeName": "purge_at", "Enabled": True}
    assert KEPT["PhotoTable"] == f"{RETENTION.days} days after the last transition"


def test_nothing_about_a_photo_outlives_its_record() -> None:
    labelled_within = 2 * MESSAGES_KEPT.days  # in the review queue, then in the dead-letter queue, after a transition
    label, copy = expiration("MlBucket", "labels/"), expiration("MlBucket", "datasets/photos/")
    longest = labelled_within + label + copy + old_versions("MlBucket") + 3 * LIFECYCLE_DELAY_DAYS
    assert longest <= RETENTION.days
    assert labelled_within + expiration("MlBucket", "reviews/") + old_versions("MlBucket") <= RETENTION.days
    assert expiration("UploadsBucket", "uploads/") + old_versions("UploadsBucket") <= RETENTION.days
    # Otherwise a copy would be missing while its label still counts.
    assert copy >= label


def test_only_the_files_of_rejected_models_expire() -> None:
    """A champion, its predecessors and the reference model never have the tag: see RecordRetraining."""
    (rule,) = [rule for rule in rules("MlBucket") if "ExpirationInDays" in rule and rule["Prefix"] == "models/"]
    assert rule["TagFilters"] == [{"Key": OUTCOME, "Value": REJECTED}]


def test_no_image_that_a_model_may_name_expires() -> None:
    """A rule of ECR cannot know the image of the champion. Each image has a tag until somebody deletes it by hand."""
    policy = json.loads(DATA["ImageRepository"]["Properties"]["LifecyclePolicy"]["LifecyclePolicyText"])
    assert [rule["selection"]["tagStatus"] for rule in policy["rules"]] == ["untagged"]


def test_counts_of_uploads_expire() -> None:
    table = APP["Resources"]["UploadCountTable"]["Properties"]
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    assert KEPT["UploadCountTable"] == f"{KEPT_COUNTS.days} days"
