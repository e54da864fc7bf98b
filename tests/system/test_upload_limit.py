"""A flood of one driver on a deployed stage: its excess is rejected, and no photo of other drivers."""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import boto3
import pytest

from deploy.stack import Stack
from functions.shared.photo_record import REJECTED, PhotoRecord
from functions.shared.photo_table import PhotoTable
from operate import flood
from tests.support.upload_stage import UploadStage

PER_MINUTE = 10
FLOOD = 200


@pytest.fixture
def limited(upload_stage: UploadStage) -> Iterator[UploadStage]:
    stack = Stack(upload_stage.deployed.app_name, progress=lambda line: None)
    before = stack.parameters()["UploadsPerMinute"]
    stack.set_parameter("UploadsPerMinute", str(PER_MINUTE))
    yield upload_stage
    stack.set_parameter("UploadsPerMinute", before)


def test_a_flood_is_rejected_beyond_the_limit_and_no_photo_of_other_drivers_is(
    limited: UploadStage, tmp_path: Path
) -> None:
    report = tmp_path / "flood.json"
    # Raises when a photo has no outcome or two.
    flood.run(limited.deployed, flood.Plan(FLOOD, rate=2, count=4), report)
    figures = json.loads(report.read_text())[flood.FLOOD]
    outcomes = Counter(figures["flood"]["outcomes"])
    rejected = outcomes.pop("TooManyPhotos")
    assert rejected + outcomes.total() == FLOOD
    others = figures["others"]["outcomes"]
    assert "TooManyPhotos" not in others
    records = _rejected_records(limited)
    assert len(records) == rejected
    accepted = Counter(_minute_before(record) for record in records)
    # The uploads of the flood take place in a few minutes, each of which accepts PER_MINUTE photos.
    assert PER_MINUTE <= outcomes.total() <= PER_MINUTE * (len(accepted) + 1)


def _rejected_records(stage: UploadStage) -> list[PhotoRecord]:
    photos = PhotoTable(stage.deployed.photo_table, boto3.client("dynamodb"))
    return [
        record
        for record in photos.list_by_status(REJECTED)
        if record.outcome and record.outcome["rejected"]["reason"] == "TooManyPhotos"
    ]


def _minute_before(record: PhotoRecord) -> datetime:
    assert record.outcome is not None
    retry_at = datetime.fromisoformat(record.outcome["rejected"]["retry_at"])
    return retry_at - timedelta(minutes=1)
