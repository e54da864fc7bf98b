"""Snapshots of labels, and the features channel."""

import hashlib
import json
from typing import Any

import pytest

from functions.build_dataset.snapshot import SnapshotStore
from functions.shared.photo import Photo
from functions.shared.photo_table import PhotoTable

CLASSES = ("bicycle", "motorcycle")


@pytest.fixture
def store(account: dict[str, Any]) -> SnapshotStore:
    return SnapshotStore("scones-ml", account["s3"], PhotoTable("photos", account["dynamodb"]))


def labelled(account: dict[str, Any], name: str, vehicle: str, day: str = "2026/11/20") -> Photo:
    put = account["s3"].put_object(Bucket="uploads", Key=f"uploads/d/{name}", Body=name.encode())
    photo = Photo("uploads", f"uploads/d/{name}", put["ETag"].strip('"'), len(name))
    body = {
        "photo": photo.as_state(),
        "vehicle": vehicle,
        "reviewer": "ann",
        "answered_at": day.replace("/", "-") + "T10:00:00.000Z",
    }
    account["s3"].put_object(
        Bucket="scones-ml", Key=f"labels/{day}/{photo.photo_id}.json", Body=json.dumps(body).encode()
    )
    return photo


def test_the_same_labels_and_data_give_the_same_snapshot(account: dict[str, Any], store: SnapshotStore) -> None:
    labelled(account, "a.jpg", "bicycle")
    labelled(account, "b.png", "other")
    first, second = store.create("s3://base/", CLASSES), store.create("s3://base/", CLASSES)
    assert first == second
    manifest = account["s3"].get_object(
        Bucket="scones-ml", Key=first.uri.removeprefix("s3://scones-ml/") + "manifest.json"
    )
    assert hashlib.sha256(manifest["Body"].read()).hexdigest() in first.uri


def test_a_new_label_gives_another_snapshot_and_is_counted(account: dict[str, Any], store: SnapshotStore) -> None:
    labelled(account, "a.jpg", "bicycle")
    first = store.create("s3://base/", CLASSES)
    labelled(account, "b.jpg", "motorcycle")
    second = store.create("s3://base/", CLASSES)
    assert first.uri != second.uri
    assert store.count_new_labels(second, first.uri) == 1
    assert store.count_new_labels(second, None) == 2
    assert store.count_new_labels(second, "s3://scones-ml/datasets/snapshots/gone/") == 2
    assert store.count_new_labels(second, first.uri, None, second.uri) == 0


def test_a_photo_overwritten_or_deleted_before_it_was_copied_is_not_in_the_snapshot(
    account: dict[str, Any], store: SnapshotStore
) -> None:
    labelled(account, "a.jpg", "bicycle")
    account["s3"].put_object(Bucket="uploads", Key="uploads/d/a.jpg", Body=b"another photo")
    labelled(account, "b.jpg", "bicycle")
    account["s3"].delete_object(Bucket="uploads", Key="uploads/d/b.jpg")
    assert store.create("s3://base/", CLASSES).entries == []


def test_a_copied_photo_stays_in_the_snapshot_when_its_upload_is_deleted(
    account: dict[str, Any], store: SnapshotStore
) -> None:
    labelled(account, "a.jpg", "bicycle")
    first = store.create("s3://base/", CLASSES)
    account["s3"].delete_object(Bucket="uploads", Key="uploads/d/a.jpg")
    assert store.create("s3://base/", CLASSES) == first


def test_rejected_photos_are_not_in_the_snapshot(account: dict[str, Any], store: SnapshotStore) -> None:
    photos = [labelled(account, f"{number}.jpg", "bicycle") for number in range(120)]
    for photo in photos[::2]:
        item = {"photo_id": {"S": photo.photo_id}, "status": {"S": "rejected"}}
        account["dynamodb"].put_item(TableName="photos", Item=item)
    assert len(store.create("s3://base/", CLASSES).entries) == 60


def test_without_labels_the_channel_is_not_empty(account: dict[str, Any], store: SnapshotStore) -> None:
    assert store.create("s3://base/", CLASSES).entries == []
    assert account["s3"].list_objects_v2(Bucket="scones-ml", Prefix="datasets/photos/")["KeyCount"] == 1


def test_features_are_read_from_the_folder_of_the_champions_model(
    account: dict[str, Any], store: SnapshotStore
) -> None:
    artifact = "s3://scones-ml/models/v1/output/model.tar.gz"
    account["s3"].put_object(Bucket="scones-ml", Key="models/v1/output/output.tar.gz", Body=b"features")
    assert store.find_features(artifact) == "s3://scones-ml/models/v1/output/output.tar.gz"


@pytest.mark.parametrize(
    "artifact",
    [None, "s3://scones-ml/models/v2/output/model.tar.gz", "s3://elsewhere/models/v1/output/model.tar.gz"],
)
def test_without_features_the_channel_holds_a_text_file(
    account: dict[str, Any], store: SnapshotStore, artifact: str | None
) -> None:
    account["s3"].put_object(Bucket="scones-ml", Key="models/v1/output/output.tar.gz", Body=b"features")
    for _ in range(2):
        assert store.find_features(artifact) == "s3://scones-ml/datasets/features/"
    (note,) = account["s3"].list_objects_v2(Bucket="scones-ml", Prefix="datasets/features/")["Contents"]
    assert note["Key"] == "datasets/features/README.txt"
