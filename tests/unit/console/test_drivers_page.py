"""The Drivers page and the pages of its photos, in every status."""

import re

from console.aws import Aws
from deploy.outputs import Deployed
from tests.unit import model_stage
from tests.unit.console.browser_client import BrowserClient


def page(stage: Deployed, path: str) -> str:
    with BrowserClient(stage, Aws()) as browser:
        response = browser.get(path)
    assert response.status_code == 200
    return " ".join(re.sub(r"<[^>]+>", " ", response.text.partition("<main")[2]).split())


def add_photos_of_every_status() -> None:
    model_stage.decided(1, 0.97)
    model_stage.waiting(2)
    model_stage.rejected(3)
    model_stage.classified(4, 0.71, at=model_stage.NOW)
    error = {"Error": "PhotoUnrouted", "Cause": "The decision could not be recorded."}
    model_stage.photo_table().mark_unrouted(model_stage.photo(5), "arn:any", model_stage.NOW, error=error)


def test_photos_are_listed_in_every_status_with_the_reason(stage: Deployed) -> None:
    add_photos_of_every_status()
    text = page(stage, "/drivers")
    assert "5 photos of the last 30 days." in text
    assert "Bay A bicycle 0.97 model driver-1" in text
    assert "In review LowConfidence, bicycle 0.40 driver-2" in text
    assert "No image Rejected UnreadablePhoto driver-3" in text
    assert "Classified bicycle 0.71 driver-4" in text
    assert "Not routed PhotoUnrouted driver-5" in text


def test_photos_are_filtered_by_status(stage: Deployed) -> None:
    add_photos_of_every_status()
    text = page(stage, "/drivers?status=rejected")
    assert "1 photo of the last 30 days, 5 without the filter." in text
    assert "No image Rejected UnreadablePhoto driver-3" in text
    assert "No photo passes this filter." in page(stage, "/drivers?status=in_review&bay=Bay+A")


def test_the_page_of_a_photo_in_review_shows_the_classification_and_the_reason(stage: Deployed) -> None:
    model_stage.waiting(2)
    text = page(stage, f"/drivers/{model_stage.photo(2).photo_id}")
    assert "In review LowConfidence : The confidence is below the threshold." in text
    assert "Classification bicycle, confidence 0.400, threshold 0.935" in text
    assert f"Model {model_stage.CHAMPION}" in text


def test_the_page_of_a_reviewed_photo_shows_the_decision_and_the_classification(stage: Deployed) -> None:
    model_stage.labelled(1, 0.7, vehicle="motorcycle")
    text = page(stage, f"/drivers/{model_stage.photo(1).photo_id}")
    assert "Vehicle motorcycle Decided by reviewer" in text
    assert "Classification bicycle, confidence 0.700" in text


def test_the_page_of_a_photo_without_a_decision_shows_why(stage: Deployed) -> None:
    add_photos_of_every_status()
    assert "Rejected UnreadablePhoto : It is not a photo." in page(stage, f"/drivers/{model_stage.photo(3).photo_id}")
    assert "Classified The execution has not decided yet." in page(stage, f"/drivers/{model_stage.photo(4).photo_id}")
    unrouted = page(stage, f"/drivers/{model_stage.photo(5).photo_id}")
    assert "Not routed PhotoUnrouted : The decision could not be recorded." in unrouted


def test_a_photo_without_a_record_is_not_found(stage: Deployed) -> None:
    with BrowserClient(stage, Aws()) as browser:
        assert browser.get("/drivers/unknown").status_code == 404
