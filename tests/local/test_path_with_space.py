"""An embedded AWS in a folder whose path has a space, as in a checkout below "My Projects"."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import local
from tests.local.aws import Aws
from tests.local.fake_application import FakeApplication
from tests.support import embedded_aws
from tests.support.network import free_port

SHELL_SCRIPT = 'cd $SM_MODEL_DIR/.. && cd code && python3 train.py "$@"'


def links() -> set[Path]:
    """Return the folders with links that replace paths with spaces."""
    return set(Path("/tmp").glob("embedded-aws-*"))  # noqa: S108  # nothing is created here


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeApplication]:
    before = links()
    directory = tmp_path_factory.mktemp("projects") / "my project (1)" / "aws"
    with embedded_aws.started(local.Settings(port=free_port(), authorization=False, directory=directory)) as server:
        yield FakeApplication(Aws(server))
    assert links() == before


def test_a_training_job_trains(application: FakeApplication) -> None:
    job = application.wait_for_training(application.start_training({"word": json.dumps("spaced")}))
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")


def test_a_shell_script_for_training_need_not_quote_its_paths(application: FakeApplication) -> None:
    source = {"train.sh": f"#!/bin/sh\n{SHELL_SCRIPT}\n"}
    job = application.wait_for_training(
        application.start_training({"sagemaker_program": json.dumps("train.sh")}, source)
    )
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")


def test_a_processing_job_with_a_shell_command_runs(application: FakeApplication) -> None:
    request = application.shell_processing_request()
    application.sagemaker.create_processing_job(**request)
    job = application.wait_for_processing(request["ProcessingJobName"])
    assert job["ProcessingJobStatus"] == "Completed", job.get("FailureReason")
    report = json.loads(application.get(f"s3://{application.bucket}/reports/report.json"))
    assert report["files"] == ["a.txt", "deep/b.txt"]


def test_a_failure_reason_names_paths_of_the_container(application: FakeApplication) -> None:
    request = application.processing_request(FAIL="yes")
    application.sagemaker.create_processing_job(**request)
    reason = application.wait_for_processing(request["ProcessingJobName"])["FailureReason"]
    assert "/opt/ml/processing/code/evaluate.py" in reason
    assert "my project" not in reason


def test_an_endpoint_answers(application: FakeApplication) -> None:
    assert application.invoke(application.create_endpoint("hello"), "you") == "hello you"


def test_a_function_answers(application: FakeApplication) -> None:
    assert application.aws.invoke(application.aws.create_function("def handler(event, context): return 1")) == (
        1,
        False,
    )
