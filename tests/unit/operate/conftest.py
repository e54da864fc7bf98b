"""A stage in moto with every store that `make forget` examines."""

from collections.abc import Iterator
from dataclasses import fields, replace
from functools import partial

import boto3
import pytest
from moto import mock_aws

from console.held_messages import HeldMessages
from deploy.outputs import Deployed
from operate import forget, forget_stores
from tests.support.forgotten_photos import Planter
from tests.support.photo_table import create_batch_result_table, create_photo_table, create_upload_count_table
from tests.unit.operate.forget_stage import BUCKETS, QUEUES

REGION = "eu-west-1"


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployed]:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setattr(forget, "POLL_S", 0.01)
    monkeypatch.setattr(forget_stores, "HeldMessages", partial(HeldMessages, wait_s=0))
    with mock_aws():
        create_photo_table(boto3.client("dynamodb"), "photos")
        create_upload_count_table(boto3.client("dynamodb"), "counts")
        create_batch_result_table(boto3.client("dynamodb"), "batch-results")
        sqs, s3 = boto3.client("sqs"), boto3.client("s3")
        urls = {name: sqs.create_queue(QueueName=name.replace("_", "-"))["QueueUrl"] for name in QUEUES}
        for bucket in BUCKETS:
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        # As in the template.
        s3.put_bucket_versioning(Bucket="ml-bucket", VersioningConfiguration={"Status": "Enabled"})
        arns = {
            f"{name.replace('-', '_')}_arn": boto3.client("stepfunctions").create_state_machine(
                name=name, definition="{}", roleArn="arn:aws:iam::123456789012:role/test"
            )["stateMachineArn"]
            for name in ("classify-photo", "retrain-model", "classify-batch")
        }
        outputs = Deployed(**{field.name: field.name for field in fields(Deployed)})
        tables = {"photo_table": "photos", "upload_count_table": "counts", "batch_result_table": "batch-results"}
        names = {"uploads_bucket": BUCKETS[0], "ml_bucket": BUCKETS[1], **tables}
        yield replace(outputs, **urls, **arns, **names)


@pytest.fixture
def plant(deployed: Deployed) -> Planter:
    return Planter(deployed)
