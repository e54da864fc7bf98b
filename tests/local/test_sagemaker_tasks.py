"""SageMaker in Task states: wait for jobs, stop them, models, endpoints, AWS's error names."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.local.aws import ROLE, Aws
from tests.local.definitions import machine, task
from tests.local.fake_application import FakeApplication, unique_name
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def application(aws: Aws) -> FakeApplication:
    return FakeApplication(aws)


TRAIN = "arn:aws:states:::sagemaker:createTrainingJob.sync"


def test_a_workflow_trains_and_deploys(application: FakeApplication) -> None:
    aws, request = application.aws, application.training_request({"word": "flow"})
    model, config, endpoint = unique_name("model"), unique_name("config"), unique_name("endpoint")
    container = {"Image": application.image, "ModelDataUrl.$": "$.training.ModelArtifacts.S3ModelArtifacts"}
    create_model = {"ModelName": model, "ExecutionRoleArn": ROLE, "PrimaryContainer": container}
    variant = {"VariantName": "v", "ModelName": model, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    create_config = {"EndpointConfigName": config, "ProductionVariants": [variant]}
    create_endpoint = {"EndpointName": endpoint, "EndpointConfigName": config}
    selector = {"Status.$": "$.EndpointStatus", "Created.$": "$.CreationTime"}
    ended = aws.run_to_end(
        machine(
            task(TRAIN, request, ResultPath="$.training", End=False, Next="Model"),
            Model=task(
                "arn:aws:states:::sagemaker:createModel", create_model, ResultPath=None, End=False, Next="Config"
            ),
            Config=task(
                "arn:aws:states:::sagemaker:createEndpointConfig",
                create_config,
                ResultPath=None,
                End=False,
                Next="Endpoint",
            ),
            Endpoint=task(
                "arn:aws:states:::sagemaker:createEndpoint",
                create_endpoint,
                ResultPath="$.endpoint",
                End=False,
                Next="Look",
            ),
            Look=task(
                "arn:aws:states:::aws-sdk:sagemaker:describeEndpoint",
                {"EndpointName": endpoint},
                ResultSelector=selector,
                ResultPath="$.described",
                End=False,
                Next="Ready?",
            ),
            **{
                "Ready?": {
                    "Type": "Choice",
                    "Choices": [
                        {"Variable": "$.described.Status", "StringEquals": "InService", "Next": "Done"},
                        {"Variable": "$.described.Status", "StringEquals": "Creating", "Next": "Wait"},
                    ],
                    "Default": "Failed",
                },
                "Wait": {"Type": "Wait", "Seconds": 1, "Next": "Look"},
                "Done": {"Type": "Succeed"},
                "Failed": {"Type": "Fail"},
            },
        )
    )
    assert ended["status"] == "SUCCEEDED", ended
    training = ended["output"]["training"]
    assert training["TrainingJobStatus"] == "Completed"
    assert training["CreationTime"] > 1e12
    assert ended["output"]["endpoint"] == {
        "EndpointArn": f"arn:aws:sagemaker:eu-west-1:000000000000:endpoint/{endpoint}"
    }
    assert ended["output"]["described"]["Created"].endswith("Z")
    assert application.invoke(endpoint, "x") == "flow x"


def test_a_failed_job_is_a_failed_task(application: FakeApplication) -> None:
    ended = application.aws.run_to_end(machine(task(TRAIN, application.training_request({"fail": "written"}))))
    assert ended["error"] == "States.TaskFailed"
    cause = json.loads(ended["cause"])
    assert cause["TrainingJobStatus"] == "Failed"
    assert "the photos in /opt/ml/input/data are gone" in cause["FailureReason"]


@pytest.mark.parametrize("how", ["stopped", "timed out"])
def test_a_job_is_stopped_with_its_state(application: FakeApplication, how: str) -> None:
    request = application.training_request({"sleep": "60"})
    limit: dict[str, Any] = {"TimeoutSeconds": 3} if how == "timed out" else {}
    states = application.aws.client("stepfunctions")
    arn = application.aws.create_state_machine(machine(task(TRAIN, request, **limit)))
    execution = states.start_execution(stateMachineArn=arn)["executionArn"]
    eventually(
        lambda: application.aws.client("sagemaker").list_training_jobs(NameContains=request["TrainingJobName"])[
            "TrainingJobSummaries"
        ]
    )
    if how == "stopped":
        states.stop_execution(executionArn=execution)
    ended = application.aws.wait_for_execution(execution)
    assert ended["status"] == ("ABORTED" if how == "stopped" else "FAILED")
    assert application.wait_for_training(request["TrainingJobName"])["TrainingJobStatus"] == "Stopped"


def test_errors_have_the_names_of_aws(application: FakeApplication) -> None:
    aws, request = application.aws, application.training_request()
    application.sagemaker.create_training_job(**request)
    ended = aws.run_to_end(machine(task(TRAIN, request)))
    assert ended["error"] == "SageMaker.ResourceInUseException"
    assert "(Service: AmazonSageMaker; Status Code: 400; Error Code: ResourceInUse;" in ended["cause"]
    unknown = {"EndpointName": "nothing", "EndpointConfigName": "nothing"}
    ended = aws.run_to_end(machine(task("arn:aws:states:::sagemaker:updateEndpoint", unknown)))
    assert ended["error"] == "SageMaker.AmazonSageMakerException"
    describe = {"EndpointName": "nothing"}
    ended = aws.run_to_end(machine(task("arn:aws:states:::aws-sdk:sagemaker:describeEndpoint", describe)))
    assert ended["error"] == "SageMaker.SageMakerException"
    assert "Could not find endpoint" in ended["cause"]
    ended = aws.run_to_end(machine(task("arn:aws:states:::sagemaker:updateEndpoint", {**unknown, "Tags": []})))
    assert 'Unknown parameter in input: "Tags"' in ended["cause"]
