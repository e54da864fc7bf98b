"""Delivery of answers: the order label, task token, event, message, and what happens when a step fails."""

import io
import logging
import time
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from PIL import Image

from console import delivery
from console.answers import choices
from console.delivery import Delivery
from console.labels import Label
from console.leases import Lease, Leases
from console.photo_records import PhotoRecords
from console.photos import Photos, decode
from console.reviews import Reviews
from console.session import ANSWERED_BEFORE, DELAYED, LABEL_ONLY, ROUTED, Answer, Outcome, Session
from deploy.outputs import Deployed
from functions.shared.errors import EventNotPublished
from functions.shared.events import EventBus
from tests.support.hostile_photos import encoded, noise
from tests.support.reviewers import reviewer as named
from tests.unit import model_stage
from tests.unit.console.review_requests import FakeAws, all_labels, depth, done, labels, send, unreachable


class ConsoleProcess:
    """One console process with a leased request about photo 1."""

    def __init__(self, stage: Deployed, aws: FakeAws) -> None:
        self.aws = aws
        self.reviews = Reviews(stage.ml_bucket, aws.s3)
        self.leases = Leases(stage, aws.sqs)
        self.records = PhotoRecords(stage, aws)
        self.photos = Photos(stage, aws)
        self.delivery = Delivery(
            self.reviews,
            self.photos,
            self.leases,
            self.records,
            aws.stepfunctions,
            EventBus("scones-test", aws.events),
            {choice.vehicle: choice for choice in choices()},
        )

    def receive(self) -> Lease:
        (lease,) = self.leases.receive(1)
        return lease

    def deliver(self, lease: Lease, vehicle: str = "bicycle", reviewer: str = "ada") -> Outcome:
        return self.delivery.deliver(answer(lease, vehicle, reviewer))

    def save(self, lease: Lease) -> Label:
        """Save the answer of a delivery that stops after the label."""
        return self.reviews.labels.save(Label.of(lease.request, "bicycle", named("ada"), datetime.now(UTC), lease.id))

    def finish(self, lease: Lease) -> None:
        """Finish the delivery of an earlier answer to the leased photo."""
        record = self.records.get(lease.request.photo.photo_id)
        assert record
        found = self.delivery.find_answer(lease.request, record)
        assert found
        self.delivery.finish(lease, found, record)


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


@pytest.mark.parametrize("shown", [False, True])
def test_a_label_says_whether_it_was_answered_blind_and_then_the_opinion_of_the_model_follows(
    stage: Deployed, sender: ConsoleProcess, shown: bool
) -> None:
    lease = sender.receive()
    lease.opinion_shown = shown
    outcome = sender.deliver(lease, "motorcycle")
    assert ("The model's answer was bicycle (" in outcome.message) is not shown
    assert (label(stage) or {})["blind"] is not shown


def test_an_answer_becomes_a_label_an_output_and_an_event_and_the_message_is_deleted(
    stage: Deployed, sender: ConsoleProcess
) -> None:
    lease = sender.receive()
    lease.opinion_shown = True
    outcome = sender.deliver(lease, "motorcycle")
    assert (outcome.kind, outcome.message) == (ROUTED, "driver-1 → Bay B")
    output = sender.aws.stepfunctions.outputs["token-1"]
    assert (output["vehicle"], output["reviewer"]) == ("motorcycle", "ada")
    (event,) = sender.aws.events.details
    assert (event["vehicle"], event["agrees"], event["accepted"]) == ("motorcycle", False, True)
    saved = label(stage)
    assert saved
    assert saved["vehicle"] == "motorcycle"
    assert [one["accepted"] for one in done(stage)] == [True]
    assert "token-1" not in str(saved) + str(event) + str(done(stage))
    assert depth(stage.review_queue_url) == (0, 0)


def test_an_answer_that_no_vehicle_counts_says_nothing_about_the_model_and_keeps_no_picture(
    stage: Deployed, sender: ConsoleProcess
) -> None:
    assert sender.deliver(sender.receive(), "ambiguous").message.startswith("driver-1 → Help desk")
    content = label(stage) or {}
    assert (content["vehicle"], content["agrees"], content["picture"]) == ("ambiguous", None, None)


def test_an_unusable_photo_is_rejected(sender: ConsoleProcess) -> None:
    assert sender.deliver(sender.receive(), "unusable").message.startswith("the photo is rejected")


def test_without_a_label_nothing_else_is_sent(
    stage: Deployed, sender: ConsoleProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender.reviews.labels, "bucket", "no-such-bucket-anywhere")
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
    assert label(stage)
    assert done(stage) == []
    assert sender.aws.events.details == []
    assert depth(stage.review_queue_url) == (0, 1)


def test_when_the_event_is_refused_the_driver_is_routed_and_the_message_stays(
    stage: Deployed, sender: ConsoleProcess
) -> None:
    sender.aws.events.refusals = 1
    with pytest.raises(EventNotPublished):
        sender.deliver(sender.receive())
    assert "token-1" in sender.aws.stepfunctions.outputs
    assert label(stage)
    assert done(stage) == []
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
    assert [one["accepted"] for one in done(stage)] == [True]
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
    assert saved["vehicle"] == "bicycle"
    assert [one["accepted"] for one in done(stage)] == [False]
    assert [event["accepted"] for event in sender.aws.events.details] == [False]
    assert depth(stage.review_queue_url) == (0, 0)


def test_the_answer_of_a_slower_reviewer_is_a_label_only(stage: Deployed, sender: ConsoleProcess) -> None:
    first = sender.receive()
    second = receive_again(stage, sender, first)
    sender.deliver(first, "bicycle", "ada")
    outcome = sender.deliver(second, "motorcycle", "ben")
    assert outcome.kind == ANSWERED_BEFORE
    assert outcome.message == "Ada answered this photo first (bicycle). This answer is kept as well."
    assert sender.aws.stepfunctions.outputs["token-1"]["vehicle"] == "bicycle"
    assert [(one["vehicle"], one["reviewer"]) for _, one in all_labels(stage)] == [
        ("bicycle", "ada"),
        ("motorcycle", "ben"),
    ]
    sent = [(event["reviewer"], event["accepted"]) for event in sender.aws.events.details]
    assert sent == [("ada", True), ("ben", False)]


def test_the_second_reviewer_delivers_the_first_answer_when_its_delivery_stopped_after_the_label(
    stage: Deployed, sender: ConsoleProcess
) -> None:
    first = sender.receive()
    sender.reviews.claim(first.request.id, sender.save(first))
    sender.deliver(receive_again(stage, sender, first), "motorcycle", "ben")
    assert sender.aws.stepfunctions.outputs["token-1"]["vehicle"] == "bicycle"
    sent = [(event["reviewer"], event["accepted"]) for event in sender.aws.events.details]
    assert sent == [("ada", True), ("ben", False)]


def test_an_unfinished_delivery_is_finished_with_the_first_answer(stage: Deployed, sender: ConsoleProcess) -> None:
    lease = sender.receive()
    sender.save(lease)
    sender.finish(receive_again(stage, sender, lease))
    assert sender.aws.stepfunctions.outputs["token-1"]["reviewer"] == "ada"
    assert [event["accepted"] for event in sender.aws.events.details] == [True]
    assert depth(stage.review_queue_url) == (0, 0)


def test_the_second_answer_of_one_reviewer_is_a_second_label_of_theirs(stage: Deployed, sender: ConsoleProcess) -> None:
    first = sender.receive()
    second = receive_again(stage, sender, first)
    sender.deliver(first, "bicycle", "ada")
    outcome = sender.deliver(second, "motorcycle", "ada")
    assert outcome.message == "You answered this photo first (bicycle). This answer is kept as well."
    folder = f"labels/{model_stage.photo(1).photo_id}/ada"
    assert [key for key, _ in all_labels(stage)] == [f"{folder}/1.json", f"{folder}/2.json"]
    assert sender.aws.stepfunctions.outputs["token-1"]["vehicle"] == "bicycle"


def test_the_label_has_the_picture_that_the_reviewer_saw(
    stage: Deployed, sender: ConsoleProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = encoded(noise(96, 64), "JPEG")
    monkeypatch.setattr(Photos, "_read", lambda *_: content)
    sender.deliver(sender.receive())
    ((key, saved),) = all_labels(stage)
    assert saved["picture"] == "1.png"
    found = sender.aws.s3.get_object(Bucket=stage.ml_bucket, Key=key.replace("1.json", "1.png"))
    picture = Image.open(io.BytesIO(found["Body"].read()))
    assert (np.asarray(picture) == np.asarray(decode(content, 1600))).all()


def test_a_photo_that_was_deleted_is_answered_without_a_picture(
    stage: Deployed, sender: ConsoleProcess, caplog: pytest.LogCaptureFixture
) -> None:
    assert sender.deliver(sender.receive()).kind == ROUTED
    saved = label(stage)
    assert saved
    assert saved["picture"] is None
    assert "its label has no picture, and is not used in training" in caplog.text


def test_an_unusable_photo_has_no_picture(
    stage: Deployed, sender: ConsoleProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Photos, "_read", lambda *_: pytest.fail("the photo was read"))
    sender.deliver(sender.receive(), "unusable")
    assert [saved["picture"] for _, saved in all_labels(stage)] == [None]


def test_a_delivery_that_is_repeated_reads_the_photo_once(
    sender: ConsoleProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = []

    def read(*_: Any) -> bytes:
        reads.append(1)
        return encoded(noise(96, 64), "JPEG")

    monkeypatch.setattr(Photos, "_read", read)
    sender.aws.events.refusals = 2
    undelivered = answer(sender.receive())
    for _ in range(2):
        with pytest.raises(EventNotPublished):
            sender.delivery.deliver(undelivered)
    assert sender.delivery.deliver(undelivered).kind == ROUTED
    assert len(reads) == 1


def test_an_announced_answer_is_not_announced_again(stage: Deployed, sender: ConsoleProcess) -> None:
    lease = sender.receive()
    sender.deliver(lease)
    send(stage, 1)
    sender.finish(sender.receive())
    assert len(sender.aws.events.details) == 1
    assert depth(stage.review_queue_url) == (0, 0)


def test_a_delivery_that_cannot_be_finished_keeps_its_message(
    stage: Deployed, sender: ConsoleProcess, caplog: pytest.LogCaptureFixture
) -> None:
    lease = sender.receive()
    sender.save(lease)
    sender.aws.stepfunctions.error = unreachable()
    with caplog.at_level(logging.WARNING):
        sender.finish(lease)
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
