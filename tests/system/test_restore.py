"""The restore drill of docs/restore.md, as far as the embedded AWS has what it needs."""

import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from deploy import system
from deploy.target import Target
from functions.shared.photo_record import ROUTED
from functions.shared.s3 import parse_uri
from operate import reconcile, restore
from operate.errors import CommandError
from tests.support.images import png
from tests.support.retraining_stage import RetrainingStage
from tests.support.upload_stage import UploadStage
from tests.support.waiting import eventually
from tests.system.conftest import GATE_FOR_SMALL_DATA

DOCUMENTED = (Path(__file__).resolve().parents[2] / "docs" / "restore.md").read_text(encoding="utf-8")


def copy_table(name: str, key: str) -> str:
    """Copy a table as point-in-time recovery does, which the embedded AWS does not have; return the copy's name."""
    dynamodb: Any = boto3.client("dynamodb")
    copy = f"{name}-restored"
    dynamodb.create_table(
        TableName=copy,
        KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    for page in dynamodb.get_paginator("scan").paginate(TableName=name):
        for item in page["Items"]:
            dynamodb.put_item(TableName=copy, Item=item)
    return copy


def test_an_object_that_was_deleted_or_written_over_is_restored_from_its_versions(
    retraining_stage: RetrainingStage,
) -> None:
    """The commands of the page, with the same calls."""
    s3: Any = boto3.client("s3")
    bucket, key = parse_uri(retraining_stage.champion.artifact)
    before = s3.get_object(Bucket=bucket, Key=key)
    content = before["Body"].read()
    s3.delete_object(Bucket=bucket, Key=key)
    with pytest.raises(ClientError, match="NoSuchKey"):
        s3.get_object(Bucket=bucket, Key=key)
    for marker in s3.list_object_versions(Bucket=bucket, Prefix="models/")["DeleteMarkers"]:
        if marker["IsLatest"]:
            s3.delete_object(Bucket=bucket, Key=marker["Key"], VersionId=marker["VersionId"])
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == content
    wrong = s3.put_object(Bucket=bucket, Key=key, Body=b"no model")["VersionId"]
    s3.delete_object(Bucket=bucket, Key=key, VersionId=wrong)
    after = s3.get_object(Bucket=bucket, Key=key)
    # `make promote` compares the ETag, which a copy of an earlier version would change.
    assert (after["ETag"], after["Body"].read()) == (before["ETag"], content)


def test_lost_records_are_restored_and_reconciled(retraining_stage: RetrainingStage, tmp_path: Path) -> None:
    stage, dynamodb = UploadStage(retraining_stage.deployed, []), boto3.client("dynamodb")
    images = retraining_stage.photos.with_labels(["bicycle"]).images
    table = retraining_stage.deployed.photo_table

    def upload(name: str, number: int) -> Any:
        photo = stage.put(f"uploads/driver-restored/{name}.png", png(images[number]))
        eventually(lambda: (record := stage.record(photo)) and record.status == ROUTED, what=f"the decision on {name}")
        return photo

    before, changed = upload("before", 3), upload("changed", 4)
    restored = copy_table(table, "photo_id")
    since = upload("since", 5)
    records = {photo: stage.record(photo) for photo in (before, changed)}
    for photo in (before, since):
        dynamodb.delete_item(TableName=table, Key={"photo_id": {"S": photo.photo_id}})
    dynamodb.update_item(
        TableName=restored,
        Key={"photo_id": {"S": changed.photo_id}},
        UpdateExpression="SET driver_id = :older",
        ExpressionAttributeValues={":older": {"S": "older"}},
    )
    written, there = restore.run(retraining_stage.deployed, restored)
    assert written == 1
    assert there >= 1
    assert {photo: stage.record(photo) for photo in (before, changed)} == records, "what is there is newer"
    assert stage.record(since) is None
    assert reconcile.run(retraining_stage.deployed, tmp_path / "reconcile.json", hours=1, grace_s=0, force=False) == 0
    eventually(lambda: (record := stage.record(since)) and record.status == ROUTED, what="the decision on since")
    dynamodb.delete_table(TableName=restored)


def test_a_lost_champion_and_its_endpoint_are_restored(
    retraining_stage: RetrainingStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    dynamodb: Any = boto3.client("dynamodb")
    deployed, champion = retraining_stage.deployed, retraining_stage.champion
    dynamodb.put_item(TableName=deployed.model_table, Item={"id": {"S": "lock"}, "execution": {"S": "ended"}})
    restored = copy_table(deployed.model_table, "id")
    for name in ("lock", "champion", f"promoted/{champion.model_version}"):
        dynamodb.delete_item(TableName=deployed.model_table, Key={"id": {"S": name}})
    boto3.client("sagemaker").delete_endpoint(EndpointName=deployed.endpoint_name)
    restore.run(deployed, restored)
    assert retraining_stage.champion == champion
    assert "Item" not in dynamodb.get_item(TableName=deployed.model_table, Key={"id": {"S": "lock"}})
    for name, value in {"GATE": json.dumps(GATE_FOR_SMALL_DATA), "UPLOADS_PER_MINUTE": "1000"}.items():
        monkeypatch.setenv(name, value)
    eventually(retraining_stage.endpoint, lambda found: found[0] == "None", what="the endpoint to be gone")
    system.deploy(Target("local", deployed.stage), progress=lambda line: None)
    assert retraining_stage.serves_champion()
    dynamodb.delete_table(TableName=restored)


def test_another_table_is_not_copied(retraining_stage: RetrainingStage) -> None:
    deployed = retraining_stage.deployed
    with pytest.raises(CommandError, match=f"{deployed.upload_count_table} is no copy of {deployed.photo_table} or"):
        restore.run(deployed, deployed.upload_count_table)
    with pytest.raises(CommandError, match="There is no table"):
        restore.run(deployed, f"{deployed.photo_table}-none")


def test_the_page_names_the_buckets_and_tables_of_the_stage(retraining_stage: RetrainingStage) -> None:
    deployed = retraining_stage.deployed
    stage, end = deployed.stage, "-000000000000-eu-west-1"
    assert deployed.ml_bucket == f"scones-{stage}-ml{end}"
    for name in ("scones-$STAGE-ml-$ACCOUNT-$REGION", "scones-$STAGE-photos", "scones-$STAGE-models"):
        assert name in DOCUMENTED
    assert (deployed.photo_table, deployed.model_table) == (f"scones-{stage}-photos", f"scones-{stage}-models")
