"""Training jobs run a script as SageMaker's script mode does."""

from __future__ import annotations

import io
import json
import os
import tarfile
import time
from datetime import datetime

import psutil
import pytest

from tests.local.aws import Aws, call_refused
from tests.local.fake_application import FakeApplication, unique_name
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def application(aws: Aws) -> FakeApplication:
    return FakeApplication(aws)


def test_a_job_writes_model_output_metrics_and_log(application: FakeApplication) -> None:
    hyperparameters = {"word": json.dumps("good"), "epochs": "3", "sagemaker_region": '"eu-west-1"'}
    name = application.start_training(hyperparameters, Environment={"DATA": "/opt/ml/input/data", "OWN": "yes"})
    job = application.wait_for_training(name)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Completed", "Completed"), job
    phases = [transition["Status"] for transition in job["SecondaryStatusTransitions"]]
    assert phases == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert isinstance(job["TrainingEndTime"], datetime)
    assert [(m["MetricName"], round(m["Value"], 3)) for m in job["FinalMetricDataList"]] == [("accuracy", 0.7)]

    model = job["ModelArtifacts"]["S3ModelArtifacts"]
    assert model == f"s3://{application.bucket}/models/{name}/output/model.tar.gz"
    with tarfile.open(fileobj=io.BytesIO(application.get(model))) as archive:
        assert set(archive.getnames()) == {"code", "code/inference.py", "word.txt"}
    with tarfile.open(fileobj=io.BytesIO(application.get(model.replace("model.tar", "output.tar")))) as archive:
        member = archive.extractfile("seen.json")
        assert member is not None
        seen = json.load(member)

    assert seen["arguments"] == ["--epochs", "3", "--word", "good"]
    environment = seen["environment"]
    folder = environment["SM_MODEL_DIR"].removesuffix("/model")
    assert seen["cwd"] == f"{folder}/code"
    assert f"{folder}/code" in seen["path"]
    assert environment["SM_CHANNEL_TRAINING"] == f"{folder}/input/data/training"
    assert seen["channels"] == ["training/a.txt", "training/deep/b.txt"]
    assert json.loads(environment["SM_HPS"]) == {"word": "good", "epochs": 3}
    assert environment["SM_HP_WORD"] == "good"
    assert environment["SM_NUM_CPUS"] == str(os.cpu_count())
    assert environment["TRAINING_JOB_NAME"] == name
    assert (environment["OWN"], environment["DATA"]) == ("yes", f"{folder}/input/data")
    assert not {"LOCAL_AWS_DIR", "GATEWAY_PORT", "PYTEST_CURRENT_TEST"} & set(environment)
    assert eventually(lambda: not os.path.exists(folder))

    messages = application.aws.log_messages("/aws/sagemaker/TrainingJobs", logStreamNamePrefix=f"{name}/algo-1-")
    assert "epoch=2 accuracy=0.7;" in messages


def test_hyperparameters_may_be_plain_text_or_json(application: FakeApplication) -> None:
    request = application.training_request({"word": "plain"})
    for name in ("sagemaker_program", "sagemaker_submit_directory"):
        request["HyperParameters"][name] = json.loads(request["HyperParameters"][name])
    application.sagemaker.create_training_job(**request)
    assert application.wait_for_training(request["TrainingJobName"])["TrainingJobStatus"] == "Completed"


def test_output_is_in_the_log_while_the_job_runs_and_stop_ends_it(application: FakeApplication) -> None:
    name = application.start_training({"sleep": "60"})
    eventually(
        lambda: application.aws.log_messages("/aws/sagemaker/TrainingJobs", logStreamNamePrefix=f"{name}/"),
        lambda lines: "epoch=0 accuracy=0.5;" in lines,
    )
    children = psutil.Process(application.aws.server.pid).children(recursive=True)
    script = [process for process in children if "--sleep" in process.cmdline()]
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


@pytest.mark.parametrize(
    ("fail", "reason"), [("raise", "ValueError: told to fail"), ("written", "the photos are gone")]
)
def test_a_failed_script_has_a_failure_reason(application: FakeApplication, fail: str, reason: str) -> None:
    job = application.wait_for_training(application.start_training({"fail": fail}))
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("AlgorithmError: ")
    assert reason in job["FailureReason"]
    assert job["FailureReason"].endswith("exit code: 1")
    if fail == "raise":
        assert "ExecuteUserScriptError:\nExitCode 1\nErrorMessage" in job["FailureReason"]


def test_requirements_that_are_not_met_are_named(application: FakeApplication) -> None:
    source = {"requirements.txt": "boto3>=1  # fine\nnumpy==0.1\nno-such-package\nother; python_version < '3'\n"}
    job = application.wait_for_training(application.start_training(source=source))
    assert job["TrainingJobStatus"] == "Failed"
    assert "InstallRequirementsError" in job["FailureReason"]
    assert "numpy==0.1 (installed: " in job["FailureReason"]
    assert "no-such-package (not" in job["FailureReason"]
    assert "boto3" not in job["FailureReason"]
    assert "other" not in job["FailureReason"]


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
