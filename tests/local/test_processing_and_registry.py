"""Processing jobs and the model registry."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.local.aws import ROLE, Aws, call_refused
from tests.local.definitions import machine, task
from tests.local.fake_application import FakeApplication, unique_name


@pytest.fixture(scope="module")
def application(aws: Aws) -> FakeApplication:
    return FakeApplication(aws)


def test_a_job_reads_inputs_and_uploads_outputs(application: FakeApplication) -> None:
    request = application.processing_request()
    application.sagemaker.create_processing_job(**request)
    job = application.wait_for_processing(request["ProcessingJobName"])
    assert job["ProcessingJobStatus"] == "Completed", job
    report = json.loads(application.get(f"s3://{application.bucket}/reports/report.json"))
    assert report == {"files": ["a.txt", "deep/b.txt"], "config": True, "arguments": ["evaluate", "--all"]}
    lines = application.aws.log_messages(
        "/aws/sagemaker/ProcessingJobs", logStreamNamePrefix=f"{request['ProcessingJobName']}/algo-1-"
    )
    assert lines == ["evaluating"]
    assert call_refused(application.sagemaker.create_processing_job, **request)[0] == "ResourceInUse"


def test_a_manifest_names_the_objects_of_an_input(application: FakeApplication) -> None:
    application.put("scattered/a.txt", b"a")
    application.put("scattered/deep/b.txt", b"b")
    application.put("scattered/other.txt", b"c")
    prefix = {"prefix": f"s3://{application.bucket}/scattered/"}

    def run(manifest: list[Any]) -> dict[str, Any]:
        request = application.processing_request()
        uri = application.put("manifests/one", json.dumps(manifest).encode())
        request["ProcessingInputs"][0]["S3Input"] |= {"S3DataType": "ManifestFile", "S3Uri": uri}
        application.sagemaker.create_processing_job(**request)
        return application.wait_for_processing(request["ProcessingJobName"])

    assert run([prefix, "a.txt", "deep/b.txt"])["ProcessingJobStatus"] == "Completed"
    report = json.loads(application.get(f"s3://{application.bucket}/reports/report.json"))
    assert report["files"] == ["a.txt", "deep/b.txt"]
    assert "Could not find data" in run([prefix, "missing.txt"])["FailureReason"]
    assert "outside of the input folder" in run([prefix, "../a.txt"])["FailureReason"]
    assert "is no manifest" in run(["a.txt"])["FailureReason"]


def test_a_failed_and_a_stopped_job_have_that_status(application: FakeApplication) -> None:
    failing = application.processing_request(FAIL="yes")
    application.sagemaker.create_processing_job(**failing)
    job = application.wait_for_processing(failing["ProcessingJobName"])
    assert job["ProcessingJobStatus"] == "Failed"
    assert job["FailureReason"] == "AlgorithmError: See job logs for more information"
    assert job["ExitMessage"] == "no champion in /opt/ml/processing"
    slow = application.processing_request(SLEEP="60")
    application.sagemaker.create_processing_job(**slow)
    application.sagemaker.stop_processing_job(ProcessingJobName=slow["ProcessingJobName"])
    assert application.wait_for_processing(slow["ProcessingJobName"])["ProcessingJobStatus"] == "Stopped"


def test_a_workflow_waits_for_a_job(application: FakeApplication) -> None:
    resource = "arn:aws:states:::sagemaker:createProcessingJob.sync"
    done = application.aws.run_to_end(machine(task(resource, application.processing_request())))
    assert done["output"]["ProcessingJobStatus"] == "Completed"
    failed = application.aws.run_to_end(machine(task(resource, application.processing_request(FAIL="yes"))))
    assert failed["error"] == "States.TaskFailed"
    assert "no champion" in json.loads(failed["cause"])["ExitMessage"]


def test_packages_are_versioned_approved_and_deployed(application: FakeApplication) -> None:
    sagemaker, group = application.sagemaker, unique_name("vehicles")
    sagemaker.create_model_package_group(ModelPackageGroupName=group, Tags=[{"Key": "stage", "Value": "dev"}])
    address = sagemaker.describe_model_package_group(ModelPackageGroupName=group)["ModelPackageGroupArn"]
    assert sagemaker.list_tags(ResourceArn=address)["Tags"] == [{"Key": "stage", "Value": "dev"}]
    assert "already exists" in call_refused(sagemaker.create_model_package_group, ModelPackageGroupName=group)[1]
    packages = []
    for word in ("first", "second"):
        specification = {
            "Containers": [{"Image": application.image, "ModelDataUrl": application.put_model_archive(word)}],
            "SupportedContentTypes": ["text/plain"],
            "SupportedResponseMIMETypes": ["text/plain"],
        }
        answer = sagemaker.create_model_package(
            ModelPackageGroupName=group, InferenceSpecification=specification, CustomerMetadataProperties={"word": word}
        )
        packages.append(answer["ModelPackageArn"])
    assert packages[1].endswith(f"model-package/{group}/2")
    first = sagemaker.describe_model_package(ModelPackageName=packages[0])
    assert (first["ModelPackageVersion"], first["ModelApprovalStatus"]) == (1, "PendingManualApproval")
    sagemaker.update_model_package(
        ModelPackageArn=packages[0], ModelApprovalStatus="Approved", CustomerMetadataProperties={"by": "gate"}
    )
    listed = sagemaker.list_model_packages(ModelPackageGroupName=group, ModelApprovalStatus="Approved")
    assert [item["ModelPackageVersion"] for item in listed["ModelPackageSummaryList"]] == [1]
    properties = sagemaker.describe_model_package(ModelPackageName=packages[0])["CustomerMetadataProperties"]
    assert properties == {"word": "first", "by": "gate"}

    model = unique_name("model")
    container = {"ModelPackageName": packages[0]}
    sagemaker.create_model(ModelName=model, ExecutionRoleArn=ROLE, PrimaryContainer=container)
    endpoint = unique_name("endpoint")
    config = application.create_endpoint_config(model)
    sagemaker.create_endpoint(EndpointName=endpoint, EndpointConfigName=config)
    assert application.wait_for_endpoint(endpoint)["EndpointStatus"] == "InService"
    assert application.invoke(endpoint, "x") == "first x"

    assert call_refused(sagemaker.delete_model_package_group, ModelPackageGroupName=group)[0] == "ConflictException"
    for package in packages:
        sagemaker.delete_model_package(ModelPackageName=package)
    sagemaker.delete_model_package_group(ModelPackageGroupName=group)
    assert "does not exist" in call_refused(sagemaker.list_model_packages, ModelPackageGroupName=group)[1]
