"""Leases: received, extended, given back and deleted messages."""

import logging
import time

import pytest

from console import leases
from console.aws import Aws
from console.leases import Lease, Leases
from deploy.outputs import Deployed
from tests.support.waiting import eventually
from tests.unit import model_stage
from tests.unit.console.review_requests import depth, send, unreachable


def consumer(stage: Deployed, *, lease_s: int = 60) -> Leases:
    return Leases(stage, Aws().sqs, lease_s)


def receive(stage: Deployed, *, lease_s: int = 60) -> Lease:
    (lease,) = consumer(stage, lease_s=lease_s).receive(1)
    return lease


def test_a_leased_request_is_invisible_to_other_consumers(stage: Deployed) -> None:
    photo_id = send(stage, 1)
    assert receive(stage).request.photo.photo_id == photo_id
    assert list(consumer(stage).receive(1)) == []


def test_receiving_stops_at_the_end_of_the_queue_or_at_the_limit(stage: Deployed) -> None:
    for number in range(3):
        send(stage, number)
    assert len(list(consumer(stage).receive(2))) == 2
    assert len(list(consumer(stage).receive(2))) == 1


def test_an_extended_lease_does_not_expire(stage: Deployed) -> None:
    send(stage, 1)
    lease = receive(stage, lease_s=2)
    consumer(stage, lease_s=60).extend([lease])
    time.sleep(2.2)
    assert list(consumer(stage).receive(1)) == []


def test_a_lease_that_is_not_extended_expires(stage: Deployed) -> None:
    send(stage, 1)
    receive(stage, lease_s=1)
    assert eventually(lambda: list(consumer(stage).receive(1)))


def test_a_request_that_is_given_back_is_visible_at_once(stage: Deployed) -> None:
    send(stage, 1)
    owner = consumer(stage)
    (lease,) = owner.receive(1)
    owner.give_back(lease)
    assert receive(stage).request.photo == lease.request.photo


def test_a_request_can_be_given_back_later(stage: Deployed) -> None:
    send(stage, 1)
    owner = consumer(stage)
    (lease,) = owner.receive(1)
    owner.give_back(lease, after_s=3)
    assert list(consumer(stage).receive(1)) == []
    assert eventually(lambda: list(consumer(stage).receive(1)))


def test_a_request_near_the_redrive_limit_is_sent_again_instead(stage: Deployed) -> None:
    send(stage, 1)
    counts = []
    for _ in range(12):
        owner = consumer(stage)
        (lease,) = owner.receive(1)
        counts.append(lease.receive_count)
        owner.give_back(lease)
    assert counts == [1, 2, 3, 4] * 3
    assert sum(depth(stage.review_dead_letter_queue_url)) == 0
    assert depth(stage.review_queue_url) == (1, 0)


def test_a_malformed_request_goes_to_the_dead_letter_queue_and_its_token_is_not_logged(
    stage: Deployed, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(leases, "_MALFORMED_RETRY_S", 0)
    body = '{"task_token": "secret-token", "photo": 1}'
    model_stage.aws("sqs").send_message(QueueUrl=stage.review_queue_url, MessageBody=body)
    photo_id = send(stage, 1)
    with caplog.at_level(logging.WARNING):
        received = list(consumer(stage).receive(12))
    assert [lease.request.photo.photo_id for lease in received] == [photo_id]
    assert depth(stage.review_dead_letter_queue_url) == (1, 0)
    assert "is not a review request" in caplog.text
    assert "secret-token" not in caplog.text


def test_a_deleted_message_can_be_deleted_extended_and_given_back_without_an_error(stage: Deployed) -> None:
    send(stage, 1)
    owner = consumer(stage)
    (lease,) = owner.receive(1)
    owner.delete(lease)
    owner.delete(lease)
    owner.extend([lease])
    owner.give_back(lease)
    assert depth(stage.review_queue_url) == (0, 0)


def test_a_lease_stays_until_its_timeout_when_aws_cannot_be_reached(
    stage: Deployed, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    send(stage, 1)
    aws = Aws()
    owner = Leases(stage, aws.sqs)
    (lease,) = owner.receive(1)

    def fail(**_: object) -> None:
        raise unreachable()

    monkeypatch.setattr(aws.sqs, "change_message_visibility", fail)
    owner.extend([lease])
    owner.give_back(lease)
    assert "its lease was not extended" in caplog.text
    assert "was not given back" in caplog.text
    assert depth(stage.review_queue_url) == (0, 1)
