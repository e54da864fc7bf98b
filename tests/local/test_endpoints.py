"""Endpoints: serve a model archive, restart their model server, update without interruption."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any

import psutil
import pytest
from botocore.exceptions import ClientError

from tests.local.aws import ROLE, Aws, call_refused
from tests.local.fake_application import FakeApplication, unique_name
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def application(aws: Aws) -> FakeApplication:
    return FakeApplication(aws)


@pytest.fixture(scope="module")
def endpoint(application: FakeApplication) -> str:
    return application.create_endpoint("hello")


def test_an_endpoint_invokes_its_model(application: FakeApplication, endpoint: str) -> None:
    answer = application.aws.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=endpoint, ContentType="text/plain", Body=b"driver"
    )
    assert answer["Body"].read() == b"hello driver"
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    assert answer["ContentType"] == "text/plain"
    eventually(lambda: "loading" in application.aws.log_messages(f"/aws/sagemaker/Endpoints/{endpoint}"))


def test_an_invocation_counts_once_and_by_its_share_of_the_instances(application: FakeApplication) -> None:
    """Of two instances, each gets half of the invocations ("Amazon SageMaker AI metrics in Amazon CloudWatch")."""
    name = application.create_endpoint("hello", instances=2)
    application.invoke(name, "x")
    sums = {}
    for metric in ("Invocations", "InvocationsPerInstance"):
        dimensions = [{"Name": "EndpointName", "Value": name}, {"Name": "VariantName", "Value": "AllTraffic"}]
        query = {"Namespace": "AWS/SageMaker", "MetricName": metric, "Dimensions": dimensions}
        points = application.aws.client("cloudwatch").get_metric_statistics(
            **query, StartTime=time.time() - 600, EndTime=time.time() + 60, Period=60, Statistics=["Sum"]
        )["Datapoints"]
        sums[metric] = sum(point["Sum"] for point in points)
    assert sums == {"Invocations": 1.0, "InvocationsPerInstance": 0.5}


def test_an_error_of_the_model_is_a_model_error(application: FakeApplication, endpoint: str) -> None:
    runtime = application.aws.client("sagemaker-runtime")
    with pytest.raises(runtime.exceptions.ModelError) as caught:
        runtime.invoke_endpoint(EndpointName=endpoint, ContentType="image/jpeg", Body=b"\xff\xd8")
    response = caught.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert response["OriginalStatusCode"] == 500
    assert "cannot read image/jpeg" in response["OriginalMessage"]
    assert 'Received server error (500) from primary with message "' in response["Error"]["Message"]


def test_a_model_server_listens_on_this_computer_only(application: FakeApplication, endpoint: str) -> None:
    process = psutil.Process(int(application.invoke(endpoint, "process id")))
    listening = [found.laddr.ip for found in process.net_connections("tcp") if found.status == psutil.CONN_LISTEN]
    assert listening == ["127.0.0.1"]


def test_a_model_without_a_network_gets_no_credentials(application: FakeApplication) -> None:
    name = unique_name("endpoint")
    model = application.create_model("hello", EnableNetworkIsolation=True)
    config = application.create_endpoint_config(model)
    application.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
    assert application.wait_for_endpoint(name)["EndpointStatus"] == "InService"
    assert "AWS_SECRET_ACCESS_KEY" not in application.invoke(name, "environment").split()


def test_a_model_server_that_ends_is_restarted(application: FakeApplication) -> None:
    endpoint = application.create_endpoint("back")
    runtime = application.aws.client("sagemaker-runtime")
    with pytest.raises(runtime.exceptions.ModelError):
        application.invoke(endpoint, "exit")
    codes = set()

    def answer() -> str | None:
        try:
            return application.invoke(endpoint, "again")
        except ClientError as error:
            codes.add(error.response["Error"]["Code"])
            return None

    assert eventually(answer) == "back again"
    assert codes <= {"ServiceUnavailable", "ModelError"}
    os.kill(int(application.invoke(endpoint, "process id")), signal.SIGKILL)
    assert eventually(answer) == "back again"


def test_unknown_endpoints_are_refused(application: FakeApplication) -> None:
    with pytest.raises(ClientError) as caught:
        application.invoke("nothing", "x")
    assert caught.value.response["Error"] == {
        "Code": "ValidationError",
        "Message": "Endpoint nothing of account 000000000000 not found.",
    } | {key: value for key, value in caught.value.response["Error"].items() if key not in ("Code", "Message")}
    code, message = call_refused(application.sagemaker.describe_endpoint, EndpointName="nothing")
    assert code == "ValidationException"
    assert message == 'Could not find endpoint "arn:aws:sagemaker:eu-west-1:000000000000:endpoint/nothing".'


def test_an_endpoint_with_a_broken_model_fails(application: FakeApplication) -> None:
    name = unique_name("endpoint")
    config = application.create_endpoint_config(application.create_model("broken"))
    application.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
    with pytest.raises(ClientError):
        application.invoke(name, "x")
    described = application.wait_for_endpoint(name)
    assert described["EndpointStatus"] == "Failed"
    assert "did not pass the ping health check" in described["FailureReason"]
    lines = application.aws.log_messages(f"/aws/sagemaker/Endpoints/{name}")
    assert any("the model is broken" in line for line in lines)
    application.sagemaker.delete_endpoint(EndpointName=name)


def test_an_update_does_not_interrupt_the_service(application: FakeApplication) -> None:
    endpoint = application.create_endpoint("old")
    answers: list[Any] = []
    done = threading.Event()

    def keep_invoking() -> None:
        while not done.is_set():
            try:
                answers.append(application.invoke(endpoint, "x"))
            except ClientError as error:
                answers.append(error)
            time.sleep(0.01)

    thread = threading.Thread(target=keep_invoking)
    thread.start()
    config = application.create_endpoint_config(application.create_model("new"))
    application.sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=config)
    assert (
        "in-progress"
        in call_refused(application.sagemaker.update_endpoint, EndpointName=endpoint, EndpointConfigName=config)[1]
    )
    described = application.wait_for_endpoint(endpoint)
    eventually(lambda: answers[-1] == "new x")
    done.set()
    thread.join()
    assert described["EndpointConfigName"] == config
    assert set(answers) == {"old x", "new x"}
    assert answers == sorted(answers, key=lambda answer: answer == "new x")


def test_after_a_failed_update_the_previous_model_serves(application: FakeApplication) -> None:
    endpoint = application.create_endpoint("kept")
    before = application.sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointConfigName"]
    config = application.create_endpoint_config(application.create_model("broken"))
    application.sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=config)
    described = application.wait_for_endpoint(endpoint)
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", before)
    assert "ping health check" in described["FailureReason"]
    assert application.invoke(endpoint, "x") == "kept x"


def test_data_capture_is_refused(application: FakeApplication) -> None:
    capture = {
        "EnableCapture": True,
        "InitialSamplingPercentage": 100,
        "DestinationS3Uri": f"s3://{application.bucket}/capture",
        "CaptureOptions": [{"CaptureMode": "Input"}],
    }
    with pytest.raises(ClientError, match="has no data capture"):
        application.create_endpoint("captured", DataCaptureConfig=capture)


def test_deleting_an_endpoint_ends_its_process(application: FakeApplication) -> None:
    endpoint = application.create_endpoint("gone")
    process = int(application.invoke(endpoint, "process id"))
    application.sagemaker.delete_endpoint(EndpointName=endpoint)

    def code() -> str:
        try:
            application.sagemaker.describe_endpoint(EndpointName=endpoint)
            return ""
        except ClientError as error:
            return str(error.response["Error"]["Code"])

    assert eventually(code) == "ValidationException"
    assert not os.path.exists(f"/proc/{process}")


def test_invalid_models_and_configurations_are_refused_as_on_aws(application: FakeApplication) -> None:
    sagemaker = application.sagemaker
    container = {"Image": application.image, "ModelDataUrl": f"s3://{application.bucket}/none.tar.gz"}
    code, message = call_refused(
        sagemaker.create_model, ModelName="m", ExecutionRoleArn=ROLE, PrimaryContainer=container
    )
    assert (code, message.partition(". ")[0]) == (
        "ValidationException",
        f"Could not access model data at {container['ModelDataUrl']}",
    )
    missing = {**container, "Image": f"{application.repository}:none"}
    refused = call_refused(sagemaker.create_model, ModelName="m", ExecutionRoleArn=ROLE, PrimaryContainer=missing)
    assert refused == ("ValidationException", f"Requested image {application.repository}:none not found.")
    model = application.create_model("x")
    container["ModelDataUrl"] = application.put_model_archive("x")
    again = {"ModelName": model, "ExecutionRoleArn": ROLE, "PrimaryContainer": container}
    assert "Cannot create already existing model" in call_refused(sagemaker.create_model, **again)[1]
    variant = {"VariantName": "v", "ModelName": "nothing", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    message = call_refused(sagemaker.create_endpoint_config, EndpointConfigName="c", ProductionVariants=[variant])[1]
    assert message == 'Could not find model "arn:aws:sagemaker:eu-west-1:000000000000:model/nothing".'
    assert (
        "Could not find endpoint configuration"
        in call_refused(sagemaker.create_endpoint, EndpointName="e", EndpointConfigName="nothing")[1]
    )
    config = application.create_endpoint_config(model)
    assert config in [item["EndpointConfigName"] for item in sagemaker.list_endpoint_configs()["EndpointConfigs"]]
    sagemaker.delete_endpoint_config(EndpointConfigName=config)
    sagemaker.delete_model(ModelName=model)
    assert "Could not find model" in call_refused(sagemaker.describe_model, ModelName=model)[1]
