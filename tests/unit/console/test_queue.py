"""The figures of the queues, and the redrive of failed requests."""

from datetime import UTC, datetime, timedelta

import pytest

from console.aws import Aws
from console.labels import Labels
from console.queue import Queue
from deploy.outputs import Deployed
from tests.unit import model_stage
from tests.unit.console.review_requests import body, depth, send


def queue(stage: Deployed) -> Queue:
    aws = Aws()
    return Queue(stage, aws, Labels(stage.ml_bucket, aws.s3))


def dead_letter(stage: Deployed, text: str) -> None:
    model_stage.aws("sqs").send_message(QueueUrl=stage.review_dead_letter_queue_url, MessageBody=text)


def test_the_figures_count_requests_drivers_and_failed_requests(stage: Deployed) -> None:
    send(stage, 1)
    model_stage.waiting(3)
    dead_letter(stage, "{broken")
    figures = queue(stage).figures()
    assert (figures.waiting, figures.leased, figures.drivers, figures.dead) == (1, 0, 1, 1)
    waited = datetime.now(UTC) - (model_stage.NOW - timedelta(minutes=3))
    assert figures.oldest_s == pytest.approx(waited.total_seconds(), abs=30)


def test_a_failed_request_is_listed_with_the_problem_but_not_the_task_token(stage: Deployed) -> None:
    dead_letter(stage, body(reason=None))
    (letter,) = queue(stage).dead_letters()
    assert letter.problem == "reason is missing or not text"
    assert "secret-token" not in letter.body


def test_redrive_sends_back_the_requests_that_can_be_answered(stage: Deployed) -> None:
    dead_letter(stage, body())
    dead_letter(stage, "{broken")
    sent, stayed = queue(stage).redrive()
    assert (sent, [letter.body for letter in stayed]) == (1, ["{broken"])
    assert depth(stage.review_queue_url) == (1, 0)
    assert sum(depth(stage.review_dead_letter_queue_url)) == 1


def test_redrive_of_everything_sends_malformed_requests_too(stage: Deployed) -> None:
    dead_letter(stage, "{broken")
    assert queue(stage).redrive(everything=True) == (1, [])
