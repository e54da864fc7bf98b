"""What counts as a review request, and where its task token must not appear."""

import json
from datetime import timedelta

import pytest

from console.labels import Label
from console.request import MalformedRequest, read, redacted
from functions.shared.photo import Photo
from tests.unit.console.review_requests import BUCKET, NOW, body


def test_a_request_is_read_as_it_was_sent() -> None:
    request = read(body(), bucket=BUCKET, sent_at=NOW)
    assert (request.driver_id, request.vehicle, request.confidence) == ("driver-3", "bicycle", 0.71)
    assert request.photo.photo_id == json.loads(body())["photo"]["photo_id"]
    assert not request.expired(NOW)
    assert request.expired(NOW + timedelta(minutes=14))


def test_a_request_without_a_model_answer_is_a_request() -> None:
    text = body(vehicle=None, confidence=None, probabilities=None, model_version=None, reason="ModelUnavailable")
    assert read(text, bucket=BUCKET, sent_at=NOW).probabilities is None


def test_a_request_as_short_as_the_contract_allows_is_a_request() -> None:
    short = json.loads(body())
    for name in ("threshold", "execution", "requested_at"):
        del short[name]
    assert read(json.dumps(short), bucket=BUCKET, sent_at=NOW).requested_at == NOW


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        body(photo=None),
        body(photo={"bucket": BUCKET, "key": "uploads/a/b.jpg"}),
        body(photo={"bucket": "scones-prod-uploads", "key": "uploads/a/b.jpg", "etag": "abc"}),
        body(photo={"bucket": BUCKET, "key": "uploads/a/b.jpg", "etag": "abc", "photo_id": "0" * 32}),
        body(task_token=""),
        body(task_token=7),
        body(reason=None),
        body(expires_at="soon"),
        body(confidence=1.5),
        body(confidence=float("nan")),
        body(probabilities={"bicycle": "much"}),
        body(probabilities=[]),
    ],
)
def test_the_error_of_a_malformed_request_says_what_is_wrong_without_the_task_token(text: str) -> None:
    with pytest.raises(MalformedRequest) as refused:
        read(text, bucket=BUCKET, sent_at=NOW)
    assert str(refused.value)
    assert "secret-token" not in str(refused.value)


def test_the_task_token_is_in_no_representation_label_or_event() -> None:
    request = read(body(), bucket=BUCKET, sent_at=NOW)
    label = Label.of(request, "bicycle", "ada", NOW, "id")
    event = json.dumps(label.as_event(accepted=True))
    for shown in (repr(request), redacted(body()), redacted(body()[:-1]), repr(label), event):
        assert "secret-token" not in shown


def test_the_driver_is_part_of_the_key() -> None:
    assert Photo(BUCKET, "uploads/d/x.jpg", "e").driver_id == "d"
