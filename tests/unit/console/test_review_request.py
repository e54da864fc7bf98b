"""Parsing review requests, and where the task token must not appear."""

import json
from datetime import timedelta

import pytest

from console.labels import Label
from console.redaction import redacted
from console.review_request import MalformedRequest, parse_review_request
from functions.shared.photo import Photo
from tests.support.reviewers import reviewer as named
from tests.unit.console.review_requests import BUCKET, NOW, body


def test_a_request_is_parsed_with_all_its_fields() -> None:
    request = parse_review_request(body(), bucket=BUCKET, sent_at=NOW)
    assert (request.driver_id, request.vehicle, request.confidence) == ("driver-3", "bicycle", 0.71)
    assert request.photo.photo_id == json.loads(body())["photo"]["photo_id"]
    assert not request.expired(NOW)
    assert request.expired(NOW + timedelta(minutes=14))


def test_a_request_without_a_prediction_is_valid() -> None:
    text = body(vehicle=None, confidence=None, probabilities=None, model_version=None, reason="ModelUnavailable")
    assert parse_review_request(text, bucket=BUCKET, sent_at=NOW).probabilities is None


def test_a_request_with_the_required_fields_only_is_valid() -> None:
    short = json.loads(body())
    for name in ("threshold", "requested_at"):
        del short[name]
    assert parse_review_request(json.dumps(short), bucket=BUCKET, sent_at=NOW).requested_at == NOW


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
        body(execution=None),
        body(expires_at="soon"),
        body(requested_at="0001-01-01T00:00:00+23:59"),
        body(expires_at="9999-12-31T23:59:59-23:59"),
        body(confidence=1.5),
        body(confidence=float("nan")),
        body(probabilities={"bicycle": "much"}),
        body(probabilities=[]),
    ],
)
def test_the_error_of_a_malformed_request_has_the_reason_but_not_the_task_token(text: str) -> None:
    with pytest.raises(MalformedRequest) as refused:
        parse_review_request(text, bucket=BUCKET, sent_at=NOW)
    assert str(refused.value)
    assert "secret-token" not in str(refused.value)


def test_the_task_token_is_in_no_representation_label_or_event() -> None:
    request = parse_review_request(body(), bucket=BUCKET, sent_at=NOW)
    label = Label.of(request, "bicycle", named("ada"), NOW, "id")
    event = json.dumps(label.as_event(accepted=True))
    for shown in (repr(request), redacted(body()), redacted(body()[:-1]), repr(label), event):
        assert "secret-token" not in shown


def test_the_driver_id_is_a_segment_of_the_key() -> None:
    assert Photo(BUCKET, "uploads/d/x.jpg", "e").driver_id == "d"
