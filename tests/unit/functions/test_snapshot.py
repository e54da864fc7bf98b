"""Snapshots of labels, and the features channel."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from functions.build_dataset.labels import Limits
from functions.build_dataset.snapshot import SnapshotStore
from functions.shared.photo import Photo
from functions.shared.photo_record import REJECTED
from functions.shared.photo_table import PhotoTable
from tests.support.labels import PICTURE, label_of, photo_of, plant_label, request_review

CLASSES = ("bicycle", "motorcycle")
START = datetime(2026, 11, 20, 10, tzinfo=UTC)


@pytest.fixture
def photo_table(account: dict[str, Any]) -> PhotoTable:
    return PhotoTable("photos", account["dynamodb"])


@pytest.fixture
def store(account: dict[str, Any], photo_table: PhotoTable) -> SnapshotStore:
    return SnapshotStore("scones-ml", account["s3"], photo_table, Limits(per_driver=200, per_reviewer=5000))


def labelled(account: dict[str, Any], name: str, vehicle: str, **more: Any) -> str:
    """Plant a label by ann; return its key."""
    photos = PhotoTable("photos", account["dynamodb"])
    photo = photo_of(name.encode(), f"uploads/d/{name}")
    return plant_label(account, "scones-ml", photos, photo, vehicle, **{"reviewer": "ann", "at": START, **more})


def objects(account: dict[str, Any], prefix: str) -> list[str]:
    listed = account["s3"].list_objects_v2(Bucket="scones-ml", Prefix=prefix)
    return [found["Key"] for found in listed.get("Contents", ())]


def test_the_same_labels_and_data_give_the_same_snapshot(account: dict[str, Any], store: SnapshotStore) -> None:
    labelled(account, "a.jpg", "bicycle")
    labelled(account, "b.png", "other")
    first, second = store.create("s3://base/", CLASSES), store.create("s3://base/", CLASSES)
    assert first == second
    manifest = account["s3"].get_object(
        Bucket="scones-ml", Key=first.uri.removeprefix("s3://scones-ml/") + "manifest.json"
    )
    assert hashlib.sha256(manifest["Body"].read()).hexdigest() in first.uri


def test_a_manifest_is_written_once(account: dict[str, Any], store: SnapshotStore) -> None:
    """Its LastModified tells `make forget` which models may have been trained on it."""
    labelled(account, "a.jpg", "bicycle")
    account["s3"].put_bucket_versioning(Bucket="scones-ml", VersioningConfiguration={"Status": "Enabled"})
    for _ in range(2):
        store.create("s3://base/", CLASSES)
    versions = account["s3"].list_object_versions(Bucket="scones-ml", Prefix="datasets/snapshots/")["Versions"]
    assert len(versions) == 1


@pytest.mark.parametrize("status", [403, 409, 503])
def test_a_manifest_that_was_not_written_is_an_error(
    account: dict[str, Any], store: SnapshotStore, status: int
) -> None:
    def refuse(params: dict[str, Any], **_: Any) -> None:
        if "manifest.json" in params["url_path"]:
            response: Any = {"Error": {"Code": str(status)}, "ResponseMetadata": {"HTTPStatusCode": status}}
            raise ClientError(response, "PutObject")

    account["s3"].meta.events.register("before-call.s3.PutObject", refuse)
    with pytest.raises(ClientError):
        store.create("s3://base/", CLASSES)


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


def test_the_picture_that_the_reviewer_saw_is_copied_without_what_its_writer_added(
    account: dict[str, Any], store: SnapshotStore
) -> None:
    key = labelled(account, "a.jpg", "bicycle")
    picture = key.replace(".json", ".png")
    account["s3"].put_object(
        Bucket="scones-ml", Key=picture, Body=PICTURE, Metadata={"gps": "here"}, Tagging="a=b", ContentType="text/html"
    )
    (entry,) = store.create("s3://base/", CLASSES).entries
    copy = {"Bucket": "scones-ml", "Key": f"datasets/photos/{entry['file']}"}
    found = account["s3"].get_object(**copy)
    assert found["Body"].read() == PICTURE
    assert (found["Metadata"], found["ContentType"]) == ({}, "image/png")
    assert account["s3"].get_object_tagging(**copy)["TagSet"] == []


def test_the_uploads_bucket_is_not_needed(account: dict[str, Any], store: SnapshotStore) -> None:
    account["s3"].delete_bucket(Bucket="uploads")
    labelled(account, "a.jpg", "bicycle")
    assert len(store.create("s3://base/", CLASSES).entries) == 1


def test_the_copy_is_that_of_the_effective_label(account: dict[str, Any], store: SnapshotStore) -> None:
    """A reviewer whose label was outvoted or corrected has put another picture beside it."""
    labelled(account, "a.jpg", "bicycle", picture=b"no picture of this photo")
    store.create("s3://base/", CLASSES)
    for reviewer in ("bob", "cyd"):
        labelled(account, "a.jpg", "motorcycle", reviewer=reviewer)
    (entry,) = store.create("s3://base/", CLASSES).entries
    assert (entry["label"], entry["labelled_by"]) == ("motorcycle", "bob")
    found = account["s3"].get_object(Bucket="scones-ml", Key=f"datasets/photos/{entry['file']}")
    assert found["Body"].read() == PICTURE
    before = found["LastModified"], found["ETag"]
    store.create("s3://base/", CLASSES)
    found = account["s3"].head_object(Bucket="scones-ml", Key=f"datasets/photos/{entry['file']}")
    assert (found["LastModified"], found["ETag"]) == before


def test_the_picture_that_was_listed_is_copied_and_no_other(account: dict[str, Any], store: SnapshotStore) -> None:
    """Moto ignores CopySourceIfMatch, so the request is checked."""
    etags = []

    def note(params: dict[str, Any], **_: Any) -> None:
        etags.append(params["headers"]["x-amz-copy-source-if-match"])

    account["s3"].meta.events.register("before-call.s3.CopyObject", note)
    labelled(account, "a.jpg", "bicycle")
    assert len(store.create("s3://base/", CLASSES).entries) == 1
    assert etags == [f'"{hashlib.md5(PICTURE, usedforsecurity=False).hexdigest()}"']


@pytest.mark.parametrize("status", [403, 412])
def test_a_label_whose_picture_s3_refuses_to_copy_is_not_in_the_snapshot(
    account: dict[str, Any], store: SnapshotStore, status: int
) -> None:
    def refuse(**_: Any) -> None:
        response: Any = {"Error": {"Code": "Refused"}, "ResponseMetadata": {"HTTPStatusCode": status}}
        raise ClientError(response, "CopyObject")

    account["s3"].meta.events.register("before-call.s3.CopyObject", refuse)
    labelled(account, "a.jpg", "bicycle")
    snapshot = store.create("s3://base/", CLASSES)
    assert (snapshot.entries, snapshot.skipped.counts) == ([], {"NoPicture": 1})


@pytest.mark.parametrize("operation", ["GetObject", "CopyObject"])
def test_an_outage_of_s3_is_no_reason_to_leave_labels_out(
    account: dict[str, Any], store: SnapshotStore, operation: str
) -> None:
    def fail(**_: Any) -> None:
        response: Any = {"Error": {"Code": "SlowDown"}, "ResponseMetadata": {"HTTPStatusCode": 503}}
        raise ClientError(response, operation)

    labelled(account, "a.jpg", "bicycle")
    account["s3"].meta.events.register(f"before-call.s3.{operation}", fail)
    with pytest.raises(ClientError, match="SlowDown"):
        store.create("s3://base/", CLASSES)


def test_rejected_photos_are_not_in_the_snapshot(
    account: dict[str, Any], store: SnapshotStore, photo_table: PhotoTable
) -> None:
    for number in range(120):
        photo = photo_of(str(number).encode(), f"uploads/d/{number}.jpg")
        if number % 2:
            review = {"token_hash": hashlib.sha256(f"token of {photo.photo_id}".encode()).hexdigest()}
            photo_table.claim_review(photo, "arn:any", START, review=review)
            outcome = {"rejected": {"reason": "Unusable"}}
            photo_table.record_outcome(photo, REJECTED, "arn:any", START, outcome=outcome)
        plant_label(account, "scones-ml", photo_table, photo, "bicycle", reviewer="ann", at=START)
    snapshot = store.create("s3://base/", CLASSES)
    assert (len(snapshot.entries), snapshot.skipped.counts) == (60, {"RejectedPhoto": 60})


@pytest.mark.parametrize("etag", ["0123456789abcdef" * 2, f"{'a' * 32}-2", f"{'a' * 32}-10000"])
def test_a_label_counts_with_any_etag_that_s3_returns(
    account: dict[str, Any], store: SnapshotStore, photo_table: PhotoTable, etag: str
) -> None:
    photo = Photo("uploads", "uploads/d/a.jpg", etag, 10)
    plant_label(account, "scones-ml", photo_table, photo, "bicycle", reviewer="ann", at=START)
    assert store.create("s3://base/", CLASSES).skipped.counts == {}


def test_a_tie_is_decided_by_the_answer_that_routed_the_driver(account: dict[str, Any], store: SnapshotStore) -> None:
    """The record says which one: no reviewer can write it."""
    labelled(account, "a.jpg", "motorcycle", reviewer="eve")
    key = labelled(account, "a.jpg", "bicycle")
    assert store.create("s3://base/", CLASSES).skipped.counts == {"Contested": 2}
    account["dynamodb"].update_item(
        TableName="photos",
        Key={"photo_id": {"S": key.split("/")[1]}},
        UpdateExpression="SET outcome.vehicle = :vehicle",
        ExpressionAttributeValues={":vehicle": {"S": "bicycle"}},
    )
    snapshot = store.create("s3://base/", CLASSES)
    assert [entry["label"] for entry in snapshot.entries] == ["bicycle"]
    assert snapshot.skipped.counts == {"Outvoted": 1}
    assert snapshot.skipped.disagreeing == {"eve": {"votes": 1, "outvoted": 1, "contested": 0}}


def test_of_one_reviewer_only_the_labels_that_s3_stored_last_are_read(
    account: dict[str, Any], photo_table: PhotoTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SnapshotStore("scones-ml", account["s3"], photo_table, Limits(per_driver=200, per_reviewer=3))
    for number in range(8):
        labelled(account, f"{number}.jpg", "bicycle", reviewer="flood")
    labelled(account, "a.jpg", "bicycle")
    reads = []
    account["s3"].meta.events.register("before-call.s3.GetObject", lambda params, **_: reads.append(params))
    snapshot = store.create("s3://base/", CLASSES)
    assert sorted(entry["labelled_by"] for entry in snapshot.entries) == ["ann", "flood", "flood", "flood"]
    assert snapshot.skipped.counts == {"OverReviewerLimit": 5}
    assert len(reads) == 4
    assert store.create("s3://base/", CLASSES) == snapshot


def test_of_one_driver_only_the_newest_labels_are_used(account: dict[str, Any], photo_table: PhotoTable) -> None:
    store = SnapshotStore("scones-ml", account["s3"], photo_table, Limits(per_driver=2, per_reviewer=5000))
    for number in range(5):
        labelled(account, f"{number}.jpg", "bicycle", at=START + timedelta(minutes=number))
    snapshot = store.create("s3://base/", CLASSES)
    newest = {photo_of(str(n).encode() + b".jpg", f"uploads/d/{n}.jpg").photo_id for n in (3, 4)}
    assert {entry["photo_id"] for entry in snapshot.entries} == newest
    assert snapshot.skipped.counts == {"OverDriverLimit": 3}


def test_a_later_label_without_evidence_does_not_replace_the_earlier_one(
    account: dict[str, Any], store: SnapshotStore, photo_table: PhotoTable
) -> None:
    labelled(account, "a.jpg", "bicycle")
    record = request_review(photo_table, photo_of(b"a.jpg", "uploads/d/a.jpg"), START)
    forged = label_of(record, "motorcycle", "ann", number=2).with_content(token_hash="0" * 64)
    forged.put(account["s3"], "scones-ml")
    snapshot = store.create("s3://base/", CLASSES)
    assert [entry["label"] for entry in snapshot.entries] == ["bicycle"]
    assert snapshot.skipped.examples == {"NoSuchRequest": [record.photo.photo_id]}


def test_without_labels_the_channel_is_not_empty(account: dict[str, Any], store: SnapshotStore) -> None:
    snapshot = store.create("s3://base/", CLASSES)
    assert (snapshot.entries, snapshot.skipped.counts) == ([], {})
    assert objects(account, "datasets/photos/") == ["datasets/photos/README.txt"]


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
    assert objects(account, "datasets/features/") == ["datasets/features/README.txt"]


def test_the_manifest_names_neither_bucket_nor_key_nor_driver(account: dict[str, Any], store: SnapshotStore) -> None:
    photos = PhotoTable("photos", account["dynamodb"])
    photo = photo_of(b"a", "uploads/secret-driver/holiday.jpg")
    plant_label(account, "scones-ml", photos, photo, "bicycle", reviewer="ann", at=START)
    uri = store.create("s3://base/", CLASSES).uri
    key = uri.removeprefix("s3://scones-ml/") + "manifest.json"
    manifest = json.loads(account["s3"].get_object(Bucket="scones-ml", Key=key)["Body"].read())
    assert "secret-driver" not in json.dumps(manifest)
    assert set(manifest["photos"][0]) == {"photo_id", "file", "label", "labelled_by", "labelled_at", "use"}
