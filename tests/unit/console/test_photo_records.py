"""The photos that are listed."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from console import photo_records
from console.aws import Aws
from console.photo_records import DAYS, PhotoRecords, describe_outcome
from deploy.outputs import Deployed
from functions.shared.photo import Photo
from functions.shared.photo_record import PhotoRecord
from tests.unit import model_stage


@pytest.fixture
def records(stage: Deployed) -> Iterator[PhotoRecords]:
    return PhotoRecords(stage, Aws())


def get(records: PhotoRecords, number: int) -> PhotoRecord:
    found = records.get(model_stage.photo(number).photo_id)
    assert found
    return found


def test_the_newest_photos_of_every_status_are_listed_across_days(records: PhotoRecords) -> None:
    model_stage.decided(1, 0.97)
    model_stage.waiting(2)
    model_stage.rejected(60 * 24 * 3)
    model_stage.decided(4, 0.97, age=timedelta(days=DAYS))
    assert records.list_newest(("photo_id", "status", "outcome.decided_by")) == [
        {"photo_id": model_stage.photo(1).photo_id, "status": "routed", "outcome": {"decided_by": "model"}},
        {"photo_id": model_stage.photo(2).photo_id, "status": "in_review"},
        {"photo_id": model_stage.photo(60 * 24 * 3).photo_id, "status": "rejected"},
    ]


def test_the_list_ends_at_its_limit(records: PhotoRecords, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photo_records, "MAX_LISTED", 2)
    for number in (60 * 24 * 3, 2, 1):
        model_stage.decided(number, 0.97)
    assert records.list_newest(("photo_id",)) == [{"photo_id": model_stage.photo(number).photo_id} for number in (1, 2)]


def test_a_photo_of_another_bucket_is_not_found(records: PhotoRecords) -> None:
    model_stage.waiting(1)
    assert records.find_photo(model_stage.photo(1).photo_id) == model_stage.photo(1)
    foreign = Photo("another-stage", "uploads/d/a.jpg", "e", 1)
    model_stage.photo_table().claim_review(foreign, "arn:any", model_stage.NOW, review={"token_hash": "abc"})
    assert records.find_photo(foreign.photo_id) is None
    assert records.find_photo("0" * 32) is None


def test_an_outcome_is_described_for_reviewers(records: PhotoRecords) -> None:
    model_stage.decided(1, 0.95)
    model_stage.decided(2, None, "fallback")
    model_stage.rejected(3, "UnusablePhoto")
    model_stage.waiting(4)
    assert [describe_outcome(get(records, number)) for number in (1, 2, 3, 4)] == [
        "The driver was already sent to Bay A.",
        "The review timed out, so the driver was sent to the help desk.",
        "The photo was already rejected (UnusablePhoto).",
        None,
    ]
