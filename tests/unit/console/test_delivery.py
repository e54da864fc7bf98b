"""Delivery of answers: the order label, task token, event, message, and what happens when a step fails."""

import logging
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from console import delivery
from console.answers import choices
from console.delivery import Delivery
from console.labels import Label, Labels
from console.leases import Lease, Leases
from console.photo_records import PhotoRecords
from console.session import ANSWERED_BEFORE, DELAYED, LABEL_ONLY, ROUTED, Answer, Outcome, Session
from deploy.outputs import Deployed
from functions.shared.errors import EventNotPublished
from functions.shared.events import EventBus
from tests.support.reviewers import reviewer as named
from tests.unit import model_stage
from tests.unit.console.review_requests import FakeAws, depth, labels, send, unreachable


class ConsoleProcess:
    """One console process with a leased request about photo 1."""

    def __init__(self, stage: Deployed, aws: FakeAws) -> None:
        self.aws = aws
        self.labels = Labels(stage.ml_bucket, aws.s3)
        self.leases = Leases(stage, aws.sqs)
        self.delivery = Delivery(
            self.labels,
            self.leases,
            PhotoRecords(stage, aws),
            aws.stepfunctions,
            EventBus("scones-test", aws.events),
            {choice.vehicle: choice for choice in choices()},
        )

    def receive(self) -> Lease:
        (lease,) = self.leases.receive(1)
        return lease

    def deliver(self, lease: Lease, vehicle: str = "bicycle", reviewer: str = "ada") -> Outcome:
        return self.delivery.deliver(answer(lease, vehicle, reviewer))


@pytest.fixture
def sender(stage: Deployed) -> ConsoleProcess:
    send(stage, 1)
    return ConsoleProcess(stage, FakeAws())


def answer(lease: Lease, vehicle: str = "bicycle", reviewer: str = "ada") -> Answer:
    return Answer(lease, vehicle, named(reviewer), datetime.now(UTC), time.monotonic())


def receive_again(stage: Deployed, sender: ConsoleProcess, lease: Lease) -> Lease:
    """End the visibility timeout, so that SQS delivers the message again."""
    model_stage.aws("sqs").change_message_visibility(
        QueueUrl=stage.review_queue_url, ReceiptHandle=lease.receipt_handle, VisibilityTimeout=0
    )
    return sender.receive()


def label(stage: Deployed) -> dict[str, Any] | None:
    return labels(stage).get(model_stage.photo(1).photo_id)


def test_an_answer_becomes_a_label_an_output_and_an_event_and_the_message_is_deleted(
    stage: Deployed, sender: ConsoleProcess
) -> None:
    outcome = sender.deliver(sender.receive(), "motorcycle")
    assert (outcome.kind, outcome.message) == (ROUTED, "driver-1 → Bay B")
    output = sender.aws.stepfunctions.outputs["token-1"]
    assert (output["vehicle"], output["reviewer"]) == ("motorcycle", "ada")
    (event,) = sender.aws.events.details
    assert (event["vehicle"], event["agrees"], event["accepted"]) == ("motorcycle", False, True)
    saved = label(stage)
    assert saved
    assert (saved["vehicle"], saved["announced"], saved["accepted"]) == ("motorcycle", True, True)
    assert "token-1" not in str(saved) + str(event)
    assert depth(stage.review_queue_url) == (0, 0)


def test_an_unusable_photo_is_rejected(sender: ConsoleProcess) -> None:
    assert sender.deliver(sender.receive(), "unusable").message == "the photo is rejected"


def test_without_a_label_nothing_else_is_sent(
    stage: Deployed, sender: ConsoleProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender.labels, "bucket", "no-such-bucket-anywhere")
    with pytest.raises(Exception, match="NoSuchBucket"):
        sender.deliver(sender.receive())
    assert sender.aws.stepfunctions.outputs == {}
    assert sender.aws.events.details == []
    assert depth(stage.review_queue_url) == (0, 1)


def test_when_step_functions_fails_there_is_a_label_but_no_event_and_the_message_stays(
    stage: Deployed, sender: ConsoleProcess
) -> None:
    sender.aws.stepfunctions.error = unreachable()
    with pytest.raises(type(unreachable())):
        sender.deliver(sender.receive())
    saved = label(stage)
    assert saved
    assert saved["announced"] is False
    assert sender.aws.events.details == []
    assert depth(stage.review_queue_url) == (0, 1)


def test_when_the_event_is_refused_the_driver_is_routed_and_the_message_stays(
    stage: Deployed, sender: ConsoleProcess
) -> None:
    sender.aws.events.refusals = 1
    with pytest.raises(EventNotPublished):
        sender.deliver(sender.receive())
    assert "token-1" in sender.aws.stepfunctions.outputs
    saved = label(stage)
    assert saved
    assert saved["announced"] is False
    assert depth(stage.review_queue_url) == (0, 1)


def test_an_answer_whose_event_was_refused_is_still_accepted_when_it_is_delivered_again(
    stage: Deployed, sender: ConsoleProcess
) -> None:
    sender.aws.events.refusals = 1
    undelivered = answer(sender.receive())
    with pytest.raises(EventNotPublished):
        sender.delivery.deliver(undelivered)
    assert sender.delivery.deliver(undelivered).kind == ROUTED
    assert [event["accepted"] for event in sender.aws.events.details] == [True]
    saved = label(stage)
    assert saved
    assert saved["accepted"] is True
    assert depth(stage.review_queue_url) == (0, 0)


@pytest.mark.parametrize(
    ("decided_by", "message"),
    [
        (None, "The workflow no longer waits for this photo."),
        ("fallback", "The review timed out, so the driver was sent to the help desk."),
        ("model", "The driver was already sent to Bay A."),
    ],
)
def test_an_expired_task_token_leaves_the_label_and_the_reason(
    stage: Deployed, sender: ConsoleProcess, decided_by: str | None, message: str
) -> None:
    if decided_by:
        model_stage.decided(1, None, decided_by)
    sender.aws.stepfunctions.expired.add("token-1")
    outcome = sender.deliver(sender.receive())
    assert (outcome.kind, outcome.message) == (LABEL_ONLY, f"{message} Your answer is kept as a label.")
    saved = label(stage)
    assert saved
    assert (saved["vehicle"], saved["accepted"]) == ("bicycle", False)
    assert [event["accepted"] for event in sender.aws.events.details] == [False]
    assert depth(stage.review_queue_url) == (0, 0)


def test_the_answer_of_a_slower_reviewer_becomes_an_opinion(stage: Deployed, sender: ConsoleProcess) -> None:
    first = sender.receive()
    second = receive_again(stage, sender, first)
    sender.deliver(first, "bicycle", "ada")
    outcome = sender.deliver(second, "motorcycle", "ben")
    assert outcome.kind == ANSWERED_BEFORE
    assert "ada answered this photo first (bicycle)" in outcome.message
    assert sender.aws.stepfunctions.outputs["token-1"]["vehicle"] == "bicycle"
    saved = label(stage)
    assert saved
    assert (saved["vehicle"], [one["vehicle"] for one in saved["opinions"]]) == ("bicycle", ["motorcycle"])
    sent = [(event["reviewer"], event["accepted"]) for event in sender.aws.events.details]
    assert sent == [("ada", True), ("ben", False)]


def test_the_second_reviewer_delivers_the_first_answer_when_its_delivery_stopped_after_the_label(
    stage: Deployed, sender: ConsoleProcess
) -> None:
    first = sender.receive()
    sender.labels.save(Label.of(first.request, "bicycle", "ada", datetime.now(UTC), first.id))
    sender.deliver(receive_again(stage, sender, first), "motorcycle", "ben")
    assert sender.aws.stepfunctions.outputs["token-1"]["vehicle"] == "bicycle"


def test_an_unfinished_delivery_is_finished_with_the_first_answer(stage: Deployed, sender: ConsoleProcess) -> None:
    lease = sender.receive()
    sender.labels.save(Label.of(lease.request, "bicycle", "ada", datetime.now(UTC), lease.id))
    again = receive_again(stage, sender, lease)
    found = sender.labels.find(again.request)
    assert found
    sender.delivery.finish(again, found)
    assert sender.aws.stepfunctions.outputs["token-1"]["reviewer"] == "ada"
    assert [event["accepted"] for event in sender.aws.events.details] == [True]
    assert depth(stage.review_queue_url) == (0, 0)


def test_an_announced_answer_is_not_announced_again(stage: Deployed, sender: ConsoleProcess) -> None:
    lease = sender.receive()
    sender.deliver(lease)
    send(stage, 1)
    again = sender.receive()
    found = sender.labels.find(again.request)
    assert found
    sender.delivery.finish(again, found)
    assert len(sender.aws.events.details) == 1
    assert depth(stage.review_queue_url) == (0, 0)


def test_a_delivery_that_cannot_be_finished_keeps_its_message(
    stage: Deployed, sender: ConsoleProcess, caplog: pytest.LogCaptureFixture
) -> None:
    lease = sender.receive()
    saved = sender.labels.save(Label.of(lease.request, "bicycle", "ada", datetime.now(UTC), lease.id))
    sender.aws.stepfunctions.error = unreachable()
    with caplog.at_level(logging.WARNING):
        sender.delivery.finish(lease, saved)
    assert "an earlier answer was not delivered yet" in caplog.text
    assert depth(stage.review_queue_url) == (0, 1)


def test_a_failed_delivery_is_tried_later_with_one_notice_for_all_failures(
    sender: ConsoleProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "_MAX_BACKOFF_S", 5.0)
    sender.aws.stepfunctions.error = unreachable()
    one = answer(sender.receive())
    session = Session(named("ada"), answers=[one])
    waits = []
    for _ in range(3):
        one.delivering = True
        assert not sender.delivery.try_deliver(session, one)
        waits.append(round(one.due - time.monotonic()))
    assert waits == [2, 4, 5]
    assert (one.attempts, one.delivering, session.answers) == (3, False, [one])
    assert [notice.kind for notice in session.notices] == [DELAYED]
    sender.aws.stepfunctions.error = None
    assert sender.delivery.try_deliver(session, one)
    assert session.answers == []
    assert [(notice.number, notice.kind) for notice in session.notices] == [(1, DELAYED), (2, ROUTED)]
