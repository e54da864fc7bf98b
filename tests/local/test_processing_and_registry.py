"""Processing jobs and the model registry."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.local.conftest import ROLE, Aws, eventually
from tests.local.fake_application import FakeApplication, targz, unique
from tests.local.test_states import machine, task
from tests.local.test_training_jobs import refusal

SCRIPT = b"""
import json, os, pathlib, sys, time
source, target = map(pathlib.Path, sys.argv[1:3])
print("evaluating", flush=True)
if os.environ.get("SLEEP"): time.sleep(float(os.environ["SLEEP"]))
if os.environ.get("FAIL"):
    raise ValueError("no champion")
files = sorted(str(p.relative_to(source)) for p in source.rglob("*") if p.is_file())
(target / "report.json").write_text(json.dumps({"files": files, "config": os.path.exists(os.environ["CONFIG"])}))
"""


@pytest.fixture(scope="module")
def application(aws: Aws) -> FakeApplication:
    application = FakeApplication(aws)
    application.put("code/evaluate.py", SCRIPT)
    return application


def request(application: FakeApplication, **variables: str) -> dict[str, Any]:
    base = "/opt/ml/processing"

    def source(name: str, key: str) -> dict[str, Any]:
        uri = f"s3://{application.bucket}/{key}"
        where = {"S3Uri": uri, "LocalPath": f"{base}/{name}", "S3DataType": "S3Prefix", "S3InputMode": "File"}
        return {"InputName": name, "S3Input": where}

    output = {"S3Uri": f"s3://{application.bucket}/reports", "LocalPath": f"{base}/report", "S3UploadMode": "EndOfJob"}
    return {
        "ProcessingJobName": unique("processing"),
        "RoleArn": ROLE,
        "ProcessingResources": {
            "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}
        },
        "AppSpecification": {
            "ImageUri": "image",
            "ContainerEntrypoint": ["python3", f"{base}/code/evaluate.py"],
            "ContainerArguments": [f"{base}/data", f"{base}/report"],
        },
        "Environment": {"CONFIG": "/opt/ml/config/processingjobconfig.json", **variables},
        "ProcessingInputs": [source("code", "code/evaluate.py"), source("data", "data/train")],
        "ProcessingOutputConfig": {"Outputs": [{"OutputName": "report", "S3Output": output}]},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    }


def ended(application: FakeApplication, name: str) -> dict[str, Any]:
    return dict(
        eventually(
            lambda: application.sagemaker.describe_processing_job(ProcessingJobName=name),
            lambda job: job["ProcessingJobStatus"] not in ("InProgress", "Stopping"),
        )
    )


def test_a_job_reads_inputs_and_uploads_outputs(application: FakeApplication) -> None:
    wanted = request(application)
    application.sagemaker.create_processing_job(**wanted)
    job = ended(application, wanted["ProcessingJobName"])
    assert job["ProcessingJobStatus"] == "Completed", job
    report = json.loads(application.get(f"s3://{application.bucket}/reports/report.json"))
    assert report == {"files": ["a.txt", "deep/b.txt"], "config": True}
    lines = application.aws.logs(
        "/aws/sagemaker/ProcessingJobs", logStreamNamePrefix=f"{wanted['ProcessingJobName']}/algo-1-"
    )
    assert lines == ["evaluating"]
    assert refusal(application.sagemaker.create_processing_job, **wanted)[0] == "ResourceInUse"


def test_a_shell_command_may_name_paths_of_the_container(application: FakeApplication) -> None:
    wanted = request(application)
    application.put("code/sourcedir.tar.gz", targz({"compare.py": SCRIPT.decode()}))
    code = wanted["ProcessingInputs"][0]["S3Input"]
    code["S3Uri"] = f"s3://{application.bucket}/code/sourcedir.tar.gz"
    wanted["AppSpecification"]["ContainerEntrypoint"] = [
        "bash",
        "-c",
        'cd /opt/ml/processing/code && tar -xzf sourcedir.tar.gz && exec python3 -m compare "$@"',
        "compare",
    ]
    application.sagemaker.create_processing_job(**wanted)
    job = ended(application, wanted["ProcessingJobName"])
    assert job["ProcessingJobStatus"] == "Completed", job.get("FailureReason")


def test_a_failed_and_a_stopped_job_say_so(application: FakeApplication) -> None:
    failing = request(application, FAIL="yes")
    application.sagemaker.create_processing_job(**failing)
    job = ended(application, failing["ProcessingJobName"])
    assert job["ProcessingJobStatus"] == "Failed"
    assert "ValueError: no champion" in job["FailureReason"]
    assert job["FailureReason"].endswith("exit code: 1")
    slow = request(application, SLEEP="60")
    application.sagemaker.create_processing_job(**slow)
    application.sagemaker.stop_processing_job(ProcessingJobName=slow["ProcessingJobName"])
    assert ended(application, slow["ProcessingJobName"])["ProcessingJobStatus"] == "Stopped"


def test_a_workflow_waits_for_a_job(application: FakeApplication) -> None:
    resource = "arn:aws:states:::sagemaker:createProcessingJob.sync"
    done = application.aws.execute(machine(task(resource, request(application))))
    assert done["output"]["ProcessingJobStatus"] == "Completed"
    failed = application.aws.execute(machine(task(resource, request(application, FAIL="yes"))))
    assert failed["error"] == "States.TaskFailed"
    assert "no champion" in json.loads(failed["cause"])["FailureReason"]


def test_packages_are_versioned_approved_and_deployed(application: FakeApplication) -> None:
    sagemaker, group = application.sagemaker, unique("vehicles")
    sagemaker.create_model_package_group(ModelPackageGroupName=group, Tags=[{"Key": "stage", "Value": "dev"}])
    address = sagemaker.describe_model_package_group(ModelPackageGroupName=group)["ModelPackageGroupArn"]
    assert sagemaker.list_tags(ResourceArn=address)["Tags"] == [{"Key": "stage", "Value": "dev"}]
    assert "already exists" in refusal(sagemaker.create_model_package_group, ModelPackageGroupName=group)[1]
    packages = []
    for word in ("first", "second"):
        specification = {
            "Containers": [{"Image": "image", "ModelDataUrl": application.model_archive(word)}],
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

    model = unique("model")
    container = {"ModelPackageName": packages[0]}
    sagemaker.create_model(ModelName=model, ExecutionRoleArn=ROLE, PrimaryContainer=container)
    endpoint = unique("endpoint")
    config = application.endpoint_config(model)
    sagemaker.create_endpoint(EndpointName=endpoint, EndpointConfigName=config)
    assert application.settled(endpoint)["EndpointStatus"] == "InService"
    assert application.ask(endpoint, "x") == "first x"

    assert refusal(sagemaker.delete_model_package_group, ModelPackageGroupName=group)[0] == "ConflictException"
    for package in packages:
        sagemaker.delete_model_package(ModelPackageName=package)
    sagemaker.delete_model_package_group(ModelPackageGroupName=group)
    assert "does not exist" in refusal(sagemaker.list_model_packages, ModelPackageGroupName=group)[1]
