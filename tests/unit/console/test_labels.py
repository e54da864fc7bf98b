"""Labels in S3: one object per answer, in a folder of its reviewer, written once."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import jsonschema
import pytest
from botocore.exceptions import ClientError

import events
from console.aws import Aws
from console.labels import Label, Labels
from console.pictures import Picture
from console.review_request import ReviewRequest, parse_review_request
from deploy.outputs import Deployed
from functions.shared.label import NotALabel
from tests.support.reviewers import reviewer as named
from tests.unit import model_stage
from tests.unit.console.review_requests import BUCKET, NOW, all_labels, body, read_json

PHOTO_ID = model_stage.photo(17).photo_id
PICTURE = Picture(b"picture", ".jpg", "image/jpeg")


def request() -> ReviewRequest:
    return parse_review_request(body(), bucket=BUCKET, sent_at=NOW)


def label(vehicle: str, reviewer: str, answer_id: str) -> Label:
    return Label.of(request(), vehicle, named(reviewer), NOW, answer_id)


def labels(stage: Deployed) -> Labels:
    return Labels(stage.ml_bucket, Aws().s3)


def keys(stage: Deployed) -> set[str]:
    found = model_stage.aws("s3").list_objects_v2(Bucket=stage.ml_bucket, Prefix="labels/").get("Contents", [])
    return {item["Key"].removeprefix(f"labels/{PHOTO_ID}/") for item in found}


def test_a_label_has_the_time_to_the_answer_and_whether_it_agrees() -> None:
    one = Label.of(request(), "bicycle", named("ada"), NOW, "1")
    other = Label.of(request(), "motorcycle", named("ben"), NOW + timedelta(days=1), "2")
    assert (one.seconds, one.agrees, other.agrees) == (60.0, True, False)
    assert (one.reviewer, one.reviewer_name) == ("ada", "Ada")


def test_each_answer_is_a_label_of_its_reviewer_with_the_next_number(stage: Deployed) -> None:
    store = labels(stage)
    for reviewer, answer_id in (("ada", "1"), ("ben", "2"), ("ada", "3")):
        store.save(label("bicycle", reviewer, answer_id), PICTURE)
    expected = ("ada/1", "ada/2", "ben/1")
    assert keys(stage) == {f"{name}.{suffix}" for name in expected for suffix in ("json", "jpg")}
    found = [(content["reviewer"], content["picture"], content["answer_id"]) for _, content in all_labels(stage)]
    assert sorted(found) == [("ada", "1.jpg", "1"), ("ada", "2.jpg", "3"), ("ben", "1.jpg", "2")]


def test_a_saved_label_and_its_event_keep_their_contracts(stage: Deployed) -> None:
    identity = "AROAEXAMPLEID:ana.b+c=d@example.org"
    saved = labels(stage).save(label("bicycle", identity, "1"), PICTURE)
    content = read_json(stage, f"labels/{PHOTO_ID}/{identity}/1.json")
    for schema, document in (
        (events.contract("label"), content),
        (events.contract("label"), json.loads(label("unusable", "ada", "2").as_json())),
        (events.schema("Review Completed"), saved.as_event(accepted=True)),
    ):
        jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker()).validate(document)
    assert labels(stage).get(saved.key) == saved


def test_saving_an_answer_again_changes_nothing(stage: Deployed) -> None:
    store = labels(stage)
    first = store.save(label("bicycle", "ada", "1"), PICTURE)
    assert store.save(label("bicycle", "ada", "1"), None) == first
    assert store.save(label("bicycle", "ada", "1"), Picture(b"another", ".png", "image/png")) == first
    assert keys(stage) == {"ada/1.json", "ada/1.jpg"}


def test_the_picture_is_there_before_the_label(stage: Deployed) -> None:
    store, written = labels(stage), []
    put = store._s3.put_object

    def record(**named: Any) -> Any:
        written.append((named["Key"].rpartition("/")[2], named["IfNoneMatch"]))
        return put(**named)

    store._s3.put_object = record  # type: ignore[method-assign]
    store.save(label("bicycle", "ada", "1"), PICTURE)
    assert written == [("1.jpg", "*"), ("1.json", "*")]


def test_a_save_that_stopped_after_the_picture_is_completed(stage: Deployed) -> None:
    put = {"Bucket": stage.ml_bucket, "Key": f"labels/{PHOTO_ID}/ada/1.jpg"}
    model_stage.aws("s3").put_object(**put, Body=PICTURE.content)
    assert labels(stage).save(label("bicycle", "ada", "1"), PICTURE).number == 1
    assert keys(stage) == {"ada/1.json", "ada/1.jpg"}


def test_a_picture_of_other_bytes_is_not_taken_for_that_of_the_label(stage: Deployed) -> None:
    put = {"Bucket": stage.ml_bucket, "Key": f"labels/{PHOTO_ID}/ada/1.jpg"}
    model_stage.aws("s3").put_object(**put, Body=b"another picture")
    saved = labels(stage).save(label("bicycle", "ada", "1"), PICTURE)
    assert (saved.key.rpartition("/")[2], saved.picture) == ("2.json", "2.jpg")


def test_two_processes_of_one_reviewer_write_two_labels(stage: Deployed) -> None:
    stores = [labels(stage) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        saved = list(pool.map(lambda n: stores[n].save(label("bicycle", "ada", str(n)), PICTURE), range(4)))
    assert sorted(one.number for one in saved) == [1, 2, 3, 4]
    assert sorted(content["answer_id"] for _, content in all_labels(stage)) == ["0", "1", "2", "3"]


def test_an_object_that_is_not_a_label_keeps_its_number(stage: Deployed) -> None:
    key = f"labels/{PHOTO_ID}/ada/1.json"
    model_stage.aws("s3").put_object(Bucket=stage.ml_bucket, Key=key, Body=b"[1, 2")
    store = labels(stage)
    assert store.find_first(PHOTO_ID, lambda label: True) is None
    assert store.save(label("bicycle", "ada", "1")).number == 2
    found = store.find_first(PHOTO_ID, lambda label: True)
    assert found
    assert found.answer_id == "1"


@pytest.mark.parametrize(
    "key",
    [
        f"labels/{PHOTO_ID}/ben/1.json",
        f"labels/{'0' * 32}/ada/1.json",
        f"labels/{PHOTO_ID}/ada/0.json",
        f"labels/{PHOTO_ID}/ada/01.json",
        f"labels/{PHOTO_ID}/ada/{'9' * 5000}.json",
        f"labels/{PHOTO_ID}/ada/x/1.json",
        f"labels/{PHOTO_ID}/ada/1.jpg",
        f"labels/2026/11/23/{PHOTO_ID}.json",
    ],
)
def test_a_label_at_the_key_of_another_photo_or_reviewer_is_none(key: str) -> None:
    content = label("bicycle", "ada", "1").as_json()
    assert Label.from_json(content, f"labels/{PHOTO_ID}/ada/1.json").reviewer == "ada"
    with pytest.raises(NotALabel):
        Label.from_json(content, key)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[" * 200_000,
        b"[1, 2]",
        b"{}",
        b"\xff",
        *(
            json.dumps({**json.loads(label("bicycle", "ada", "1").as_json()), **changes}).encode()
            for changes in (
                {"vehicle": 3},
                {"photo": "uploads"},
                {"reviewer": ["ada"]},
                {"requested_at": "today"},
                {"requested_at": "2026-11-23T07:59:00"},
                {"token_hash": "../../models"},
                {"number": 7},
                {"opinions": []},
                {"vehicle": "\ud800"},
                {"seconds": float("nan")},
                {"requested_at": "0001-01-01T00:00:00+23:59"},
                {"driver_id": "somebody else"},
                {"picture": "7.png"},
            )
        ),
    ],
    ids=lambda content: content[:20],
)
def test_a_content_that_is_not_a_label_is_none(content: bytes) -> None:
    with pytest.raises(NotALabel):
        Label.from_json(content, f"labels/{PHOTO_ID}/ada/1.json")


def test_a_label_that_is_too_long_is_none(stage: Deployed) -> None:
    long = replace(label("bicycle", "ada", "1"), number=1, reason="x" * 100_000)
    model_stage.aws("s3").put_object(Bucket=stage.ml_bucket, Key=long.key, Body=long.as_json())
    assert labels(stage).get(long.key) is None


@pytest.mark.parametrize(
    "refused", [("InvalidObjectState", 403), ("InvalidRequest", 400), ("AccessDenied", 403)], ids=str
)
def test_an_object_that_s3_refuses_to_return_is_no_label(
    stage: Deployed, monkeypatch: pytest.MonkeyPatch, refused: tuple[str, int]
) -> None:
    store = labels(stage)
    saved = store.save(label("bicycle", "ada", "1"))
    monkeypatch.setattr(store._s3, "get_object", raising(*refused))
    assert store.get(saved.key) is None
    monkeypatch.setattr(store._s3, "get_object", raising("SlowDown", 503))
    with pytest.raises(ClientError):
        store.get(saved.key)


def raising(code: str, status: int) -> Any:
    response: Any = {"Error": {"Code": code, "Message": "x"}, "ResponseMetadata": {"HTTPStatusCode": status}}

    def call(**_: Any) -> None:
        raise ClientError(response, "AnyCall")

    return call


@pytest.mark.parametrize(("conflicts", "written"), [(2, True), (3, False)])
def test_a_write_that_conflicts_with_another_one_is_repeated(
    stage: Deployed, monkeypatch: pytest.MonkeyPatch, conflicts: int, written: bool
) -> None:
    store = labels(stage)
    put, left = store._s3.put_object, [None] * conflicts

    def conflict(**named: Any) -> Any:
        if left:
            left.pop()
            raising("ConditionalRequestConflict", 409)()
        return put(**named)

    monkeypatch.setattr(store._s3, "put_object", conflict)
    if written:
        assert store.save(label("bicycle", "ada", "1")).number == 1
    else:
        with pytest.raises(ClientError, match="ConditionalRequestConflict"):
            store.save(label("bicycle", "ada", "1"))
    assert keys(stage) == ({"ada/1.json"} if written else set())
