"""Failed requests: what each kind of message is, and how it is listed, replayed and removed."""

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from threading import Event
from typing import Any

import pytest
from botocore.exceptions import ClientError

from console import failed_requests
from console.aws import Aws
from console.failed_messages import Action, FailedMessage
from console.failed_requests import FailedRequests, MessageNotFound, NotRemoved, Replayed, Result
from console.held_messages import HeldMessages
from deploy.outputs import Deployed
from tests.support.failed_requests import (
    BUCKET,
    EXECUTION,
    announced,
    client,
    depth,
    failed_stage,
    photo,
    send,
    started,
    unrouted_body,
)
from tests.unit.console.review_requests import body as review_body


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployed]:
    with failed_stage(monkeypatch) as deployed:
        yield deployed


@pytest.fixture
def aws() -> Aws:
    return Aws()


@pytest.fixture
def failed(stage: Deployed, aws: Aws) -> FailedRequests:
    return FailedRequests(stage, aws, wait_s=0)


def listed(failed: FailedRequests) -> list[FailedMessage]:
    review, unrouted = failed.list_both()
    return [*review, *unrouted]


def only(failed: FailedRequests) -> FailedMessage:
    (message,) = listed(failed)
    return message


def replay_one(failed: FailedRequests) -> Replayed:
    (replayed,) = failed.replay()
    return replayed


# Listing


def test_looking_hides_no_message(stage: Deployed, failed: FailedRequests) -> None:
    for number in range(3):
        send(stage.review_dead_letter_queue_url, review_body(photo=photo(number).as_state()))
        send(stage.unrouted_queue_url, unrouted_body(number))
    assert len(listed(failed)) == len(listed(failed)) == 6
    assert [one.result for one in failed.replay()] == [Result.REPLAYED] * 6


@pytest.mark.parametrize("of_another_person", [False, True])
def test_a_replay_waits_for_the_reading_of_the_list(
    stage: Deployed, failed: FailedRequests, monkeypatch: pytest.MonkeyPatch, of_another_person: bool
) -> None:
    operator = FailedRequests(stage, Aws(), wait_s=0) if of_another_person else failed
    send(stage.unrouted_queue_url, unrouted_body())
    holds, may_end, parse = Event(), Event(), failed_requests.parse_unrouted

    def parse_slowly(*arguments: Any) -> FailedMessage:
        holds.set()
        assert may_end.wait(30)
        return parse(*arguments)

    monkeypatch.setattr("console.failed_requests.parse_unrouted", parse_slowly)
    with ThreadPoolExecutor(2) as pool:
        reading = pool.submit(failed.list_both)
        assert holds.wait(30)
        replaying = pool.submit(operator.replay)
        wait([replaying], timeout=0.5)  # without waiting it would end now, without having seen the message
        may_end.set()
        assert [one.result for one in replaying.result()] == [Result.REPLAYED]
        assert len(reading.result()[1]) == 1


def test_a_message_is_visible_again_after_an_error(
    stage: Deployed, failed: FailedRequests, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(stage.unrouted_queue_url, unrouted_body())

    def crash(*_: Any) -> None:
        raise RuntimeError("on purpose")

    monkeypatch.setattr("console.failed_requests.parse_unrouted", crash)
    with pytest.raises(RuntimeError):
        failed.list_both()
    assert depth(stage.unrouted_queue_url) == (1, 0)


def test_a_message_is_visible_again_when_the_command_is_interrupted(stage: Deployed, failed: FailedRequests) -> None:
    for number in range(3):
        send(stage.unrouted_queue_url, unrouted_body(number))

    def interrupt(_: Replayed) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        failed.replay(progress=interrupt)
    assert depth(stage.unrouted_queue_url) == (2, 0)


def test_a_queue_of_many_messages_is_listed_and_replayed_in_full(stage: Deployed, failed: FailedRequests) -> None:
    for number in range(63):
        send(stage.unrouted_queue_url, unrouted_body(number))
    assert len(listed(failed)) == 63
    assert len(failed.replay()) == 63
    assert depth(stage.unrouted_queue_url) == (0, 0)
    assert len(started(stage.classify_photo_arn)) == 63


def test_a_message_that_sqs_returns_twice_counts_once() -> None:
    class Sqs:
        batches = [["a", "b"], ["b"], ["b", "c"], []]  # noqa: RUF012  # one instance
        released: list[str] = []  # noqa: RUF012

        def receive_message(self, **_: Any) -> dict[str, Any]:
            return {"Messages": [{"MessageId": one, "ReceiptHandle": one} for one in self.batches.pop(0)]}

        def change_message_visibility_batch(self, *, Entries: list[dict[str, Any]], **_: Any) -> None:
            self.released += [entry["ReceiptHandle"] for entry in Entries]

    sqs: Any = Sqs()
    with HeldMessages(sqs, "url", wait_s=0) as held:
        assert [message["MessageId"] for message in held] == ["a", "b", "c"]
    assert sqs.released == ["a", "b", "c"]


def test_a_queue_that_cannot_release_its_messages_is_logged(
    stage: Deployed, aws: Aws, failed: FailedRequests, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    send(stage.unrouted_queue_url, unrouted_body())

    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "InternalError", "Message": "on purpose"}}, "ChangeMessageVisibility")

    monkeypatch.setattr(aws.sqs, "change_message_visibility_batch", refuse)
    with caplog.at_level(logging.WARNING):
        assert len(listed(failed)) == 1
    assert "hidden for up to 120 seconds" in caplog.text


# Review requests


def test_a_review_request_goes_back_to_the_reviewers(stage: Deployed, failed: FailedRequests) -> None:
    body = review_body()
    send(stage.review_dead_letter_queue_url, body)
    message = only(failed)
    assert (message.action, message.photo is not None) == (Action.REVIEW, True)
    assert "secret-token" not in message.body
    assert replay_one(failed).text == "sent back to the reviewers"
    assert depth(stage.review_dead_letter_queue_url) == (0, 0)
    (sent,) = client("sqs").receive_message(QueueUrl=stage.review_queue_url)["Messages"]
    assert sent["Body"] == body


def test_a_malformed_review_request_stays_with_the_reason(stage: Deployed, failed: FailedRequests) -> None:
    message_id = send(stage.review_dead_letter_queue_url, review_body(reason=None))
    replayed = replay_one(failed)
    assert replayed.result is Result.STAYED
    assert "reason is missing or not text" in replayed.text
    assert f"make redrive STAGE=test DROP={message_id}" in replayed.text
    assert depth(stage.review_dead_letter_queue_url) == (1, 0)


# Photos


def test_a_photo_gets_a_new_execution(stage: Deployed, failed: FailedRequests) -> None:
    message_id = send(stage.unrouted_queue_url, unrouted_body())
    message = only(failed)
    assert message.title == "Photo not routed"
    assert message.error == "RecordUnavailable: DynamoDB did not answer"
    assert message.photo == photo()
    assert replay_one(failed).text == f"execution redrive-{message_id} started"
    state = {"bucket": BUCKET, "key": photo().key, "etag": photo().etag, "size": 1000}
    assert started(stage.classify_photo_arn) == {f"redrive-{message_id}": {"photo": state}}
    assert depth(stage.unrouted_queue_url) == (0, 0)


def test_a_photo_that_is_replayed_keeps_the_time_of_its_upload(stage: Deployed, failed: FailedRequests) -> None:
    body = unrouted_body()
    body["photo"]["uploaded_at"] = "2026-11-23T02:35:35Z"
    message_id = send(stage.unrouted_queue_url, body)
    assert replay_one(failed).result is Result.REPLAYED
    given = started(stage.classify_photo_arn)[f"redrive-{message_id}"]["photo"]
    assert given["uploaded_at"] == "2026-11-23T02:35:35Z"


def test_a_photo_without_an_etag_is_replayed_as_it_is(stage: Deployed, failed: FailedRequests) -> None:
    given = {"photo": {"bucket": BUCKET, "key": "partners/a.jpg"}}
    send(stage.unrouted_queue_url, {**given, "error": {"Error": "x", "Cause": "y"}, "execution": EXECUTION})
    assert replay_one(failed).result is Result.REPLAYED
    assert list(started(stage.classify_photo_arn).values()) == [given]


def test_a_photo_that_has_its_outcome_by_now_is_only_removed(stage: Deployed, failed: FailedRequests) -> None:
    announced(stage)
    send(stage.unrouted_queue_url, unrouted_body())
    replayed = replay_one(failed)
    assert (replayed.result, replayed.text) == (
        Result.REMOVED,
        "removed: the photo has its outcome by now (Bay A)",
    )
    assert started(stage.classify_photo_arn) == {}
    assert depth(stage.unrouted_queue_url) == (0, 0)


def test_two_messages_about_one_photo_start_one_execution(stage: Deployed, failed: FailedRequests) -> None:
    send(stage.unrouted_queue_url, unrouted_body())
    send(stage.unrouted_queue_url, unrouted_body())
    assert sorted(one.result.value for one in failed.replay()) == ["removed", "replayed"]
    assert len(started(stage.classify_photo_arn)) == 1


def test_a_photo_that_fails_again_during_the_command_stays(
    stage: Deployed, aws: Aws, failed: FailedRequests, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(stage.unrouted_queue_url, unrouted_body())
    start = aws.stepfunctions.start_execution

    def start_and_fail(**request: Any) -> Any:
        answer = start(**request)
        send(stage.unrouted_queue_url, unrouted_body(execution=answer["executionArn"]))
        return answer

    monkeypatch.setattr(aws.stepfunctions, "start_execution", start_and_fail)
    assert [one.result for one in failed.replay()] == [Result.REPLAYED, Result.STAYED]
    assert depth(stage.unrouted_queue_url) == (1, 0)


def test_a_message_whose_execution_was_started_before_is_deleted(
    stage: Deployed, aws: Aws, failed: FailedRequests, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(stage.unrouted_queue_url, unrouted_body())

    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "ExecutionAlreadyExists", "Message": "exists"}}, "StartExecution")

    monkeypatch.setattr(aws.stepfunctions, "start_execution", refuse)
    assert replay_one(failed).result is Result.REPLAYED
    assert depth(stage.unrouted_queue_url) == (0, 0)


def test_an_error_of_one_message_does_not_stop_the_others(
    stage: Deployed, aws: Aws, failed: FailedRequests, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(stage.review_dead_letter_queue_url, review_body())
    send(stage.unrouted_queue_url, unrouted_body())

    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "not allowed"}}, "SendMessage")

    monkeypatch.setattr(aws.sqs, "send_message", refuse)
    first, second = failed.replay()
    assert (first.result, second.result) == (Result.FAILED, Result.REPLAYED)
    assert "AccessDenied" in first.text
    assert depth(stage.review_dead_letter_queue_url) == (1, 0)


# One message


def test_one_message_is_replayed_and_the_others_stay(stage: Deployed, failed: FailedRequests) -> None:
    ids = [send(stage.unrouted_queue_url, unrouted_body(number)) for number in range(12)]
    (replayed,) = failed.replay(ids[11])
    assert replayed.message.message_id == ids[11]
    assert depth(stage.unrouted_queue_url) == (11, 0)


def test_an_unknown_message_is_an_error(stage: Deployed, failed: FailedRequests) -> None:
    send(stage.unrouted_queue_url, unrouted_body())
    with pytest.raises(MessageNotFound, match="There is no failed message x"):
        failed.replay("x")
    assert depth(stage.unrouted_queue_url) == (1, 0)


def test_a_message_that_can_be_replayed_is_removed_only_by_force(stage: Deployed, failed: FailedRequests) -> None:
    message_id = send(stage.unrouted_queue_url, unrouted_body())
    with pytest.raises(NotRemoved, match=f"make redrive STAGE=test ID={message_id}"):
        failed.remove(message_id)
    assert depth(stage.unrouted_queue_url) == (1, 0)
    failed.remove(message_id, force=True)
    assert depth(stage.unrouted_queue_url) == (0, 0)
