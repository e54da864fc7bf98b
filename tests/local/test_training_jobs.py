"""Training jobs run the program `train` of an image."""

from __future__ import annotations

import io
import json
import os
import tarfile
import time
from datetime import datetime
from typing import Any

import psutil
import pytest

from tests.local.aws import Aws, call_refused
from tests.local.fake_application import FakeApplication, unique_name
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def application(aws: Aws) -> FakeApplication:
    return FakeApplication(aws)


def test_a_job_writes_model_output_metrics_and_log(application: FakeApplication) -> None:
    name = application.start_training({"word": "good", "epochs": "3"}, Environment={"OWN": "yes"})
    job = application.wait_for_training(name)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Completed", "Completed"), job
    phases = [transition["Status"] for transition in job["SecondaryStatusTransitions"]]
    assert phases == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert isinstance(job["TrainingEndTime"], datetime)
    assert [(m["MetricName"], round(m["Value"], 3)) for m in job["FinalMetricDataList"]] == [("accuracy", 0.7)]

    model = job["ModelArtifacts"]["S3ModelArtifacts"]
    assert model == f"s3://{application.bucket}/models/{name}/output/model.tar.gz"
    with tarfile.open(fileobj=io.BytesIO(application.get(model))) as archive:
        assert set(archive.getnames()) == {"word.txt"}
    seen = read_seen(application, job)
    assert seen["arguments"] == ["train"]
    assert seen["hyperparameters"] | {"word": "good", "epochs": "3"} == seen["hyperparameters"]
    assert seen["config"] == ["hyperparameters.json", "inputdataconfig.json", "resourceconfig.json"]
    assert seen["channels"] == ["training/a.txt", "training/deep/b.txt"]
    assert seen["cwd"].endswith("/srv/app")
    environment = seen["environment"]
    assert environment["TRAINING_JOB_NAME"] == name
    assert (environment["OWN"], environment["GREETING"]) == ("yes", "hello you")
    assert environment["AWS_ENDPOINT_URL"] == application.aws.server.url
    assert not {"LOCAL_AWS_DIR", "GATEWAY_PORT", "PYTEST_CURRENT_TEST"} & set(environment)
    assert eventually(lambda: not os.path.exists(environment["ML_ROOT"]))

    messages = application.aws.log_messages("/aws/sagemaker/TrainingJobs", logStreamNamePrefix=f"{name}/algo-1-")
    assert "epoch=2 accuracy=0.7;" in messages


def test_a_job_without_a_network_gets_no_credentials(application: FakeApplication) -> None:
    job = application.wait_for_training(application.start_training(EnableNetworkIsolation=True))
    assert job["TrainingJobStatus"] == "Completed", job
    environment = read_seen(application, job)["environment"]
    assert environment["AWS_REGION"] == "eu-west-1"
    assert not {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"} & set(environment)


def read_seen(application: FakeApplication, job: dict[str, Any]) -> dict[str, Any]:
    """Return what the job's program saw."""
    uri = job["ModelArtifacts"]["S3ModelArtifacts"].replace("model.tar", "output.tar")
    with tarfile.open(fileobj=io.BytesIO(application.get(uri))) as archive:
        member = archive.extractfile("seen.json")
        assert member is not None
        seen: dict[str, Any] = json.load(member)
        return seen


def test_output_is_in_the_log_while_the_job_runs_and_stop_ends_it(application: FakeApplication) -> None:
    name = application.start_training({"sleep": "60"})
    eventually(
        lambda: application.aws.log_messages("/aws/sagemaker/TrainingJobs", logStreamNamePrefix=f"{name}/"),
        lambda lines: "epoch=0 accuracy=0.5;" in lines,
    )
    children = psutil.Process(application.aws.server.pid).children(recursive=True)
    script = [process for process in children if process.cmdline()[1:4] == ["-m", "program", "train"]]
    assert application.sagemaker.describe_training_job(TrainingJobName=name)["SecondaryStatus"] == "Training"
    application.sagemaker.stop_training_job(TrainingJobName=name)
    job = application.wait_for_training(name)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert script
    assert not any(process.is_running() for process in script)
    code, message = call_refused(application.sagemaker.stop_training_job, TrainingJobName=name)
    assert code == "ValidationException"
    assert "in status Stopped" in message


def test_a_job_that_takes_too_long_is_stopped(application: FakeApplication) -> None:
    name = application.start_training({"sleep": "60"}, StoppingCondition={"MaxRuntimeInSeconds": 1})
    job = application.wait_for_training(name)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")


@pytest.mark.parametrize(("fail", "reason"), [("raise", ""), ("written", "the photos in /opt/ml/input/data are gone")])
def test_a_failed_job_has_the_reason_that_its_container_wrote(
    application: FakeApplication, fail: str, reason: str
) -> None:
    job = application.wait_for_training(application.start_training({"fail": fail}))
    assert (job["TrainingJobStatus"], job["FailureReason"]) == ("Failed", f"AlgorithmError: {reason}, exit code: 1")


def test_a_job_without_its_image_fails(application: FakeApplication) -> None:
    request = application.training_request()
    request["AlgorithmSpecification"]["TrainingImage"] = f"{application.repository}:none"
    application.sagemaker.create_training_job(**request)
    job = application.wait_for_training(request["TrainingJobName"])
    assert job["FailureReason"] == f"ClientError: Requested image {application.repository}:none not found."


def test_missing_data_fails_the_job(application: FakeApplication) -> None:
    request = application.training_request()
    request["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"] = f"s3://{application.bucket}/nothing/"
    application.sagemaker.create_training_job(**request)
    job = application.wait_for_training(request["TrainingJobName"])
    assert job["FailureReason"].startswith('ClientError: No S3 objects found under S3 URL "s3://')


def test_bad_requests_are_refused_with_the_codes_of_aws(application: FakeApplication) -> None:
    sagemaker = application.sagemaker
    assert call_refused(sagemaker.describe_training_job, TrainingJobName="nothing") == (
        "ValidationException",
        "Requested resource not found.",
    )
    request = application.training_request()
    sagemaker.create_training_job(**request)
    assert call_refused(sagemaker.create_training_job, **request)[0] == "ResourceInUse"
    application.wait_for_training(request["TrainingJobName"])
    code, message = call_refused(sagemaker.create_training_job, **{**request, "TrainingJobName": "under_score"})
    assert code == "ValidationException"
    assert "Value 'under_score' at 'trainingJobName' failed to satisfy constraint" in message
    bad_instance = {**request["ResourceConfig"], "InstanceType": "ml.huge"}
    code, message = call_refused(
        sagemaker.create_training_job,
        **{**request, "TrainingJobName": unique_name("job"), "ResourceConfig": bad_instance},
    )
    assert code == "ValidationException"
    assert "resourceConfig.instanceType" in message


def test_jobs_are_listed_newest_first_by_page(application: FakeApplication) -> None:
    prefix = unique_name("listed")
    names = [f"{prefix}-{number}" for number in range(3)]
    for name in names:
        application.sagemaker.create_training_job(**application.training_request(TrainingJobName=name))
        time.sleep(0.01)
    first = application.sagemaker.list_training_jobs(NameContains=prefix, MaxResults=2)
    second = application.sagemaker.list_training_jobs(NameContains=prefix, NextToken=first["NextToken"])
    listed = [job["TrainingJobName"] for job in first["TrainingJobSummaries"] + second["TrainingJobSummaries"]]
    assert listed == names[::-1]
    for name in names:
        application.wait_for_training(name)
