"""`make forget`: what an earlier version left behind, or promised wrongly."""

import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import moto.s3.models
import pytest

from console.answers import choices
from console.aws import Aws
from console.desk import Desk
from console.identity import Reviewer
from deploy.outputs import Deployed
from functions.build_dataset.labels import Limits
from functions.build_dataset.snapshot import SnapshotStore
from functions.shared.photo import Photo
from functions.shared.photo_reader import PhotoReader
from functions.shared.photo_table import PhotoTable
from functions.shared.times import timestamp
from operate import forget, forget_stores
from operate.__main__ import main
from operate.forget import Scope
from operate.terminal import console
from tests.support.forgotten_photos import Planter
from tests.support.labels import plant_label
from tests.unit.console.review_requests import body, depth
from tests.unit.operate.forget_stage import about, plant_everything, run, start, stored

ROOT = Path(__file__).resolve().parents[3]


def kept(report: dict[str, Any], what: str) -> list[dict[str, Any]]:
    return [entry for entry in report["kept"] if what in entry["what"]]


def found(report: dict[str, Any], store: str) -> int:
    (count,) = [row["found"] for row in report["stores"] if row["store"] == store]
    return int(count)


def test_a_feature_cache_is_deleted_also_when_later_retrainings_found_the_same_labels(
    deployed: Deployed, plant: Planter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = plant.upload("uploads/a/1.jpg", b"photo")
    table, s3 = PhotoTable("photos", boto3.client("dynamodb")), boto3.client("s3")
    plant_label({"s3": s3}, "ml-bucket", table, photo, "bicycle", reviewer="AIDAREVIEWER")
    store = SnapshotStore("ml-bucket", s3, table, Limits(per_driver=200, per_reviewer=5000))
    store.create("s3://base/", ("bicycle",))
    today = moto.s3.models.utcnow()
    monkeypatch.setattr("moto.s3.models.utcnow", lambda: today + timedelta(days=1))
    for name in ("model.tar.gz", "output.tar.gz"):
        plant.put(f"models/first/output/{name}", b"content")
    monkeypatch.setattr("moto.s3.models.utcnow", lambda: today + timedelta(days=2))
    store.create("s3://base/", ("bicycle",))
    report = run(deployed, tmp_path, Scope.of_driver("a"))
    assert kept(report, "models")[0]["names"] == ["first"]
    assert "`make retrain`" in kept(report, "models")[0]["what"]
    assert [key for key in stored(deployed)["ml-bucket"] if key.startswith("models/")] == [
        "models/first/output/model.tar.gz"
    ]


@pytest.fixture
def request_of_a(deployed: Deployed, plant: Planter) -> Photo:
    """A photo in review with its message in the queue."""
    photo = plant.upload("uploads/a/1.jpg", b"photo")
    plant.review_request(photo)
    now = datetime.now(UTC)
    times = {"requested_at": timestamp(now), "expires_at": timestamp(now + timedelta(minutes=15))}
    message = body(photo=photo.as_state(), driver_id="a", task_token="token", **times)  # noqa: S106
    boto3.client("sqs").send_message(QueueUrl=deployed.review_queue_url, MessageBody=message)
    return photo


@pytest.fixture
def desk(deployed: Deployed) -> Iterator[Desk]:
    with Desk(deployed, Aws(), choices()) as opened:
        yield opened


def test_a_request_that_a_console_held_is_deleted_by_the_next_run(
    deployed: Deployed, request_of_a: Photo, desk: Desk, tmp_path: Path
) -> None:
    (lease,) = desk.take(desk.open_session(Reviewer("AIDAREVIEWER", "ada")), ahead=1)
    assert lease.request.photo.photo_id == request_of_a.photo_id
    for _ in range(2):
        report = run(deployed, tmp_path, Scope.of_driver("a"))
        assert "when the consoles are closed" in kept(report, "messages of the review and audit queues")[0]["what"]
    assert report["photos"] == []
    desk.close()
    assert depth(deployed.review_queue_url) == (1, 0)
    report = run(deployed, tmp_path, Scope.of_driver("a"))
    assert found(report, "review requests in queues") == 1
    assert depth(deployed.review_queue_url) == (0, 0)
    assert kept(report, "messages of the review and audit queues") == []


def test_a_request_that_is_held_while_nothing_else_is_left_is_printed(
    deployed: Deployed, request_of_a: Photo, desk: Desk, tmp_path: Path
) -> None:
    desk.take(desk.open_session(Reviewer("AIDAREVIEWER", "ada")), ahead=1)
    run(deployed, tmp_path, Scope.of_driver("a"))
    with console.capture() as printed:
        forget.run(deployed, Scope.of_driver("a"), tmp_path / "reports" / "forget.json", delete=True, settle_s=0)
    assert "when the consoles are closed" in " ".join(printed.get().split())
    assert "Nothing is stored" not in printed.get()


def test_unfinished_uploads_of_the_driver_are_aborted(deployed: Deployed, tmp_path: Path) -> None:
    s3: Any = boto3.client("s3")
    for key in ("uploads/a/big.jpg", "uploads/a/folder/big.jpg", "uploads/ab/big.jpg"):
        upload = s3.create_multipart_upload(Bucket="uploads-bucket", Key=key)["UploadId"]
        s3.upload_part(Bucket="uploads-bucket", Key=key, UploadId=upload, PartNumber=1, Body=b"part of a photo")
    assert found(run(deployed, tmp_path, Scope.of_driver("a"), delete=False), "unfinished uploads") == 2
    assert found(run(deployed, tmp_path, Scope.of_driver("a")), "unfinished uploads") == 2
    left = s3.list_multipart_uploads(Bucket="uploads-bucket")["Uploads"]
    assert [upload["Key"] for upload in left] == ["uploads/ab/big.jpg"]
    report = run(deployed, tmp_path, Scope.of_photo("s3://uploads-bucket/uploads/ab/big.jpg", "uploads-bucket"))
    assert found(report, "unfinished uploads") == 1
    assert not s3.list_multipart_uploads(Bucket="uploads-bucket").get("Uploads")


def test_log_groups_that_never_expire_are_listed_without_a_date(
    deployed: Deployed, plant: Planter, tmp_path: Path
) -> None:
    plant.upload("uploads/a/1.jpg", b"photo")
    logs: Any = boto3.client("logs")
    groups = {
        deployed.log_group("classify-photo"): 30,
        deployed.log_group("stray"): None,
        f"/aws/vendedlogs/states/{deployed.app_name}-classify-photo": 60,
        f"/aws/sagemaker/Endpoints/{deployed.endpoint_name}": None,
        "/aws/lambda/another-stage": 3653,
    }
    for name, days in groups.items():
        logs.create_log_group(logGroupName=name)
        if days:
            logs.put_retention_policy(logGroupName=name, retentionInDays=days)
    limited, unlimited = kept(run(deployed, tmp_path, Scope.of_driver("a")), "log events")
    assert limited["what"].endswith("60 days")
    assert datetime.fromisoformat(limited["expires_at"]) - datetime.now(UTC) > timedelta(days=59)
    assert unlimited["expires_at"] is None
    assert unlimited["names"] == sorted(name for name, days in groups.items() if days is None)


def test_a_record_that_the_index_shows_late_is_deleted(
    deployed: Deployed, plant: Planter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant.upload("uploads/a/1.jpg", b"photo")
    missing = Photo("uploads-bucket", "uploads/a/missing.jpg", "", 0)
    plant.review_request(missing)
    real: Callable[..., Iterator[Any]] = PhotoReader.list_by_driver
    reads: list[str] = []

    def lag(reader: PhotoReader, driver_id: str) -> Iterator[Any]:
        reads.append(driver_id)
        return iter(real(reader, driver_id) if len(reads) > 2 else ())

    monkeypatch.setattr(PhotoReader, "list_by_driver", lag)
    report = run(deployed, tmp_path, Scope.of_driver("a"))
    assert missing.photo_id in report["photos"]
    assert stored(deployed)["records"] == []


def test_a_retraining_that_starts_after_the_deletion_does_not_matter(
    deployed: Deployed, plant: Planter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = plant_everything(plant, "a")
    real = forget_stores.Stores.records

    def records(stores: Any, photos: Any, *, delete: bool) -> int:
        count = real(stores, photos, delete=delete)
        start(deployed.retrain_model_arn)
        return count

    monkeypatch.setattr(forget_stores.Stores, "records", records)
    assert run(deployed, tmp_path, Scope.of_driver("a"))["complete"]
    assert about(photo, stored(deployed)) == []


def test_the_command_says_when_to_run_it_again(deployed: Deployed, plant: Planter, tmp_path: Path) -> None:
    plant.upload("uploads/a/1.jpg", b"photo")
    with console.capture() as printed:
        forget.run(deployed, Scope.of_driver("a"), tmp_path / "reports" / "forget.json", delete=True, settle_s=0)
    assert "Run this command again tomorrow" in printed.get()


def test_a_driver_and_a_photo_at_once_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the options that the Makefile passes."""
    make = subprocess.run(
        ["make", "-n", "forget", "DRIVER=a", "PHOTO=b", "YES=yes"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    (command,) = [line for line in make.stdout.splitlines() if "operate forget" in line]
    monkeypatch.setattr(sys, "argv", shlex.split(command.partition("-m ")[2]))
    with pytest.raises(SystemExit):
        main()
    assert "not allowed with" in capsys.readouterr().err
