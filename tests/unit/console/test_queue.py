"""The figures of the queues."""

from datetime import UTC, datetime, timedelta

import pytest

from console.aws import Aws
from console.queue import Queue
from console.reviews import Reviews
from deploy.outputs import Deployed
from tests.support import failed_requests
from tests.unit import model_stage
from tests.unit.console.review_requests import send


def queue(stage: Deployed) -> Queue:
    aws = Aws()
    return Queue(stage, aws, Reviews(stage.ml_bucket, aws.s3))


def dead_letter(stage: Deployed, text: str) -> None:
    model_stage.aws("sqs").send_message(QueueUrl=stage.review_dead_letter_queue_url, MessageBody=text)


def test_the_figures_count_requests_drivers_and_failed_requests(stage: Deployed) -> None:
    send(stage, 1)
    model_stage.waiting(3)
    dead_letter(stage, "{broken")
    figures = queue(stage).figures()
    assert (figures.waiting, figures.leased, figures.drivers, figures.dead) == (1, 0, 2, 1)
    waited = datetime.now(UTC) - (model_stage.NOW - timedelta(minutes=3))
    assert figures.oldest_s == pytest.approx(waited.total_seconds(), abs=30)


def test_photos_that_are_not_routed_count_as_failed_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    with failed_requests.failed_stage(monkeypatch) as stage:
        failed_requests.send(stage.review_dead_letter_queue_url, "{broken")
        failed_requests.send(stage.unrouted_queue_url, failed_requests.unrouted_body())
        assert queue(stage).figures().dead == 2
