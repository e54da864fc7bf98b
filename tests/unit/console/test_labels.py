"""Labels in S3: the first answer is final."""

from datetime import timedelta
from typing import Any

import pytest

from console.aws import Aws
from console.labels import Label, Labels
from console.review_request import ReviewRequest, parse_review_request
from deploy.outputs import Deployed
from tests.unit import model_stage
from tests.unit.console.review_requests import BUCKET, NOW, body, labels


def request() -> ReviewRequest:
    return parse_review_request(body(), bucket=BUCKET, sent_at=NOW)


def label(vehicle: str, reviewer: str, answer_id: str) -> Label:
    return Label.of(request(), vehicle, reviewer, NOW, answer_id)


def test_two_answers_to_one_request_have_the_same_key_even_after_midnight() -> None:
    request = parse_review_request(body(), bucket=BUCKET, sent_at=NOW)
    one = Label.of(request, "bicycle", "ada", NOW, "1")
    other = Label.of(request, "motorcycle", "ben", NOW + timedelta(days=1), "2")
    assert one.key == other.key == f"labels/2026/11/23/{request.photo.photo_id}.json"
    assert (one.seconds, one.agrees, other.agrees) == (60.0, True, False)


def test_the_first_answer_is_final_and_a_later_one_becomes_an_opinion(stage: Deployed) -> None:
    store = Labels(stage.ml_bucket, Aws().s3)
    assert store.save(label("bicycle", "ada", "1")).vehicle == "bicycle"
    effective = store.save(label("motorcycle", "ben", "2"))
    assert (effective.vehicle, effective.reviewer) == ("bicycle", "ada")
    assert [(one["vehicle"], one["reviewer"]) for one in effective.opinions] == [("motorcycle", "ben")]
    assert store.find(request()) == effective


def test_saving_an_answer_again_changes_nothing(stage: Deployed) -> None:
    store = Labels(stage.ml_bucket, Aws().s3)
    for _ in range(2):
        store.save(label("bicycle", "ada", "1"))
        store.save(label("motorcycle", "ben", "2"))
    (saved,) = labels(stage).values()
    assert (saved["vehicle"], len(saved["opinions"])) == ("bicycle", 1)


def test_an_object_that_is_not_a_label_is_replaced(stage: Deployed) -> None:
    key = label("bicycle", "ada", "1").key
    model_stage.aws("s3").put_object(Bucket=stage.ml_bucket, Key=key, Body=b"[1, 2")
    store = Labels(stage.ml_bucket, Aws().s3)
    assert store.find(request()) is None
    store.save(label("bicycle", "ada", "1"))
    assert labels(stage)[request().photo.photo_id]["vehicle"] == "bicycle"


def test_only_the_effective_label_is_marked_as_announced(stage: Deployed) -> None:
    store = Labels(stage.ml_bucket, Aws().s3)
    store.save(label("bicycle", "ada", "1"))
    store.save(label("motorcycle", "ben", "2"))
    store.mark_announced(label("motorcycle", "ben", "2"), accepted=True)
    found: Any = store.find(request())
    assert (found.announced, found.accepted) == (False, None)
    store.mark_announced(label("bicycle", "ada", "1"), accepted=True)
    found = store.find(request())
    assert (found.announced, found.accepted, len(found.opinions)) == (True, True, 1)


def test_recent_labels_are_the_newest_up_to_a_limit(stage: Deployed) -> None:
    for number in range(3):
        model_stage.labelled(60 * 24 * number, 0.7)
    store = Labels(stage.ml_bucket, Aws().s3)
    found = [one.photo_id for one in store.recent(2)]
    assert found == [model_stage.photo(60 * 24 * number).photo_id for number in (0, 1)]


@pytest.mark.parametrize(("number", "counted"), [(0, 1), (60 * 24 * 3, 0)])
def test_answers_of_today_are_counted(stage: Deployed, number: int, counted: int) -> None:
    model_stage.labelled(number, 0.7)
    midnight = model_stage.NOW.replace(hour=0, minute=0, second=0)
    assert Labels(stage.ml_bucket, Aws().s3).count_written_since(midnight) == counted
