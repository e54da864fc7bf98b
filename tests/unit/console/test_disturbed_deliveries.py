"""Deliveries about photos that were deleted, beside objects that anybody wrote, and while AWS fails."""

import io
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from console.answers import choices
from console.aws_errors import explain
from console.delivery import Delivery
from console.desk import Desk
from console.labels import Label
from console.leases import Lease
from console.photos import SIZES, PhotoNotShown, Photos
from console.session import DELETED, ROUTED, Session
from deploy.outputs import Deployed
from tests.support.hostile_photos import encoded, noise
from tests.support.reviewers import reviewer as named
from tests.unit import model_stage
from tests.unit.console.review_requests import FakeAws, depth, keys, labels, send, unreachable
from tests.unit.console.test_delivery import ConsoleProcess, answer


@pytest.fixture
def sender(stage: Deployed) -> ConsoleProcess:
    send(stage, 1)
    return ConsoleProcess(stage, FakeAws())


def test_an_answer_about_a_photo_that_was_forgotten_writes_and_sends_nothing(
    stage: Deployed, sender: ConsoleProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Photos, "_read", lambda *_: encoded(noise(96, 64), "JPEG"))
    lease = sender.receive()
    photo = lease.request.photo
    for size in SIZES:
        sender.photos.jpeg(photo, size)
    sender.aws.stepfunctions.error = unreachable()
    delayed = answer(lease)
    with pytest.raises(type(unreachable())):
        sender.delivery.deliver(delayed)
    forget(stage)
    sender.aws.stepfunctions.error = None
    # The second one was saved before.
    for one in (answer(lease), delayed):
        outcome = sender.delivery.deliver(one)
        assert (outcome.kind, outcome.message[:22]) == (DELETED, "This photo was deleted")
    assert keys(stage, "") == []
    assert sender.aws.stepfunctions.outputs == {}
    assert sender.aws.events.details == []
    assert depth(stage.review_queue_url) == (0, 0)

    def deleted(*_: Any) -> bytes:
        raise PhotoNotShown("This photo was deleted.")

    monkeypatch.setattr(Photos, "_read", deleted)
    for size in SIZES:
        with pytest.raises(PhotoNotShown):
            sender.photos.jpeg(photo, size)
    with pytest.raises(PhotoNotShown):
        sender.photos.picture(photo)


def forget(stage: Deployed) -> None:
    """Delete what is stored about photo 1, as `make forget` does while the console holds its message."""
    for key in keys(stage, ""):
        model_stage.aws("s3").delete_object(Bucket=stage.ml_bucket, Key=key)
    key = {"photo_id": {"S": model_stage.photo(1).photo_id}}
    model_stage.aws("dynamodb").delete_item(TableName=stage.photo_table, Key=key)


def plant(stage: Deployed, lease: Lease, **changed: Any) -> None:
    """Write a label about the leased photo under the id of a reviewer who did not see it."""
    forged = Label.of(lease.request, "motorcycle", named("mallory"), datetime.now(UTC), "planted")
    content = {**json.loads(forged.as_json()), **changed}
    put = {"Bucket": stage.ml_bucket, "Key": f"labels/{forged.photo_id}/mallory/1.json"}
    model_stage.aws("s3").put_object(**put, Body=json.dumps(content).encode())


@pytest.mark.parametrize("changed", [{"token_hash": "0" * 64}, {"vehicle": "rocket"}], ids=str)
def test_a_planted_label_without_a_request_or_a_known_answer_is_no_answer(
    stage: Deployed, sender: ConsoleProcess, changed: dict[str, Any]
) -> None:
    lease = sender.receive()
    record = sender.records.get(lease.request.photo.photo_id)
    assert record
    plant(stage, lease, **changed)
    assert sender.delivery.find_answer(lease.request, record) is None
    name_answer(stage, lease, "mallory")
    assert sender.delivery.find_answer(lease.request, record) is None
    assert sender.deliver(lease).kind == ROUTED
    assert sender.aws.stepfunctions.outputs["token-1"]["reviewer"] == "ada"


def name_answer(stage: Deployed, lease: Lease, reviewer: str) -> None:
    """Write that the label of a reviewer counts for the request, before anybody else does."""
    key = object_key(lease, "answer")
    content = json.dumps({"label": f"labels/{lease.request.photo.photo_id}/{reviewer}/1.json"})
    model_stage.aws("s3").put_object(Bucket=stage.ml_bucket, Key=key, Body=content.encode())


def object_key(lease: Lease, name: str) -> str:
    request = lease.request
    return f"reviews/{request.requested_at:%Y/%m/%d}/{request.photo.photo_id}-{request.token_hash[:16]}.{name}.json"


@pytest.mark.parametrize("named_key", ["\ud800", "x" * 1500, "retraining/x", 5, None])
def test_an_object_that_names_no_key_of_a_label_does_not_stop_a_delivery(
    stage: Deployed, sender: ConsoleProcess, named_key: Any
) -> None:
    lease = sender.receive()
    body = json.dumps({"label": named_key}).encode()
    model_stage.aws("s3").put_object(Bucket=stage.ml_bucket, Key=object_key(lease, "answer"), Body=body)
    assert sender.deliver(lease).kind == ROUTED
    assert "token-1" in sender.aws.stepfunctions.outputs


@pytest.mark.parametrize("content", ["x", '{"label": "labels/another"}', "the label"])
def test_nobody_can_suppress_the_event_of_an_answer(stage: Deployed, sender: ConsoleProcess, content: str) -> None:
    lease = sender.receive()
    if content == "the label":
        content = json.dumps({"label": f"labels/{lease.request.photo.photo_id}/ada/1.json"})
    put = {"Bucket": stage.ml_bucket, "Key": object_key(lease, "done")}
    model_stage.aws("s3").put_object(**put, Body=content.encode())
    assert sender.deliver(lease).kind == ROUTED
    assert [event["accepted"] for event in sender.aws.events.details] == [True]


def s3_error(code: str, status: int) -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": "x"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "GetObject")


@pytest.mark.parametrize(("failures", "picture"), [(2, "1.png"), (3, None)])
def test_a_photo_that_s3_does_not_return_is_read_again_before_its_label_loses_the_picture(
    stage: Deployed, sender: ConsoleProcess, monkeypatch: pytest.MonkeyPatch, failures: int, picture: str | None
) -> None:
    errors = [s3_error("SlowDown", 503)] * failures
    real, content = sender.aws.s3.get_object, encoded(noise(96, 64), "JPEG")

    def get(**named: Any) -> Any:
        if named["Bucket"] != stage.uploads_bucket:
            return real(**named)
        if errors:
            raise errors.pop()
        return {"ContentLength": len(content), "Body": io.BytesIO(content)}

    monkeypatch.setattr(sender.aws.s3, "get_object", get)
    one = answer(sender.receive())
    session = Session(named("ada"), answers=[one])
    for _ in range(2):
        assert not sender.delivery.try_deliver(session, one)
        assert labels(stage) == {}
    assert sender.delivery.try_deliver(session, one)
    (saved,) = labels(stage).values()
    assert saved["picture"] == picture


def test_a_message_that_cannot_be_deleted_does_not_repeat_the_events(
    stage: Deployed, sender: ConsoleProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = sender.receive()
    sender.reviews.claim(lease.request.id, sender.save(lease))
    second = answer(replace(lease, id="second"), "motorcycle", "ben")

    def fail(*_: Any) -> None:
        raise unreachable()

    monkeypatch.setattr(sender.leases, "delete", fail)
    for _ in range(4):
        with pytest.raises(type(unreachable())):
            sender.delivery.deliver(second)
    sent = [(event["reviewer"], event["accepted"]) for event in sender.aws.events.details]
    assert sent == [("ada", True), ("ben", False)]


@pytest.mark.parametrize(
    "changed",
    [
        {"requested_at": "0001-01-01T00:00:00+23:59"},
        {"vehicle": "\ud800"},
        {"vehicle": "rocket"},
        {"seconds": float("nan")},
        {"token_hash": "0" * 64},
    ],
    ids=str,
)
def test_a_planted_object_neither_answers_nor_hides_a_request(
    stage: Deployed, sender: ConsoleProcess, changed: dict[str, Any]
) -> None:
    lease = sender.receive()
    plant(stage, lease, **changed)
    sender.leases.give_back(lease)
    with Desk(stage, sender.aws, choices()) as desk:
        (shown,) = desk.take(desk.open_session(named("ada")))
    assert shown.request.photo == lease.request.photo
    assert sender.aws.stepfunctions.outputs == {}
    assert depth(stage.review_dead_letter_queue_url) == (0, 0)


def test_a_label_that_s3_does_not_return_to_others_does_not_hide_its_request(
    stage: Deployed, sender: ConsoleProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = sender.receive()
    plant(stage, lease)
    sender.leases.give_back(lease)
    real = sender.aws.s3.get_object

    def get(**named: Any) -> Any:
        if "mallory" in named["Key"]:
            raise s3_error("InvalidObjectState", 403)
        return real(**named)

    monkeypatch.setattr(sender.aws.s3, "get_object", get)
    with Desk(stage, sender.aws, choices()) as desk:
        assert len(desk.take(desk.open_session(named("ada")))) == 1


def test_a_request_about_a_photo_that_was_forgotten_is_not_shown(stage: Deployed, sender: ConsoleProcess) -> None:
    forget(stage)
    with Desk(stage, sender.aws, choices()) as desk:
        assert desk.take(desk.open_session(named("ada"))) == []
    assert depth(stage.review_queue_url) == (0, 0)


@pytest.mark.parametrize("error", [s3_error("AccessDenied", 403), OverflowError("date value out of range")], ids=str)
def test_a_request_that_fails_goes_back_to_the_queue_and_the_error_names_its_photo(
    stage: Deployed, sender: ConsoleProcess, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(Delivery, "find_answer", fail)
    with Desk(stage, sender.aws, choices()) as desk:
        for _ in range(8):
            with pytest.raises(type(error)) as raised:
                desk.take(desk.open_session(named("ada")))
            error.__traceback__ = None
        assert model_stage.photo(1).photo_id in explain(raised.value)
    assert sum(depth(stage.review_queue_url)) == 1
    assert depth(stage.review_dead_letter_queue_url) == (0, 0)
