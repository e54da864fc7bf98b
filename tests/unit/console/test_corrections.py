"""Corrections of earlier answers."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image

from console.corrections import NotCorrectable
from console.photos import Photos
from deploy.outputs import Deployed
from functions.build_dataset.label_reader import LabelReader
from functions.build_dataset.labels import effective_labels
from functions.build_dataset.skipped import SkippedLabels
from functions.shared.photo_reader import PhotoReader
from tests.support.reviewers import reviewer as named
from tests.support.waiting import eventually
from tests.unit import model_stage
from tests.unit.console.browser_client import TAB, BrowserClient
from tests.unit.console.review_requests import FakeAws, all_labels, send


@pytest.fixture(autouse=True)
def photo(monkeypatch: pytest.MonkeyPatch) -> None:
    """The photos of these tests are in no bucket."""
    monkeypatch.setattr(Photos, "large", lambda *_: Image.new("RGB", (8, 8)))


def answered(stage: Deployed, browser: BrowserClient, vehicle: str, number: int = 1) -> str:
    """Answer a request of photo `number`; return the id of the photo when the label is saved."""
    photo_id = send(stage, number)
    (request,) = browser.post("/api/take", tab=TAB).json()["leased"]
    browser.post("/api/answer", tab=TAB, id=request["id"], vehicle=vehicle)
    eventually(lambda: photo_id in [content["photo_id"] for _, content in all_labels(stage)])
    return photo_id


def test_a_corrected_answer_is_a_second_label_and_the_next_data_set_uses_it(stage: Deployed) -> None:
    aws = FakeAws()
    with BrowserClient(stage, aws, undo_s=0) as browser:
        photo_id = answered(stage, browser, "bicycle")
        assert browser.post("/api/correct", photo_id=photo_id, vehicle="motorcycle").status_code == 200
        (given,) = browser.get("/api/answers").json()["answers"]
    assert (given["vehicle"], given["before"]) == ("motorcycle", ["bicycle"])
    first, second = (content for _, content in all_labels(stage))
    assert (first["vehicle"], second["vehicle"]) == ("bicycle", "motorcycle")
    assert (first["agrees"], second["agrees"]) == (True, False)
    assert (second["blind"], second["token_hash"]) == (False, first["token_hash"])
    assert [(event["vehicle"], event["accepted"]) for event in aws.events.details] == [
        ("bicycle", True),
        ("motorcycle", False),
    ]
    skipped = SkippedLabels()
    reader = LabelReader(stage.ml_bucket, model_stage.aws("s3"), PhotoReader("photos", model_stage.aws("dynamodb")))
    with ThreadPoolExecutor(2) as pool:
        found = reader.read(pool, 99, skipped)
    (used,) = effective_labels(found, ["bicycle", "motorcycle"], 99, skipped)
    assert (used.vehicle, used.number) == ("motorcycle", 2)
    assert skipped.counts == {"Corrected": 1}


def test_only_the_answers_of_the_reviewer_can_be_corrected(stage: Deployed) -> None:
    with BrowserClient(stage, FakeAws(), undo_s=0) as browser:
        photo_id = answered(stage, browser, "bicycle")
        corrections = browser.services.corrections
        assert corrections.recent(named("ben")) == []
        with pytest.raises(NotCorrectable, match="You have no answer about this photo"):
            corrections.correct(photo_id, "motorcycle", named("ben"))
        unknown = browser.post("/api/correct", photo_id="0" * 32, vehicle="motorcycle")
    assert unknown.status_code == 409
    assert len(all_labels(stage)) == 1


def test_an_answer_about_a_photo_that_was_deleted_is_not_corrected(stage: Deployed) -> None:
    with BrowserClient(stage, FakeAws(), undo_s=0) as browser:
        photo_id = answered(stage, browser, "bicycle")
        model_stage.aws("dynamodb").delete_item(TableName="photos", Key={"photo_id": {"S": photo_id}})
        response = browser.post("/api/correct", photo_id=photo_id, vehicle="motorcycle")
    assert response.status_code == 409
    assert len(all_labels(stage)) == 1


def test_a_correction_to_an_unknown_answer_or_to_the_same_one_writes_nothing(stage: Deployed) -> None:
    with BrowserClient(stage, FakeAws(), undo_s=0) as browser:
        photo_id = answered(stage, browser, "bicycle")
        assert browser.post("/api/correct", photo_id=photo_id, vehicle="spaceship").status_code == 422
        assert browser.post("/api/correct", photo_id=photo_id, vehicle="bicycle").status_code == 200
    assert len(all_labels(stage)) == 1
