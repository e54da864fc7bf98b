"""An embedded AWS in a folder whose path has a space, as in a checkout below "My Projects"."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import local
from tests.local.aws import Aws
from tests.local.fake_application import FakeApplication
from tests.support import embedded_aws
from tests.support.network import free_port


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeApplication]:
    directory = tmp_path_factory.mktemp("projects") / "my project (1)" / "aws"
    with embedded_aws.started(local.Settings(port=free_port(), authorization=False, directory=directory)) as server:
        yield FakeApplication(Aws(server))


def test_a_training_job_trains(application: FakeApplication) -> None:
    job = application.wait_for_training(application.start_training({"word": "spaced"}))
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")


def test_a_processing_job_runs(application: FakeApplication) -> None:
    request = application.processing_request()
    application.sagemaker.create_processing_job(**request)
    job = application.wait_for_processing(request["ProcessingJobName"])
    assert job["ProcessingJobStatus"] == "Completed", job.get("FailureReason")


def test_a_failure_reason_names_paths_of_the_container(application: FakeApplication) -> None:
    job = application.wait_for_training(application.start_training({"fail": "written"}))
    assert "/opt/ml/input/data" in job["FailureReason"]
    assert "my project" not in job["FailureReason"]


def test_an_endpoint_answers(application: FakeApplication) -> None:
    assert application.invoke(application.create_endpoint("hello"), "you") == "hello you"


def test_a_function_answers(application: FakeApplication) -> None:
    assert application.aws.invoke(application.aws.create_function("def handler(event, context): return 1")) == (
        1,
        False,
    )
