"""NotifyFailure: the notice of each kind of failure, the photo's record, and the unrouted queue."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

import events
from functions.notify_failure.notice import SUBJECT_CHARACTERS, shorten
from functions.shared.aws import client
from functions.shared.errors import InvalidInput
from functions.shared.photo import Photo
from functions.shared.photo_record import CLASSIFIED, ROUTED, UNROUTED
from functions.shared.photo_table import PhotoTable
from functions.shared.running import PHOTO_FORGOTTEN
from functions.shared.times import now
from tests.unit.functions.histories import UNRECORDED, entered, failed
from tests.unit.functions.stack import ANOTHER_EXECUTION, EXECUTION, PHOTOS, TASK_TOKEN, Function, FunctionOutput, Stack

OUTCOME = {"loading_bay": "Bay A", "order_range": "nearby", "execution": ANOTHER_EXECUTION}


@dataclass
class Notices:
    """NotifyFailure with a fake of Step Functions, and what it sent."""

    function: Function
    topic_url: str
    unrouted_url: str
    history: list[dict[str, Any]] = field(default_factory=lambda: list(UNRECORDED))
    described: dict[str, Any] = field(default_factory=dict)

    def __call__(self, workflow: str = "classify-photo", **detail: Any) -> bool:
        event = events.sample("step_functions_execution_status_change")
        event["detail"] |= {
            "executionArn": EXECUTION,
            "stateMachineArn": f"arn:aws:states:eu-west-1:123456789012:stateMachine:scones-test-{workflow}",
            **detail,
        }
        return bool(self.function(**event)["notified"])

    def sent(self) -> list[Mapping[str, Any]]:
        """Return the messages of the topic: `Subject` and `Message`."""
        return _receive(self.topic_url)

    def one(self) -> tuple[str, str]:
        """Return subject and text of the only message."""
        (message,) = self.sent()
        return message["Subject"], message["Message"]

    def queued(self) -> list[Mapping[str, Any]]:
        """Return the bodies of the messages in the unrouted queue."""
        return _receive(self.unrouted_url)


def _receive(url: str) -> list[Mapping[str, Any]]:
    found = client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    return [json.loads(message["Body"]) for message in found]


@pytest.fixture
def notify(stack: Stack, function: Callable[[str], Function], monkeypatch: pytest.MonkeyPatch) -> Notices:
    sqs, sns = client("sqs"), client("sns")
    topic = sns.create_topic(Name="alerts")["TopicArn"]
    subscribed, unrouted = (sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("subscribed", "unrouted"))
    arn = sqs.get_queue_attributes(QueueUrl=subscribed, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    monkeypatch.setenv("STAGE", "test")
    monkeypatch.setenv("ALERT_TOPIC_ARN", topic)
    monkeypatch.setenv("UNROUTED_QUEUE_URL", unrouted)
    notices = Notices(function("notify_failure"), subscribed, unrouted)

    def get_execution_history(**request: Any) -> dict[str, Any]:
        assert request["includeExecutionData"] is False
        return {"events": notices.history[::-1]}

    states = SimpleNamespace(
        get_execution_history=get_execution_history, describe_execution=lambda **_: notices.described
    )
    monkeypatch.setattr(notices.function.module, "stepfunctions", states)
    return notices


@pytest.fixture
def photo(stack: Stack) -> Photo:
    return stack.upload()


@pytest.fixture
def table(stack: Stack) -> PhotoTable:
    return PhotoTable(PHOTOS, client("dynamodb"))


def input_of(photo: Photo, *names: str) -> str:
    state = photo.as_state()
    return json.dumps({"photo": {name: state[name] for name in names or ("bucket", "key", "etag", "size")}})


def test_a_notice_says_which_photo_where_why_and_how_to_replay_it(notify: Notices, photo: Photo) -> None:
    assert notify(input=input_of(photo))
    subject, text = notify.one()
    assert subject == f"test: {photo} is not routed, AssignBay failed"
    assert text.startswith("A photo was not routed. Its driver waits.\n")
    for line in (
        f"Photo:     {photo.photo_id}",
        f"More:      /photos/{photo.photo_id} of the console: make review STAGE=test",
        "Failed in: AssignBay",
        "Error:     RecordUnavailable",
        "Cause:     DynamoDB did not answer",
        "Stage:     test (account 123456789012, eu-west-1)",
        "Workflow:  classify-photo",
        "Execution: first",
        "Ended:     FAILED at 2026-11-23T",
    ):
        assert f"\n{line}" in text
    assert "make redrive STAGE=test\n" in text
    assert "driver-17" not in subject + text


def test_an_execution_that_was_stopped_to_delete_its_photo_is_not_reported(
    notify: Notices, photo: Photo, stack: Stack
) -> None:
    notify.described = {"error": PHOTO_FORGOTTEN}
    assert not notify(input=input_of(photo), status="ABORTED", error=None, cause=None)
    assert stack.find_record(photo) is None
    assert (notify.queued(), notify.sent()) == ([], [])


def test_the_photo_is_recorded_as_unrouted_with_the_error(notify: Notices, photo: Photo, stack: Stack) -> None:
    notify(input=input_of(photo))
    record = stack.record(photo)
    assert (record.status, record.execution, record.notified) == (UNROUTED, EXECUTION, EXECUTION)
    assert record.error == {"Error": "RecordUnavailable", "Cause": "DynamoDB did not answer", "State": "AssignBay"}


def test_the_number_of_restarts_is_kept(notify: Notices, photo: Photo, stack: Stack, table: PhotoTable) -> None:
    table.claim_restart(photo, None, EXECUTION, now(), error={"Error": "x"}, restarts=2)
    notify(input=input_of(photo))
    assert stack.record(photo).restarts == 2


def test_an_event_that_is_delivered_twice_sends_one_notice(notify: Notices, photo: Photo) -> None:
    assert notify(input=input_of(photo))
    assert not notify(input=input_of(photo))
    assert len(notify.sent()) == 1


def test_a_later_execution_of_the_photo_sends_a_notice_of_its_own(notify: Notices, photo: Photo) -> None:
    notify(input=input_of(photo))
    assert notify(input=input_of(photo), executionArn=ANOTHER_EXECUTION)
    assert [message["Message"].count("make redrive") for message in notify.sent()] == [1, 1]


def test_a_photo_that_was_restarted_meanwhile_is_not_sent_to_the_queue(notify: Notices, photo: Photo) -> None:
    table = PhotoTable(PHOTOS, client("dynamodb"))
    table.mark_unrouted(photo, EXECUTION, now(), error={"Error": "any"})
    before = table.get(photo.photo_id)
    table.claim_restart(photo, before, ANOTHER_EXECUTION, now(), error={"Error": "any"}, restarts=1)
    assert notify(input=input_of(photo), status="ABORTED", error=None, cause=None)
    (message,) = notify.sent()
    assert "another one works on the same photo" in message["Message"]
    assert notify.queued() == []


def test_a_photo_that_the_workflow_sent_to_the_queue_is_not_sent_again(notify: Notices, photo: Photo) -> None:
    notify(input=input_of(photo))
    assert notify.queued() == []


@pytest.mark.parametrize(
    ("status", "error", "cause"),
    [
        ("ABORTED", "Aborted", "The execution was stopped."),
        ("TIMED_OUT", "States.Timeout", "The execution exceeded its time limit."),
    ],
)
def test_a_photo_whose_execution_is_stopped_is_sent_to_the_unrouted_queue(
    notify: Notices, photo: Photo, status: str, error: str, cause: str
) -> None:
    notify.history = [entered("ClassifyPhoto"), {"type": "TaskScheduled"}, {"type": f"Execution{status.title()}"}]
    notify(input=input_of(photo), status=status, error=None, cause=None)
    assert notify.queued() == [
        {"photo": photo.as_state(), "error": {"Error": error, "Cause": cause}, "execution": EXECUTION}
    ]
    _, text = notify.one()
    assert f"Ended:     {status}" in text
    assert "Failed in: ClassifyPhoto" in text


def test_a_photo_without_an_etag_in_the_input_is_identified_in_s3(notify: Notices, photo: Photo, stack: Stack) -> None:
    notify(input=input_of(photo, "bucket", "key"))
    assert photo.photo_id in notify.one()[1]
    assert stack.record(photo).status == UNROUTED


def test_an_input_that_the_event_leaves_out_is_read_from_step_functions(notify: Notices, photo: Photo) -> None:
    notify.described = {"input": input_of(photo), "error": "PhotoUnrouted", "cause": "…"}
    notify(input=None, inputDetails={"included": False})
    assert photo.photo_id in notify.one()[1]


def test_an_input_without_a_photo_is_reported_without_a_replay(notify: Notices) -> None:
    notify(input='{"foto": 1}', error="States.Runtime", cause="The JSONPath '$.photo' could not be found")
    subject, text = notify.one()
    assert subject == "test: an execution of classify-photo failed: its input names no photo"
    assert "make redrive" not in text
    assert "$.photo" in text
    assert notify.queued() == []


def test_a_photo_with_an_announced_outcome_needs_no_notice(
    notify: Notices, photo: Photo, stack: Stack, table: PhotoTable, output: Callable[[], FunctionOutput]
) -> None:
    table.record_outcome(photo, ROUTED, ANOTHER_EXECUTION, now(), outcome=OUTCOME)
    table.mark_announced(stack.record(photo), now())
    assert not notify(input=input_of(photo))
    assert notify.sent() == []
    assert [line["message"] for line in output().log] == ["the photo has its outcome"]


def test_a_photo_whose_outcome_was_not_announced_is_reported_as_such(
    notify: Notices, photo: Photo, stack: Stack, table: PhotoTable
) -> None:
    table.record_outcome(photo, ROUTED, EXECUTION, now(), outcome=OUTCOME)
    notify(input=input_of(photo))
    subject, text = notify.one()
    assert subject == f"test: the outcome of {photo} was not announced"
    assert "(sent to Bay A)" in text
    assert "Publish it: make redrive STAGE=test" in text
    assert stack.record(photo).status == ROUTED


def test_a_photo_that_another_execution_works_on_is_not_marked(
    notify: Notices, photo: Photo, stack: Stack, table: PhotoTable
) -> None:
    table.classify(photo, ANOTHER_EXECUTION, now(), classification={"vehicle": "bicycle"}, threshold=0.9)
    notify(input=input_of(photo), status="ABORTED", error=None, cause=None)
    assert "another one works on the same photo: second (the photo is classified)" in notify.one()[1]
    assert stack.record(photo).status == CLASSIFIED
    assert notify.queued() == []


def test_the_notice_does_not_wait_for_the_table(notify: Notices, photo: Photo, fail_call: Any) -> None:
    fail_call(client("dynamodb"), "update_item")
    assert notify(input=input_of(photo), status="ABORTED", error=None, cause=None)
    assert "Its record could not be written" in notify.one()[1]
    assert len(notify.queued()) == 1


@pytest.mark.parametrize(("service", "operation"), [("sns", "publish"), ("sqs", "send_message")])
def test_a_notice_that_is_not_accepted_is_an_error_and_is_sent_by_the_next_attempt(
    notify: Notices, photo: Photo, fail_call: Any, service: Any, operation: str
) -> None:
    stopped: dict[str, Any] = {"input": input_of(photo), "status": "ABORTED", "error": None, "cause": None}
    restore = fail_call(client(service), operation)
    with pytest.raises(Exception, match="did not accept"):
        notify(**stopped)
    restore()
    assert notify(**stopped)
    assert len(notify.sent()) == 1


def test_without_a_history_the_notice_is_sent_all_the_same(
    notify: Notices, photo: Photo, monkeypatch: pytest.MonkeyPatch, output: Callable[[], FunctionOutput]
) -> None:
    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow"}}, "GetExecutionHistory")

    monkeypatch.setattr(notify.function.module.stepfunctions, "get_execution_history", refuse)
    notify(input=input_of(photo))
    assert "Failed in: unknown" in notify.one()[1]
    (warning,) = [line for line in output().log if line["level"] == "WARNING"]
    assert warning["message"] == "the history of the execution cannot be read"
    assert "ThrottlingException" in warning["error"]


def test_a_key_cannot_add_lines_or_control_characters(notify: Notices, stack: Stack) -> None:
    photo = stack.upload(key="uploads/driver\n\x1b[2J17/a\r\nDriver:    driver-1\x00.jpg")
    notify(input=input_of(photo))
    subject, text = notify.one()
    assert subject.isascii()
    assert subject.isprintable()
    assert "Driver:" not in text
    assert all(line.isprintable() for line in text.splitlines())


def test_a_long_name_of_a_state_does_not_exceed_the_limit_of_a_subject(notify: Notices, photo: Photo) -> None:
    notify.history = [entered("Fähre" * 16)]
    notify(input=input_of(photo))
    subject, _ = notify.one()
    assert len(subject) == SUBJECT_CHARACTERS
    assert subject.isascii()


def test_a_cause_is_short_and_has_no_task_token() -> None:
    text = shorten(f'the input was {{"task_token": "{TASK_TOKEN}", "TaskToken":"{TASK_TOKEN}"}} ' + "x" * 5000)
    assert TASK_TOKEN not in text
    assert len(text) == 600


@pytest.mark.parametrize(
    ("workflow", "given", "expected"),
    [
        ("retrain-model", {"trigger": "schedule"}, ["Trigger:   schedule", "make retrain STAGE=test", "is kept."]),
        ("retrain-model", {"initial_model": "s3://a/model.tar.gz"}, ["make deploy STAGE=test"]),
        ("rollback-model", {"trigger": "alarm"}, ["make rollback STAGE=test\n", "make status"]),
        ("rollback-model", {"to": "vehicles-test-1"}, ["make rollback STAGE=test TO=vehicles-test-1\n"]),
        ("rollback-model", {"to": "x; rm -rf /"}, ["make rollback STAGE=test\n"]),
        ("another", {}, ["Step Functions console"]),
    ],
)
def test_a_failed_retraining_or_rollback_is_reported_with_its_command(
    notify: Notices, workflow: str, given: dict[str, Any], expected: list[str]
) -> None:
    notify.history = [entered("Train"), failed("States.TaskFailed", '{"FailureReason": "the disk is full"}')]
    assert notify(workflow, input=json.dumps(given), error="TrainingFailed", cause="the disk is full")
    subject, text = notify.one()
    assert subject.startswith("test: ")
    for part in ["Failed in: Train", "Error:     TrainingFailed", "Cause:     the disk is full", *expected]:
        assert part in text


def test_a_retraining_that_is_stopped_may_have_changed_the_endpoint(notify: Notices) -> None:
    notify("retrain-model", input="[]", status="ABORTED", error=None, cause=None)
    assert "`make status` shows what the endpoint serves" in notify.one()[1]


def test_another_event_is_an_error(notify: Notices) -> None:
    with pytest.raises(InvalidInput, match="not a `Step Functions Execution Status Change`"):
        notify.function(detail={})


def test_notices_are_counted_by_workflow(notify: Notices, photo: Photo, output: Callable[[], FunctionOutput]) -> None:
    notify(input=input_of(photo))
    (metric,) = output().metrics("FailureNotices")
    assert (metric["FailureNotices"], metric["workflow"]) == ([1.0], "classify-photo")
