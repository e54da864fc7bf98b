"""Messages of the unrouted queue that come from EventBridge and Lambda, and messages that nothing understands."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

import events
from console.aws import Aws
from console.failed_messages import FailedMessage
from console.failed_requests import FailedRequests, Replayed, Result
from deploy.outputs import Deployed
from tests.support.failed_requests import (
    NOTIFY_FAILURE,
    TOKEN,
    dead_letter,
    depth,
    failed_stage,
    photo,
    send,
    started,
    status_change,
    unrouted_body,
)


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployed]:
    with failed_stage(monkeypatch) as deployed:
        yield deployed


@pytest.fixture
def failed(stage: Deployed) -> FailedRequests:
    return FailedRequests(stage, Aws(), wait_s=0)


def only(failed: FailedRequests) -> FailedMessage:
    (message,) = failed.list_both()[1]
    return message


def replay_one(failed: FailedRequests) -> Replayed:
    (replayed,) = failed.replay()
    return replayed


@pytest.mark.parametrize("transformed", [False, True])
def test_an_upload_that_started_no_execution_gets_one(
    stage: Deployed, failed: FailedRequests, transformed: bool
) -> None:
    event = events.sample("s3_object_created")
    stored = event["detail"]["object"]
    state = {name: stored[name] for name in ("key", "etag", "size", "sequencer")}
    state |= {"bucket": event["detail"]["bucket"]["name"], "uploaded_at": event["time"]}
    dead_letter(stage, stage.classify_photo_arn, "photo-uploaded", {"photo": state} if transformed else event)
    message = only(failed)
    assert message.title == "Upload that did not start an execution"
    assert message.error == "NO_PERMISSIONS: not allowed"
    assert replay_one(failed).result is Result.REPLAYED
    assert list(started(stage.classify_photo_arn).values()) == [{"photo": state}]


@pytest.mark.parametrize(
    ("rule", "body", "trigger"),
    [
        ("retrain-weekly", {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}, "schedule"),
        ("retrain-on-labels", {"trigger": "labels"}, "labels"),
        ("retrain-on-drift", {"source": "scones.vehicles", "detail": {"share": 0.5}}, "drift"),
    ],
)
def test_a_retraining_that_did_not_start_is_started_with_its_trigger(
    stage: Deployed, failed: FailedRequests, rule: str, body: Any, trigger: str
) -> None:
    dead_letter(stage, stage.retrain_model_arn, rule, body)
    dead_letter(stage, stage.retrain_model_arn, rule, body)
    assert [one.result for one in failed.replay()] == [Result.REPLAYED, Result.REMOVED]
    assert list(started(stage.retrain_model_arn).values()) == [{"trigger": trigger}]


def test_a_rollback_is_not_replayed(stage: Deployed, failed: FailedRequests) -> None:
    alarm = events.sample("cloudwatch_alarm_state_change")
    dead_letter(stage, stage.rollback_model_arn, "rollback-on-alarm", alarm)
    replayed = replay_one(failed)
    assert replayed.result is Result.STAYED
    assert "make rollback STAGE=test" in replayed.text
    assert started(stage.rollback_model_arn) == {}


@pytest.mark.parametrize("from_lambda", [False, True])
def test_an_execution_without_a_notice_is_replayed(stage: Deployed, failed: FailedRequests, from_lambda: bool) -> None:
    event = status_change(stage.classify_photo_arn, {"photo": photo().as_state()})
    if from_lambda:
        context = {"condition": "RetriesExhausted", "functionArn": f"{NOTIFY_FAILURE}:$LATEST"}
        response = {"errorType": "NoticeNotSent", "errorMessage": "SNS did not accept the notice"}
        record = {"version": "1.0", "requestContext": context, "requestPayload": event, "responsePayload": response}
        send(stage.unrouted_queue_url, record)
    else:
        dead_letter(stage, NOTIFY_FAILURE, "execution-failed", event)
    message = only(failed)
    assert message.title == "Execution failed, without a notice"
    assert message.error.startswith("PhotoUnrouted: ")
    assert message.photo == photo()
    assert replay_one(failed).result is Result.REPLAYED


@pytest.mark.parametrize(("workflow", "command"), [("retrain", "make retrain"), ("rollback", "make rollback")])
def test_a_retraining_or_rollback_without_a_notice_is_shown_with_its_command(
    stage: Deployed, failed: FailedRequests, workflow: str, command: str
) -> None:
    machine = getattr(stage, f"{workflow}_model_arn")
    dead_letter(stage, NOTIFY_FAILURE, "execution-failed", status_change(machine, {"trigger": "schedule"}))
    assert f"`{command} STAGE=test`" in replay_one(failed).text
    assert started(machine) == {}


@pytest.mark.parametrize(
    "body",
    [
        "garbage",
        "[1, 2]",
        '"text"',
        "{}",
        '{"photo": {"bucket": 1}}',
        '{"photo": null, "detail": {"bucket": 1}}',
        '{"requestPayload": {"detail": "x"}}',
    ],
)
def test_any_other_message_stays_and_can_be_removed(stage: Deployed, failed: FailedRequests, body: str) -> None:
    message_id = send(stage.unrouted_queue_url, body)
    assert f"make redrive STAGE=test DROP={message_id}" in replay_one(failed).text
    assert failed.remove(message_id).message_id == message_id
    assert depth(stage.unrouted_queue_url) == (0, 0)


@pytest.mark.parametrize("target", ["classify_photo_arn", "retrain_model_arn", ""])
def test_a_dead_letter_with_an_unusable_body_or_target_stays(
    stage: Deployed, failed: FailedRequests, target: str
) -> None:
    dead_letter(stage, getattr(stage, target) if target else "arn:aws:sqs:another", "another-rule", {"detail": {}})
    assert replay_one(failed).result is Result.STAYED


def test_a_task_token_is_not_shown(stage: Deployed, failed: FailedRequests) -> None:
    nested = json.dumps({"task_token": TOKEN})
    cause = f'the input was {{"TaskToken": "{TOKEN}"}}'
    body = unrouted_body() | {
        "error": {"Error": "States.Runtime", "Cause": cause},
        "more": [{"taskToken": TOKEN}, nested],
    }
    send(stage.unrouted_queue_url, body)
    send(stage.unrouted_queue_url, json.dumps(body)[:-1])
    for message in failed.list_both()[1]:
        assert TOKEN not in str(message)
        assert TOKEN not in message.body
