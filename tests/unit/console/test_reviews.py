"""Which answer counts for a review request, and whether it was delivered."""

from dataclasses import replace
from datetime import timedelta

import pytest

from console.aws import Aws
from console.labels import Label
from console.review_request import parse_review_request
from console.reviews import Reviews
from deploy.outputs import Deployed
from tests.support.reviewers import reviewer as named
from tests.unit import model_stage
from tests.unit.console.review_requests import BUCKET, NOW, body, read_json

REQUEST = parse_review_request(body(), bucket=BUCKET, sent_at=NOW)
PREFIX = f"reviews/2026/11/23/{REQUEST.photo.photo_id}-{REQUEST.token_hash[:16]}"


def reviews(stage: Deployed) -> Reviews:
    return Reviews(stage.ml_bucket, Aws().s3)


def saved(store: Reviews, reviewer: str) -> Label:
    return store.labels.save(Label.of(REQUEST, "bicycle", named(reviewer), NOW, f"answer of {reviewer}"))


def test_the_first_answer_counts(stage: Deployed) -> None:
    store = reviews(stage)
    assert store.find(REQUEST.id) is None
    first, second = saved(store, "ben"), saved(store, "ada")
    assert store.claim(REQUEST.id, first) == first
    for again in (store, reviews(stage)):
        assert again.claim(REQUEST.id, second) == first
        assert again.find(REQUEST.id) == first
    assert read_json(stage, f"{PREFIX}.answer.json") == {"label": first.key}


def test_the_objects_are_under_the_day_of_the_request_in_utc(stage: Deployed) -> None:
    store = reviews(stage)
    store.claim(replace(REQUEST.id, requested_at=NOW.replace(hour=23)), saved(store, "ada"))
    store.mark_done(REQUEST.id, saved(store, "ada"), accepted=True)
    found = model_stage.aws("s3").list_objects_v2(Bucket=stage.ml_bucket, Prefix="reviews/")["Contents"]
    assert [item["Key"] for item in found] == [f"{PREFIX}.answer.json", f"{PREFIX}.done.json"]


def test_requests_about_one_photo_are_told_apart(stage: Deployed) -> None:
    store = reviews(stage)
    later = replace(REQUEST.id, token_hash="f" * 64)
    first, second = saved(store, "ada"), saved(store, "ben")
    store.claim(REQUEST.id, first)
    assert store.claim(later, second) == second
    store.mark_done(later, second, accepted=True)
    assert (store.is_done(REQUEST.id, first), store.is_done(later, second)) == (False, True)


def test_what_is_done_is_recorded_once(stage: Deployed) -> None:
    store = reviews(stage)
    label = saved(store, "ada")
    for accepted in (True, False):
        store.mark_done(REQUEST.id, label, accepted=accepted)
    done = read_json(stage, f"{PREFIX}.done.json")
    assert (done["label"], done["accepted"]) == (label.key, True)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[" * 200_000,
        b"[]",
        b'{"label": 1}',
        b'{"label": "labels/none"}',
        b'{"label": "labels/00000000000000000000000000000000/ada/1.json"}',
    ],
)
def test_an_object_that_names_no_label_does_not_keep_the_driver_waiting(stage: Deployed, content: bytes) -> None:
    model_stage.aws("s3").put_object(Bucket=stage.ml_bucket, Key=f"{PREFIX}.answer.json", Body=content)
    store = reviews(stage)
    label = saved(store, "ada")
    assert store.find(REQUEST.id) is None
    assert store.claim(REQUEST.id, label) == label
    assert list(store.recent(10, today=NOW.date())) == []


def test_the_label_of_another_photo_counts_for_none(stage: Deployed) -> None:
    model_stage.labelled(3, 0.7)
    store = reviews(stage)
    (other,) = store.recent(10)
    content = f'{{"label": "{other.key}"}}'.encode()
    model_stage.aws("s3").put_object(Bucket=stage.ml_bucket, Key=f"{PREFIX}.answer.json", Body=content)
    assert store.find(REQUEST.id) is None


def test_recent_labels_are_the_newest_up_to_a_limit(stage: Deployed) -> None:
    for number in range(3):
        model_stage.labelled(60 * 24 * number, 0.7)
    found = [one.photo_id for one in reviews(stage).recent(2)]
    assert found == [model_stage.photo(60 * 24 * number).photo_id for number in (0, 1)]


@pytest.mark.parametrize(("number", "counted"), [(0, 1), (60 * 24 * 3, 0)])
def test_answers_of_today_are_counted(stage: Deployed, number: int, counted: int) -> None:
    model_stage.labelled(number, 0.7)
    midnight = model_stage.NOW.replace(hour=0, minute=0, second=0)
    assert reviews(stage).count_answered_since(midnight) == counted
    assert reviews(stage).count_answered_since(model_stage.NOW + timedelta(days=1)) == 0


def test_objects_without_an_answer_hide_none_and_are_not_counted(stage: Deployed) -> None:
    model_stage.labelled(0, 0.7)
    store = reviews(stage)
    midnight = model_stage.NOW.replace(hour=0, minute=0, second=0)
    # The names of some are those of answers.
    day = f"reviews/{model_stage.NOW:%Y/%m/%d}"
    for number in range(4):
        for name in (str(number), f"{number:032x}-{'0' * 16}"):
            put = {"Bucket": stage.ml_bucket, "Key": f"{day}/{name}.answer.json"}
            model_stage.aws("s3").put_object(**put, Body=b"{}")
    assert [one.photo_id for one in store.recent(2)] == [model_stage.photo(0).photo_id]
    assert store.count_answered_since(midnight) == 5
