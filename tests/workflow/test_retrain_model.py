"""retrain-model: whatever happens, the endpoint ends with a model that works, and somebody is told."""

from typing import Any

import pytest

from tests.workflow.harness import Stage

INPUT: dict[str, Any] = {
    "dataset": "s3://ml/datasets/base/abc/",
    "source": "s3://ml/source/abc/sourcedir.tar.gz",
    "hyperparameters": {"epochs": "3"},
}


def test_the_first_model_creates_the_endpoint(stage: Stage) -> None:
    stage.sagemaker.statuses = ["Creating", "Creating"]
    run = stage.start(stage.deploy_retrain(), INPUT)
    name = run.output()["name"]
    assert stage.sagemaker.endpoint == {"config": name}
    assert [event["model_version"] for event in stage.events("Model Promoted")] == [name]
    assert stage.waits == [5, 5, 5]


def test_the_training_job_gets_the_code_the_data_and_plain_strings(stage: Stage) -> None:
    stage.start(stage.deploy_retrain(), INPUT).output()
    (job,) = stage.sagemaker.named("CreateTrainingJob")
    assert job["HyperParameters"] == {
        "epochs": "3",
        "sagemaker_program": "training/train.py",
        "sagemaker_submit_directory": INPUT["source"],
    }
    (channel,) = job["InputDataConfig"]
    assert channel["ChannelName"] == "training"
    assert channel["DataSource"]["S3DataSource"]["S3Uri"] == INPUT["dataset"]


def test_job_model_and_configuration_share_one_name_sagemaker_accepts(stage: Stage) -> None:
    stage.start(stage.deploy_retrain(), INPUT).output()
    sagemaker = stage.sagemaker
    names = {
        sagemaker.named("CreateTrainingJob")[0]["TrainingJobName"],
        sagemaker.named("CreateModel")[0]["ModelName"],
        sagemaker.named("CreateEndpointConfig")[0]["EndpointConfigName"],
        sagemaker.named("CreateEndpointConfig")[0]["ProductionVariants"][0]["ModelName"],
        sagemaker.named("CreateModel")[0]["PrimaryContainer"]["Environment"]["TRAINING_JOB_NAME"],
    }
    assert len(names) == 1
    assert len(names.pop()) <= 63


def test_requests_to_the_endpoint_are_captured(stage: Stage) -> None:
    stage.start(stage.deploy_retrain(), INPUT).output()
    (config,) = stage.sagemaker.named("CreateEndpointConfig")
    assert config["DataCaptureConfig"]["EnableCapture"] is True
    assert 0 < config["DataCaptureConfig"]["InitialSamplingPercentage"] <= 100


def test_a_second_model_updates_the_endpoint(stage: Stage) -> None:
    stage.sagemaker.endpoint = {"config": "vehicles-before"}
    stage.sagemaker.statuses = ["InService", "Updating", "InService"]
    name = stage.start(stage.deploy_retrain(), INPUT).output()["name"]
    assert stage.sagemaker.endpoint == {"config": name}
    assert stage.sagemaker.named("CreateEndpoint") == []


@pytest.mark.parametrize("api", ["CreateTrainingJob", "CreateModel", "CreateEndpointConfig", "UpdateEndpoint"])
def test_a_step_that_fails_leaves_the_endpoint_alone_and_says_so(stage: Stage, api: str) -> None:
    stage.sagemaker.endpoint = {"config": "vehicles-before"}
    stage.sagemaker.fate[api] = ["out of GPUs"] * 5
    run = stage.start(stage.deploy_retrain(), INPUT)
    assert run.wait()["status"] == "FAILED"
    assert stage.sagemaker.endpoint == {"config": "vehicles-before"}
    (event,) = stage.events("Model Rejected")
    assert event["execution"] == run.arn


def test_a_busy_sagemaker_is_asked_again(stage: Stage) -> None:
    stage.sagemaker.fate["CreateModel"] = ["Rate exceeded", "Rate exceeded"]
    assert stage.start(stage.deploy_retrain(), INPUT).output()["name"]
    assert len(stage.backoffs) == 2


@pytest.mark.parametrize("statuses", [["InService", "Updating", "rolled back"], ["InService", "Failed"]])
def test_an_endpoint_that_does_not_take_the_model_rejects_it(stage: Stage, statuses: list[str]) -> None:
    stage.sagemaker.endpoint = {"config": "vehicles-before"}
    stage.sagemaker.statuses = statuses
    run = stage.start(stage.deploy_retrain(), INPUT)
    assert run.wait()["error"] == "EndpointNotInService"
    assert stage.sagemaker.endpoint["config"] == "vehicles-before"
    assert len(stage.events("Model Rejected")) == 1
