"""A backtest: the answers of another model beside what was decided about past photos."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from deploy.outputs import Deployed
from functions.shared.photo import Photo
from functions.shared.photo_record import ROUTED, PhotoRecord
from functions.shared.photo_table import PhotoTable
from operate import backtest
from operate.backtest_report import (
    AUDITED,
    FROM_REVIEW,
    OTHER_BAY,
    REVIEWED,
    SAME,
    TO_REVIEW,
    PastPhoto,
    compare,
    summarize,
    tables,
)
from operate.errors import CommandError
from operate.terminal import console


def past(number: int, vehicle: str = "bicycle", **changed: Any) -> PastPhoto:
    photo = PastPhoto(f"{number:032x}", vehicle, alone=True, answer=None, sample=None, model_vehicle=vehicle)
    return replace(photo, **changed)


def answer(vehicle: str, confidence: float = 0.95) -> dict[str, Any]:
    return {"vehicle": vehicle, "confidence": confidence, "threshold": 0.9}


@pytest.mark.parametrize(
    ("alone", "predicted", "change"),
    [
        (True, answer("bicycle", 0.9), SAME),
        (True, answer("motorcycle"), OTHER_BAY),
        (True, answer("bicycle", 0.899), TO_REVIEW),
        (True, answer("other"), TO_REVIEW),
        (False, answer("motorcycle"), FROM_REVIEW),
        (False, answer("motorcycle", 0.5), SAME),
    ],
)
def test_a_photo_says_how_its_decision_would_change(alone: bool, predicted: dict[str, Any], change: str) -> None:
    (found,) = compare([past(1, alone=alone)], {past(1).photo_id: predicted}, 0.9)
    assert found.change == change


def test_errors_are_counted_where_a_reviewer_answered_and_by_why_it_was_asked() -> None:
    photos = [
        past(1, answer="bicycle", sample=AUDITED),
        past(2, answer="motorcycle", sample=AUDITED),
        past(3, answer="motorcycle", sample=REVIEWED, alone=False),
        past(4),
    ]
    predicted = {one.photo_id: answer("bicycle") for one in photos}
    predicted[photos[1].photo_id] = answer("motorcycle", 0.5)
    report = summarize(compare(photos, predicted, 0.9))
    audited, reviewed = report["errors"][AUDITED], report["errors"][REVIEWED]
    assert (audited["now"]["count"], audited["now"]["number"]) == (0, 2)
    assert (audited["then"]["count"], audited["then"]["number"]) == (1, 2)
    assert audited["now_alone"]["number"] == 1
    assert (reviewed["now"]["count"], reviewed["now_alone"]["count"]) == (1, 1)
    assert report["agreement"]["count"] == 3
    assert report["decided_alone"]["then"]["count"] == report["decided_alone"]["now"]["count"] == 3


def test_a_photo_that_cannot_be_read_is_not_compared() -> None:
    assert compare([past(1), past(2)], {past(1).photo_id: {"error": "UnreadablePhoto"}}, 0.9) == []


def test_the_tables_and_the_lines_name_neither_key_nor_driver() -> None:
    compared = compare([past(1)], {past(1).photo_id: answer("bicycle")}, 0.9)
    with console.capture() as captured:
        for table in tables({"model_version": "m", "threshold": 0.9, **summarize(compared)}):
            console.print(table)
    assert "answer as the decision" in captured.get()
    assert compared[0].as_line().keys() == {
        *("photo_id", "vehicle", "alone", "answer", "sample", "model_vehicle", "decided_vehicle"),
        *("change", "confidence", "would_decide"),
    }
    assert (compared[0].as_line()["decided_vehicle"], compared[0].as_line()["vehicle"]) == ("bicycle", "bicycle")


def put(deployed: Deployed, name: str, at: datetime, *, by: str = "model") -> Photo:
    """Upload a photo, and record its decision."""
    key = f"uploads/ana/{name}"
    etag = boto3.client("s3").put_object(Bucket=deployed.uploads_bucket, Key=key, Body=name.encode())["ETag"].strip('"')
    photo = Photo(deployed.uploads_bucket, key, etag, len(name))
    outcome = {"vehicle": "bicycle", "decided_by": by}
    PhotoTable(deployed.photo_table, boto3.client("dynamodb")).record_outcome(photo, ROUTED, "e", at, outcome=outcome)
    return photo


def find(deployed: Deployed, days: int = 28, most: int = 100) -> set[str]:
    return {record.photo.key for record in backtest.find_records(deployed, days, most)}


def test_photos_of_the_period_that_still_exist_unchanged_are_compared(deployed: Deployed) -> None:
    today = datetime.now(UTC)
    kept = put(deployed, "kept.jpg", today)
    put(deployed, "old.jpg", today - timedelta(days=30))
    gone, overwritten = (put(deployed, name, today) for name in ("gone.jpg", "overwritten.jpg"))
    s3 = boto3.client("s3")
    s3.delete_object(Bucket=gone.bucket, Key=gone.key)
    s3.put_object(Bucket=overwritten.bucket, Key=overwritten.key, Body=b"another photo")
    put(deployed, "a/../b.jpg", today)
    assert find(deployed) == {kept.key}
    assert find(deployed, days=60) == {kept.key, "uploads/ana/old.jpg"}


def test_of_more_photos_the_same_sample_is_drawn(deployed: Deployed) -> None:
    photos = [put(deployed, f"{number}.jpg", datetime.now(UTC)) for number in range(6)]
    lowest = sorted(photos, key=lambda photo: photo.photo_id)
    boto3.client("s3").delete_object(Bucket=lowest[0].bucket, Key=lowest[0].key)
    assert find(deployed, most=2) == {photo.key for photo in lowest[1:3]}


def record(**changed: Any) -> PhotoRecord:
    photo = Photo("uploads", "uploads/ana/1.jpg", "0" * 32, 1)
    outcome = {"vehicle": "bicycle", "decided_by": "model"}
    return replace(
        PhotoRecord(photo, ROUTED, "", "", "e", classification={"vehicle": "bicycle"}), outcome=outcome, **changed
    )


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, (None, None)),
        ({"label_answer": {"vehicle": "motorcycle"}}, ("motorcycle", REVIEWED)),
        ({"label_answer": {"vehicle": "motorcycle"}, "audit": {"share": 0.02}}, ("motorcycle", AUDITED)),
        ({"label_answer": {"vehicle": "unusable"}, "audit": {"share": 0.02}}, (None, None)),
    ],
)
def test_the_answer_of_a_reviewer_is_read_from_the_record(changed: dict[str, Any], expected: tuple[Any, Any]) -> None:
    found = PastPhoto.of(record(**changed))
    assert (found.answer, found.sample) == expected


@pytest.mark.parametrize(
    ("option", "value", "name"),
    [
        *(("days", days, "DAYS") for days in (-1, 0, 366)),
        *(("most", most, "MOST") for most in (-1, 0)),
        *(("at", at, "AT") for at in (-0.1, 1.5, float("nan"))),
    ],
)
def test_an_option_outside_its_range_is_refused(
    deployed: Deployed, tmp_path: Any, option: str, value: Any, name: str
) -> None:
    with pytest.raises(CommandError, match=f"{name} is {value}"):
        backtest.run(deployed, "any", tmp_path, **{option: value})


@pytest.mark.parametrize("at", [None, 0.9])
def test_a_model_that_reads_no_photo_is_not_compared(
    deployed: Deployed, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, at: float | None
) -> None:
    photo = put(deployed, "new.jpg", datetime.now(UTC))
    monkeypatch.setattr(backtest, "_predict", lambda *_: {photo.key: {"error": "UnreadablePhoto"}})
    with pytest.raises(CommandError, match=r"read none of the 1 photos \(UnreadablePhoto\)"):
        backtest.run(deployed, "s3://somewhere/model.tar.gz", tmp_path, at=at)
    assert list(tmp_path.iterdir()) == []


def test_without_past_photos_the_command_says_what_to_do(deployed: Deployed, tmp_path: Any) -> None:
    with pytest.raises(CommandError, match="Set DAYS="):
        backtest.run(deployed, "s3://somewhere/model.tar.gz", tmp_path)


def test_the_job_reads_the_photos_where_they_are_and_has_no_network(deployed: Deployed) -> None:
    request = backtest.job_request(
        deployed, backtest.Tested("m", "s3://ml/models/m/model.tar.gz"), "vehicles-x-backtest"
    )
    assert request["NetworkConfig"] == {"EnableNetworkIsolation": True}
    inputs = {one["InputName"]: one["S3Input"] for one in request["ProcessingInputs"]}
    assert inputs["photos"]["S3DataType"] == "ManifestFile"
    assert json.dumps(request).count("uploads") == 0
