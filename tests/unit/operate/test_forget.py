"""`make forget`: what is found and deleted, what is not touched, and what happens when it is interrupted."""

import json
from collections.abc import Iterator
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from console.held_messages import HeldMessages
from deploy.outputs import Deployed
from functions.shared.photo import Photo
from functions.shared.photo_record import CLASSIFIED
from functions.shared.photo_table import PhotoTable
from functions.shared.times import now
from operate import forget, forget_stores
from operate.errors import CommandError
from operate.forget import Scope
from operate.terminal import console
from tests.support.forgotten_photos import Planter
from tests.support.photo_table import create_photo_table, create_upload_count_table

REGION = "eu-west-1"
QUEUES = ("review_queue_url", "review_dead_letter_queue_url", "unrouted_queue_url")
BUCKETS = ("uploads-bucket", "ml-bucket")
ODD_DRIVERS = ["a", "ab", "a%2Fb", "fähre", "..", ".", "a b", "a+b", "unknown", '"', "a\n", "*", "a\\"]


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
            for name in ("classify-photo", "retrain-model")
        }
        outputs = Deployed(**{field.name: field.name for field in fields(Deployed)})
        tables = {"photo_table": "photos", "upload_count_table": "counts"}
        names = {"uploads_bucket": BUCKETS[0], "ml_bucket": BUCKETS[1], **tables}
        yield replace(outputs, **urls, **arns, **names)


@pytest.fixture
def plant(deployed: Deployed) -> Planter:
    return Planter(deployed)


def plant_everything(plant: Planter, driver: str, name: str = "1.jpg") -> Photo:
    """A photo that was reviewed, trained on, and has a message in every queue."""
    photo = plant.upload(f"uploads/{driver}/{name}", f"photo {name} of {driver}".encode())
    plant.review_request(photo)
    plant.label(photo, "AIDAREVIEWER")
    plant.training(photo, model=f"model-{photo.photo_id[:6]}")
    plant.messages(photo)
    minute = {"driver_id": {"S": photo.driver_id}, "minute": {"S": "2026-11-27T10:00:00.000Z"}}
    boto3.client("dynamodb").put_item(TableName="counts", Item={**minute, "photos": {"SS": [photo.photo_id]}})
    return photo


def run(deployed: Deployed, folder: Path, scope: Scope, *, delete: bool = True) -> dict[str, Any]:
    with console.capture():
        return forget.run(deployed, scope, folder / "reports" / "forget.json", delete=delete, settle_s=0)


def stored(deployed: Deployed) -> dict[str, list[str]]:
    """What is in each store: versions and delete markers of objects, ids of records, bodies of messages."""
    s3, sqs = boto3.client("s3"), boto3.client("sqs")
    found: dict[str, list[str]] = {}
    for bucket in BUCKETS:
        answer = s3.list_object_versions(Bucket=bucket)
        found[bucket] = sorted(item["Key"] for kind in ("Versions", "DeleteMarkers") for item in answer.get(kind, []))
    items = boto3.client("dynamodb").scan(TableName="photos")["Items"]
    found["records"] = sorted(item["photo_id"]["S"] for item in items)
    items = boto3.client("dynamodb").scan(TableName="counts")["Items"]
    found["counts"] = sorted(f"{item['driver_id']['S']}: {item['photos']['SS']}" for item in items)
    for name in QUEUES:
        url = getattr(deployed, name)
        received = list(iter(lambda url=url: sqs.receive_message(QueueUrl=url).get("Messages", []), []))
        messages = [message for batch in received for message in batch]
        for message in messages:
            sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
        found[name] = sorted(message["Body"] for message in messages)
    return found


def about(photo: Photo, everything: dict[str, list[str]]) -> list[str]:
    """The names of what is stored about a photo, without snapshots and models, which keep no more than its id."""
    names = [name for store in everything.values() for name in store]
    return [name for name in names if photo.photo_id in name or name == photo.key]


def test_a_dry_run_deletes_nothing_and_says_what_there_is(deployed: Deployed, plant: Planter, tmp_path: Path) -> None:
    photo = plant_everything(plant, "a")
    before = stored(deployed)
    report = run(deployed, tmp_path, Scope.of_driver("a"), delete=False)
    assert stored(deployed) == before
    assert report["photos"] == [photo.photo_id]
    assert {row["store"]: row["found"] for row in report["stores"]} == {
        "running executions": 0,
        "review requests in the queue": 1,
        "failed requests and photos in queues": 2,
        "labels and their pictures": 2,
        "delivery state of answers": 1,
        "copies for training": 1,
        "feature caches of models": 1,
        "uploads (versions)": 1,
        "reports on this machine": 0,
        "counts of uploads per minute": 1,
        "records": 1,
    }


def test_exactly_the_photos_of_the_driver_are_deleted(deployed: Deployed, plant: Planter, tmp_path: Path) -> None:
    photos = {driver: plant_everything(plant, driver) for driver in ODD_DRIVERS}
    everything = stored(deployed)
    left = {driver: about(photo, everything) for driver, photo in photos.items()}
    assert all(left.values())
    for driver in ODD_DRIVERS:
        run(deployed, tmp_path, Scope.of_driver(driver))
        everything = stored(deployed)
        left[driver] = []
        assert {one: about(photo, everything) for one, photo in photos.items()} == left, driver


def test_the_photos_in_folders_of_a_driver_are_deleted(deployed: Deployed, plant: Planter, tmp_path: Path) -> None:
    photo = plant_everything(plant, "a/folder")
    run(deployed, tmp_path, Scope.of_driver("a"))
    assert about(photo, stored(deployed)) == []


@pytest.mark.parametrize("driver", ["", "/", "a/b", "a/", "/a", "\ud800", "x" * 1020])
def test_an_id_that_no_key_can_contain_is_refused(driver: str) -> None:
    with pytest.raises(CommandError, match="DRIVER is"):
        Scope.of_driver(driver)


@pytest.mark.parametrize("photo", ["", "abc", "s3://uploads-bucket", "s3://uploads-bucket/", "s3://other/uploads/a/1"])
def test_a_photo_is_an_id_or_an_address_in_the_uploads_bucket(photo: str) -> None:
    with pytest.raises(CommandError, match="PHOTO is"):
        Scope.of_photo(photo, "uploads-bucket")


@pytest.mark.parametrize("by", ["id", "address"])
def test_one_photo_is_deleted_and_the_other_photos_of_its_driver_stay(
    deployed: Deployed, plant: Planter, tmp_path: Path, by: str
) -> None:
    photo, other = plant_everything(plant, "a", "1.jpg"), plant_everything(plant, "a", "1.jpg.png")
    before = len(about(other, stored(deployed)))
    named = photo.photo_id if by == "id" else photo.address
    report = run(deployed, tmp_path, Scope.of_photo(named, deployed.uploads_bucket))
    assert report["photos"] == [photo.photo_id]
    assert (about(photo, stored(deployed)), len(about(other, stored(deployed)))) == ([], before)


def test_every_version_of_every_object_is_deleted(deployed: Deployed, plant: Planter, tmp_path: Path) -> None:
    photo = plant_everything(plant, "a")
    boto3.client("s3").delete_object(Bucket="ml-bucket", Key=f"datasets/photos/{photo.photo_id}.jpg")
    run(deployed, tmp_path, Scope.of_driver("a"))
    assert about(photo, stored(deployed)) == []


def test_a_photo_without_a_record_and_a_record_without_a_photo_are_deleted(
    deployed: Deployed, plant: Planter, tmp_path: Path
) -> None:
    plant.upload("uploads/a/unseen.jpg", b"no record")
    gone = Photo("uploads-bucket", "uploads/a/gone.jpg", "", 0)
    plant.review_request(gone)
    assert len(run(deployed, tmp_path, Scope.of_driver("a"))["photos"]) == 2
    assert not any(store for store in stored(deployed).values())


@pytest.mark.parametrize(
    "step",
    ["running_executions", "failed_requests", "reviews", "training_copies", "feature_caches", "uploads", "records"],
)
def test_after_an_interruption_the_next_run_deletes_the_rest(
    deployed: Deployed, plant: Planter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    photo = plant_everything(plant, "a")

    def interrupt(*_: Any, **__: Any) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(forget_stores.Stores, step, interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(deployed, tmp_path, Scope.of_driver("a"))
    run(deployed, tmp_path, Scope.of_driver("a"))
    assert about(photo, stored(deployed)) == []
    assert not [name for name in stored(deployed)["ml-bucket"] if name.endswith("output.tar.gz")]
    assert run(deployed, tmp_path, Scope.of_driver("a"))["photos"] == []


def test_photos_that_arrive_during_the_run_are_deleted(
    deployed: Deployed, plant: Planter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant_everything(plant, "a")
    arriving = iter(range(3))
    real = forget_stores.Stores.records

    def records(stores: Any, photos: Any, *, delete: bool) -> int:
        count = real(stores, photos, delete=delete)
        for number in arriving:
            plant_everything(plant, "a", f"late-{number}.jpg")
            break
        return count

    monkeypatch.setattr(forget_stores.Stores, "records", records)
    report = run(deployed, tmp_path, Scope.of_driver("a"))
    assert (report["passes"], len(report["photos"])) == (5, 4)
    assert not stored(deployed)["uploads-bucket"]
    assert not stored(deployed)["records"]


def test_photos_that_keep_arriving_end_the_command_with_what_to_do(
    deployed: Deployed, plant: Planter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant.upload("uploads/a/first.jpg", b"photo")
    real, numbers = forget_stores.Stores.records, iter(range(100))

    def records(stores: Any, photos: Any, *, delete: bool) -> int:
        plant.upload(f"uploads/a/{next(numbers)}.jpg", b"another")
        return real(stores, photos, delete=delete)

    monkeypatch.setattr(forget_stores.Stores, "records", records)
    with pytest.raises(CommandError, match="still arrive after 10 passes"):
        run(deployed, tmp_path, Scope.of_driver("a"))


def start(machine: str, photo: dict[str, Any] | None = None) -> str:
    return boto3.client("stepfunctions").start_execution(
        stateMachineArn=machine, input=json.dumps({"photo": photo or {}})
    )["executionArn"]


def test_an_execution_that_works_on_a_photo_is_stopped_first(
    deployed: Deployed, plant: Planter, tmp_path: Path
) -> None:
    states = boto3.client("stepfunctions")
    ours = [start(deployed.classify_photo_arn, {"bucket": "b", "key": f"uploads/a/{name}"}) for name in "12"]
    others = [start(deployed.classify_photo_arn, {"bucket": "b", "key": key}) for key in ("uploads/ab/1", "x")]
    plant.upload("uploads/a/1", b"photo")
    report = run(deployed, tmp_path, Scope.of_driver("a"))
    assert {states.describe_execution(executionArn=arn)["status"] for arn in ours} == {"ABORTED"}
    assert {states.describe_execution(executionArn=arn)["status"] for arn in others} == {"RUNNING"}
    assert next(one for one in report["kept"] if "histories" in one["what"])["names"] == sorted(ours)


def test_nothing_is_deleted_while_a_retraining_runs(
    deployed: Deployed, plant: Planter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant_everything(plant, "a")
    before = stored(deployed)
    start(deployed.retrain_model_arn)
    monkeypatch.setattr(forget, "RETRAINING_WAIT_S", 0.05)
    with pytest.raises(CommandError, match="Nothing was deleted"):
        run(deployed, tmp_path, Scope.of_driver("a"))
    assert stored(deployed) == before


def test_a_retraining_that_starts_meanwhile_keeps_the_records_for_the_next_run(
    deployed: Deployed, plant: Planter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = plant_everything(plant, "a")
    started: list[str] = []
    real = forget_stores.Stores.training_copies

    def training_copies(stores: Any, photos: Any, *, delete: bool) -> int:
        count = real(stores, photos, delete=delete)
        if not started:
            started.append(start(deployed.retrain_model_arn))
            plant.training(photo, model="meanwhile")
        return count

    monkeypatch.setattr(forget_stores.Stores, "training_copies", training_copies)
    with pytest.raises(CommandError, match="has started meanwhile"):
        run(deployed, tmp_path, Scope.of_driver("a"))
    unfinished = json.loads((tmp_path / "reports" / "forget.json").read_text())
    assert (unfinished["complete"], unfinished["photos"]) == (False, [photo.photo_id])
    boto3.client("stepfunctions").stop_execution(executionArn=started[0])
    report = run(deployed, tmp_path, Scope.of_driver("a"))
    assert about(photo, stored(deployed)) == []
    assert "meanwhile" in next(one for one in report["kept"] if "models" in one["what"])["names"]


def test_features_of_earlier_trainings_and_all_models_stay(deployed: Deployed, plant: Planter, tmp_path: Path) -> None:
    earlier = plant.upload("uploads/other/1.jpg", b"photo")
    plant.training(earlier, model="earlier")
    plant_everything(plant, "a")
    run(deployed, tmp_path, Scope.of_driver("a"))
    kept = [name for name in stored(deployed)["ml-bucket"] if name.startswith("models/")]
    assert len([name for name in kept if name.endswith("model.tar.gz")]) == 2


def test_only_reports_that_name_the_photos_are_deleted(deployed: Deployed, plant: Planter, tmp_path: Path) -> None:
    photo = plant_everything(plant, "a")
    reports = tmp_path / "reports"
    reports.mkdir()
    (reports / "by-key.json").write_text(json.dumps([photo.address]))
    (reports / "by-id.txt").write_text(photo.photo_id)
    (reports / "other.json").write_text(json.dumps(["uploads/ab/1.jpg", "a", {"driver_id": "ab"}]))
    run(deployed, tmp_path, Scope.of_driver("a"))
    assert sorted(file.name for file in reports.iterdir()) == ["forget.json", "other.json"]
    assert "uploads/a/" not in (reports / "forget.json").read_text()


def test_a_message_of_another_photo_is_received_once_and_visible_again(
    deployed: Deployed, plant: Planter, tmp_path: Path
) -> None:
    plant_everything(plant, "a")
    plant_everything(plant, "b")
    run(deployed, tmp_path, Scope.of_driver("a"))
    (message,) = boto3.client("sqs").receive_message(
        QueueUrl=deployed.review_queue_url, MaxNumberOfMessages=10, AttributeNames=["ApproximateReceiveCount"]
    )["Messages"]
    assert message["Attributes"]["ApproximateReceiveCount"] == "2"


def test_a_photo_that_nothing_is_stored_about(deployed: Deployed, tmp_path: Path) -> None:
    report = run(deployed, tmp_path, Scope.of_driver("nobody"))
    assert (report["photos"], report["kept"]) == ([], [])


def test_a_photo_in_any_status_is_found(deployed: Deployed, plant: Planter, tmp_path: Path) -> None:
    photo = plant.upload("uploads/a/1.jpg", b"photo")
    table = PhotoTable("photos", boto3.client("dynamodb"))
    table.classify(photo, "arn:1:2:3:4:5", now(), classification={"vehicle": "bicycle"}, threshold=0.5)
    found = table.get(photo.photo_id)
    assert found is not None
    assert found.status == CLASSIFIED
    run(deployed, tmp_path, Scope.of_driver("a"))
    assert not any(store for store in stored(deployed).values())
