"""`make forget`: what is found and deleted, what is not touched, and what happens when it is interrupted."""

import json
from pathlib import Path
from typing import Any

import boto3
import pytest

from deploy.outputs import Deployed
from functions.shared.photo import Photo
from functions.shared.photo_record import CLASSIFIED
from functions.shared.photo_table import PhotoTable
from functions.shared.times import now
from operate import forget, forget_stores
from operate.errors import CommandError
from operate.forget import Scope
from tests.support.forgotten_photos import Planter
from tests.unit.operate.forget_stage import about, plant_everything, run, start, stored

ODD_DRIVERS = ["a", "ab", "a%2Fb", "fähre", "..", ".", "a b", "a+b", "unknown", '"', "a\n", "*", "a\\"]


def test_a_dry_run_deletes_nothing_and_says_what_there_is(deployed: Deployed, plant: Planter, tmp_path: Path) -> None:
    photo = plant_everything(plant, "a")
    before = stored(deployed)
    report = run(deployed, tmp_path, Scope.of_driver("a"), delete=False)
    assert stored(deployed) == before
    assert report["photos"] == [photo.photo_id]
    assert {row["store"]: row["found"] for row in report["stores"]} == {
        "running executions": 0,
        "review requests in queues": 2,
        "failed requests and photos in queues": 2,
        "labels and their pictures": 2,
        "delivery state of answers": 1,
        "copies for training": 1,
        "feature caches of models": 1,
        "results of batches": 1,
        "files of batches (versions)": 2,
        "uploads (versions)": 1,
        "unfinished uploads": 0,
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
    assert (report["passes"], len(report["photos"])) == (6, 4)
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


@pytest.mark.parametrize("machine", ["retrain_model_arn", "classify_batch_arn"])
def test_nothing_is_deleted_while_a_retraining_or_a_batch_runs(
    deployed: Deployed, plant: Planter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: str
) -> None:
    """A batch would write the key of a photo that it has listed into a result, also of one that is gone by then."""
    plant_everything(plant, "a")
    before = stored(deployed)
    start(getattr(deployed, machine))
    monkeypatch.setattr(forget, "WAIT_S", 0.0)
    with pytest.raises(CommandError, match="Nothing was deleted"):
        run(deployed, tmp_path, Scope.of_driver("a"))
    assert stored(deployed) == before


@pytest.mark.parametrize("machine", ["retrain_model_arn", "classify_batch_arn"])
def test_one_that_starts_meanwhile_keeps_the_records_for_the_next_run(
    deployed: Deployed, plant: Planter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: str
) -> None:
    photo = plant_everything(plant, "a")
    started: list[str] = []
    real = forget_stores.Stores.training_copies

    def training_copies(stores: Any, photos: Any, *, delete: bool) -> int:
        count = real(stores, photos, delete=delete)
        if not started:
            started.append(start(getattr(deployed, machine)))
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
