"""ClassifyPhoto: the outcome for a photo, its errors, its log and its metrics."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from functions.shared.aws import client
from functions.shared.errors import (
    EventNotPublished,
    FolderMarker,
    InvalidInput,
    InvalidSettings,
    PhotoMissing,
    PhotoTooLarge,
    PhotoUnavailable,
    UnreadablePhoto,
)
from functions.shared.photo import Photo
from functions.shared.uploads import LARGEST_PHOTO_BYTES
from tests.unit.functions.stack import (
    ANOTHER_EXECUTION,
    EXECUTION,
    JPEG,
    TASK_TOKEN,
    UPLOADS,
    Function,
    ModelServer,
    Stack,
)


def without_etag(photo: Photo) -> dict[str, str]:
    return {"bucket": photo.bucket, "key": photo.key}


def test_a_confident_classification_needs_no_review(stack: Stack, classify: Function, model: ModelServer) -> None:
    photo = stack.upload()
    answer = classify(photo=photo.as_state())
    decision = answer.pop("recorded")
    assert answer == {
        "photo": photo.as_state(),
        "driver_id": "driver-17",
        "classification": {
            "vehicle": "bicycle",
            "confidence": 0.97,
            "probabilities": {"bicycle": 0.97, "motorcycle": 0.02, "other": 0.01},
            "model_version": "model-1",
        },
        "threshold": 0.9,
        "outcome": "decided",
        "reason": None,
        "excess": None,
    }
    assert model.received == [JPEG]
    assert decision.pop("decided_at").endswith("Z")
    assert decision == {
        "photo": photo.as_state(),
        "driver_id": "driver-17",
        "vehicle": "bicycle",
        "confidence": 0.97,
        "decided_by": "model",
        "loading_bay": "Bay A",
        "order_range": "nearby",
        "model_version": "model-1",
        "execution": EXECUTION,
    }


def test_the_decision_of_the_model_is_recorded_with_the_classification_and_announced(
    stack: Stack, classify: Function
) -> None:
    photo = stack.upload()
    answer = classify(photo=photo.as_state())
    record = stack.record(photo)
    assert (record.status, record.outcome, record.announced) == ("routed", answer["recorded"], True)
    assert record.classification == answer["classification"]
    assert stack.published() == [answer["recorded"]]


def test_a_decision_that_was_not_announced_is_announced_by_the_retry(
    stack: Stack, classify: Function, fail_call: Any
) -> None:
    photo = stack.upload()
    restore = fail_call(client("events"), "put_events")
    with pytest.raises(EventNotPublished):
        classify(photo=photo.as_state())
    restore()
    first = stack.record(photo).outcome
    assert classify(photo=photo.as_state())["recorded"] == first
    assert stack.published() == [first]
    assert classify(photo=photo.as_state())["recorded"] == first
    assert stack.published() == [first]


def test_a_confidence_exactly_at_the_threshold_is_enough(stack: Stack, classify: Function, model: ModelServer) -> None:
    model.set_probabilities(bicycle=0.9, motorcycle=0.1, other=0.0, threshold=0.9)
    assert classify(photo=stack.upload().as_state())["outcome"] == "decided"


def test_a_confidence_below_the_threshold_goes_to_review(stack: Stack, classify: Function, model: ModelServer) -> None:
    model.set_probabilities(bicycle=0.55, motorcycle=0.40, other=0.05)
    outcome = classify(photo=stack.upload().as_state())
    assert (outcome["outcome"], outcome["reason"]) == ("unsure", "LowConfidence")


def test_a_photo_of_a_cat_goes_to_review_at_any_confidence(
    stack: Stack, classify: Function, model: ModelServer
) -> None:
    model.set_probabilities(bicycle=0.0, motorcycle=0.0, other=1.0)
    outcome = classify(photo=stack.upload().as_state())
    assert (outcome["outcome"], outcome["reason"]) == ("unsure", "NotAVehicle")


def test_bucket_and_key_identify_a_photo_without_etag_and_size(stack: Stack, classify: Function) -> None:
    photo = stack.upload()
    assert classify(photo=without_etag(photo))["photo"] == photo.as_state()


def test_the_record_has_the_classification_before_there_is_a_decision(
    stack: Stack, classify: Function, model: ModelServer
) -> None:
    model.set_probabilities(bicycle=0.6, motorcycle=0.3, other=0.1)
    photo = stack.upload()
    answer = classify(photo=photo.as_state())
    record = stack.record(photo)
    assert (record.status, record.photo, record.execution) == ("classified", photo, EXECUTION)
    assert (record.classification, record.threshold) == (answer["classification"], 0.9)


def test_a_photo_that_was_decided_keeps_its_record(stack: Stack, classify: Function, assign_bay: Function) -> None:
    photo = stack.upload()
    assign_bay(photo=photo.as_state(), vehicle="bicycle", confidence=0.97, model_version="model-1", decided_by="model")
    record = stack.record(photo)
    answer = classify(execution=ANOTHER_EXECUTION, photo=photo.as_state())
    assert (answer["outcome"], answer["recorded"]) == ("decided", record.outcome)
    assert stack.record(photo) == record
    assert len(stack.published()) == 1


def test_a_photo_in_review_stays_there_when_a_newer_model_is_confident(
    stack: Stack, classify: Function, request_review: Function
) -> None:
    photo = stack.upload()
    request_review(photo=photo.as_state(), reason="ModelUnavailable", task_token=TASK_TOKEN, timeout_s=900)
    outcome = classify(execution=ANOTHER_EXECUTION, photo=photo.as_state())
    assert (outcome["outcome"], outcome["reason"]) == ("unsure", "ModelUnavailable")
    assert stack.record(photo).execution == EXECUTION


@pytest.mark.parametrize(("key", "body"), [("uploads/driver-17/", b""), ("uploads/a/b/", b"")])
def test_the_marker_of_a_folder_is_no_photo(stack: Stack, classify: Function, key: str, body: bytes) -> None:
    photo = stack.upload(body, key=key)
    with pytest.raises(FolderMarker, match="ends in a slash"):
        classify(photo=photo.as_state())
    assert stack.find_record(photo) is None


def test_a_photo_whose_name_ends_in_a_slash_is_classified(stack: Stack, classify: Function) -> None:
    assert classify(photo=stack.upload(key="uploads/driver-17/bike/").as_state())["outcome"] == "decided"


def test_a_photo_uploaded_again_with_other_content_is_another_photo(
    stack: Stack, classify: Function, assign_bay: Function
) -> None:
    first = stack.upload()
    assign_bay(photo=first.as_state(), vehicle="bicycle", confidence=0.9, model_version="m", decided_by="model")
    second = stack.upload(JPEG + b"!")
    assert classify(photo=second.as_state())["outcome"] == "decided"


@pytest.mark.parametrize(
    "key", ["uploads/d/a b+c.jpg", 'uploads/d/"quoted".jpg', "uploads/d/Rädle.jpg", "uploads/d/a\\b.jpg"]
)
def test_a_key_may_have_any_characters(stack: Stack, classify: Function, key: str) -> None:
    photo = stack.upload(key=key)
    assert classify(photo=photo.as_state())["photo"]["key"] == key


def test_a_deleted_photo_is_missing(stack: Stack, classify: Function) -> None:
    photo = stack.upload()
    stack.delete(photo)
    with pytest.raises(PhotoMissing, match="deleted"):
        classify(photo=photo.as_state())
    with pytest.raises(PhotoMissing, match="deleted"):
        classify(photo=without_etag(photo))


def test_a_photo_in_a_bucket_that_does_not_exist_is_missing(classify: Function) -> None:
    with pytest.raises(PhotoMissing):
        classify(photo={"bucket": "no-such-bucket", "key": "uploads/d/a.jpg", "etag": "0"})


def test_a_photo_overwritten_since_its_event_is_missing(stack: Stack, classify: Function, model: ModelServer) -> None:
    first = stack.upload()
    stack.upload(JPEG + b"!")
    with pytest.raises(PhotoMissing, match="overwritten"):
        classify(photo=first.as_state())
    assert model.received == []


def test_an_overwritten_photo_is_detected_when_s3_ignores_if_match(
    stack: Stack, classify: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = stack.upload()
    stack.upload(JPEG + b"!")
    s3 = client("s3")
    real = s3.get_object
    monkeypatch.setattr(s3, "get_object", lambda Bucket, Key, IfMatch: real(Bucket=Bucket, Key=Key))
    with pytest.raises(PhotoMissing, match="overwritten"):
        classify(photo=first.as_state())


def test_an_error_of_s3_is_not_reported_as_a_missing_photo(stack: Stack, classify: Function, fail_call: Any) -> None:
    fail_call(client("s3"), "get_object")
    photo = stack.upload()
    with pytest.raises(PhotoUnavailable, match=f"did not return {photo}: InternalError"):
        classify(photo=photo.as_state())


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "empty"),
        (b"plain text", "not a JPEG"),
        (b"GIF89a....", "not a JPEG"),
        (b"\0\0\0\x18ftypisom", "not a JPEG"),
    ],
)
def test_a_file_that_is_not_an_image_is_unreadable_whatever_its_suffix(
    stack: Stack, classify: Function, model: ModelServer, body: bytes, message: str
) -> None:
    with pytest.raises(UnreadablePhoto, match=message):
        classify(photo=stack.upload(body).as_state())
    assert model.received == []


BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"mif1", b"msf1", b"heim", b"heis", b"avif", b"avis")


@pytest.mark.parametrize(
    "body",
    [
        JPEG,
        b"\x89PNG\r\n\x1a\nrest",
        b"RIFF\x10\x00\x00\x00WEBPrest",
        *(b"\0\0\0\x18ftyp" + brand + b"rest" for brand in BRANDS),
    ],
)
def test_jpeg_png_webp_heic_and_avif_are_photos(stack: Stack, classify: Function, body: bytes) -> None:
    assert classify(photo=stack.upload(body).as_state())["outcome"] == "decided"


def test_a_photo_over_20_mb_is_refused_before_its_bytes_are_read(
    stack: Stack, classify: Function, model: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = stack.upload(JPEG.ljust(LARGEST_PHOTO_BYTES + 1, b"\0"))
    monkeypatch.setattr("botocore.response.StreamingBody.read", lambda *_: pytest.fail("the body was read"))
    with pytest.raises(PhotoTooLarge, match="20,971,521 bytes"):
        classify(photo=photo.as_state())
    assert model.received == []


@pytest.mark.parametrize(
    ("photo", "message"),
    [
        (None, "no photo"),
        ({"bucket": UPLOADS}, "photo.key"),
        ({"bucket": "", "key": "a"}, "photo.bucket"),
        ({"bucket": UPLOADS, "key": "a", "etag": 7}, "photo.etag"),
        ({"bucket": UPLOADS, "key": "a", "size": -1}, "photo.size"),
    ],
)
def test_the_error_for_an_input_without_a_photo_names_the_missing_field(
    classify: Function, photo: Any, message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        classify(photo=photo)


def test_a_function_without_its_environment_names_every_missing_variable(
    function: Callable[[str], Function], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PHOTO_TABLE")
    monkeypatch.setenv("ENDPOINT_NAME", "")
    with pytest.raises(InvalidSettings, match="ENDPOINT_NAME is not set; PHOTO_TABLE is not set"):
        function("classify_photo")


def test_a_confident_photo_takes_one_call_of_s3_two_of_dynamodb_and_one_event(stack: Stack, classify: Function) -> None:
    photo = stack.upload()
    calls: list[str] = []

    def record_call(model: Any, **_: Any) -> None:
        calls.append(model.name)

    clients = [client("s3"), client("dynamodb"), client("events"), client("ssm")]
    classify(photo=stack.upload(key="uploads/driver-17/earlier.jpg").as_state())
    for one in clients:
        one.meta.events.register("before-call", record_call)
    classify(photo=photo.as_state())
    for one in clients:
        one.meta.events.unregister("before-call", record_call)
    assert calls == ["GetObject", "UpdateItem", "PutEvents", "UpdateItem"]


def test_statistics_of_the_image_are_kept_in_the_record_and_nowhere_else(
    stack: Stack, classify: Function, model: ModelServer
) -> None:
    image = {"brightness": 0.42, "sharpness": 0.031, "width": 4000, "height": 3000}
    answers = []
    for measured in (image, None):
        model.set_probabilities(bicycle=0.97, motorcycle=0.02, other=0.01)
        answer = json.loads(model.body)
        model.set_answer(answer | {"image": measured} if measured else answer)
        photo = stack.upload(key=f"uploads/driver-17/{measured is None}.jpg")
        answers.append(classify(photo=photo.as_state()))
        assert stack.record(photo).image == measured
    assert "brightness" not in json.dumps([answers, stack.published()])
