"""What `make report` reads of a stage."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from deploy.outputs import Deployed
from deploy.stack import Stack
from functions.shared.champion import Champion, ModelTable
from functions.shared.photo import Photo
from functions.shared.photo_table import PhotoTable
from functions.shared.times import timestamp
from operate.report import stage
from operate.report.stage import read

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
SETTINGS = {
    "TimeZone": "Europe/Dublin", "AuditErrorLimit": "0.02", "DriftPeriodHours": "24", "DriftWindowPeriods": "7",
    "DriftMinPhotos": "100", "DriftPsiLimit": "0.25",
}  # fmt: skip


@pytest.fixture
def filled(deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> Deployed:
    """A stage with a model and without photos."""
    # moto's CloudFormation needs packages that are not installed.
    monkeypatch.setattr(Stack, "parameters", lambda _: SETTINGS)
    boto3.client("ssm").put_parameter(Name="/threshold", Value="0.93", Type="String")
    dynamodb: Any = boto3.client("dynamodb")
    dynamodb.create_table(
        TableName="models",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    promoted_at = timestamp(NOW - timedelta(days=40))
    ModelTable("models", dynamodb).promote(Champion("v1", "v1", "s3://ml/v1", threshold=0.9, promoted_at=promoted_at))
    return replace(deployed, event_bus="scones-dev", model_table="models", threshold_parameter="/threshold")


def upload(deployed: Deployed, name: str, at: datetime) -> str:
    """Record a classified photo; return its id."""
    photo = Photo("uploads", f"uploads/d/{name}.jpg", hashlib.md5(name.encode(), usedforsecurity=False).hexdigest(), 9)
    answer = {"vehicle": "bicycle", "confidence": 0.99, "model_version": "v1"}
    PhotoTable(deployed.photo_table, boto3.client("dynamodb")).classify(
        photo, f"arn:{name}", at, classification=answer, threshold=0.93
    )
    return photo.photo_id


def test_photos_of_all_days_are_read_oldest_first_and_none_twice(filled: Deployed) -> None:
    # At midnight in UTC, which divides the index, and in Dublin, one day apart, one long ago.
    times = [NOW - timedelta(days=days, hours=12, milliseconds=ms) for days in (9, 3, 2) for ms in (1, 0)]
    ids = [upload(filled, f"photo-{number}", at) for number, at in enumerate(times)]
    upload(filled, "too-old", NOW - timedelta(days=29))
    observed = read(filled, 28, NOW)
    assert [record.photo.photo_id for record in observed.photos] == ids
    assert observed.since <= times[0] < times[-1] < observed.until
    assert not observed.left_out
    assert (observed.champion, observed.rules.threshold, observed.rules.time_zone) == ("v1", 0.93, "Europe/Dublin")


def test_a_model_that_was_promoted_shortly_before_the_first_photo_is_in_the_time(filled: Deployed) -> None:
    promoted = NOW - timedelta(minutes=10, seconds=10)
    new = Champion("v2", "v2", "s3://ml/v2", promoted_at=timestamp(promoted))
    ModelTable("models", boto3.client("dynamodb")).promote(new)
    for number in range(3):
        upload(filled, f"photo-{number}", NOW - timedelta(minutes=10 - 2 * number))
    observed = read(filled, 28, NOW)
    assert NOW - timedelta(minutes=15) < observed.since <= promoted


def test_of_too_many_photos_the_first_of_each_interval_are_read(
    filled: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "MOST_PER_BUCKET", 2)
    for number in range(3):
        upload(filled, f"photo-{number}", NOW - timedelta(minutes=1, milliseconds=3 - number))
    for number in range(3, 5):
        upload(filled, f"photo-{number}", NOW - timedelta(milliseconds=5 - number))
    observed = read(filled, 28, NOW)
    assert len(observed.photos) == 4
    assert observed.left_out


def test_without_photos_the_report_is_about_the_last_hour(filled: Deployed) -> None:
    observed = read(filled, 28, NOW)
    assert observed.photos == []
    assert observed.since == NOW - timedelta(hours=1)
    assert observed.latency == []
    assert observed.rejected == []


def test_the_latency_of_a_minute_that_began_before_the_first_photo_is_in_the_time() -> None:
    """The photos of `make demo` take seconds: their minute began before them, and the chart was empty."""
    minute, since, until = timedelta(minutes=1), NOW + timedelta(seconds=42), NOW + timedelta(seconds=58)
    assert stage.middle(NOW, minute, since, until) == since
    assert stage.middle(NOW, minute, NOW - minute, until) == NOW + timedelta(seconds=30)
    assert stage.middle(NOW, minute, NOW - minute, NOW + timedelta(seconds=9)) == NOW + timedelta(seconds=9)
