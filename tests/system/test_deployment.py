"""Deploying a stage, deploying it again, and removing it."""

from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from deploy import removal, system
from deploy.errors import DeployError
from deploy.outputs import Deployed
from deploy.target import Target
from operate.uploads import ROUTED
from tests.support.upload_stage import UploadStage


def all_resources() -> dict[str, list[str]]:
    """Return the names of the resources of the account, by kind."""
    clients: dict[str, Any] = {name: boto3.client(name) for name in (
        "s3", "sqs", "lambda", "stepfunctions", "dynamodb", "events", "logs", "iam", "ssm", "sns", "cloudwatch",
    )}  # fmt: skip
    return {
        "buckets": [bucket["Name"] for bucket in clients["s3"].list_buckets()["Buckets"]],
        "queues": clients["sqs"].list_queues().get("QueueUrls", []),
        "functions": [one["FunctionName"] for one in clients["lambda"].list_functions()["Functions"]],
        "workflows": [one["name"] for one in clients["stepfunctions"].list_state_machines()["stateMachines"]],
        "tables": clients["dynamodb"].list_tables()["TableNames"],
        "buses": [
            one["Name"] for one in clients["events"].list_event_buses()["EventBuses"] if one["Name"] != "default"
        ],
        "rules": [one["Name"] for one in clients["events"].list_rules()["Rules"]],
        "log groups": [one["logGroupName"] for one in clients["logs"].describe_log_groups()["logGroups"]],
        "roles": [one["RoleName"] for one in clients["iam"].list_roles()["Roles"]],
        "parameters": [one["Name"] for one in clients["ssm"].describe_parameters()["Parameters"]],
        "topics": [one["TopicArn"] for one in clients["sns"].list_topics()["Topics"]],
        "alarms": [one["AlarmName"] for one in clients["cloudwatch"].describe_alarms()["MetricAlarms"]],
    }


def resources_of(found: dict[str, list[str]], stage: str) -> dict[str, list[str]]:
    return {
        kind: mine for kind, names in found.items() if (mine := [name for name in names if f"scones-{stage}" in name])
    }


def test_deploying_again_changes_nothing_and_reports_that(target: Target, deployed: Deployed) -> None:
    lines: list[str] = []
    assert Deployed.of(system.deploy(target, progress=lines.append)) == deployed
    assert any("nothing to deploy" in line for line in lines)


def test_a_forged_artefact_is_not_deployed(embedded_aws: Any) -> None:
    other = Target("local", "forged")
    outputs = system.deploy(other, progress=lambda line: None)
    s3: Any = boto3.client("s3")
    bucket = outputs["ArtifactsBucket"]
    keys = [found["Key"] for found in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    (key,) = [key for key in keys if key.startswith("classify_photo-")]
    with pytest.raises(ClientError, match="explicit deny in a resource-based policy"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"forged")
    s3.delete_object(Bucket=bucket, Key=key)
    s3.put_object(Bucket=bucket, Key=key, Body=b"forged", IfNoneMatch="*")
    with pytest.raises(DeployError, match=f"s3://{bucket}/{key} is not what was built"):
        system.deploy(other, progress=lambda line: None)
    removal.destroy(other, with_data=True, progress=lambda line: None)


def test_a_stage_can_be_removed_completely_and_deployed_again(embedded_aws: Any) -> None:
    other = Target("local", "second")
    system.deploy(other, progress=lambda line: None)
    assert len(resources_of(all_resources(), "second")) >= 10
    removal.destroy(other, with_data=True, progress=lambda line: None)
    assert resources_of(all_resources(), "second") == {}
    outputs = system.deploy(other, progress=lambda line: None)
    assert set(outputs) >= {"UploadsBucket", "ClassifyPhotoArn"}
    removal.destroy(other, with_data=True, progress=lambda line: None)


def test_data_is_kept_when_the_stack_is_removed(embedded_aws: Any) -> None:
    other = Target("local", "third")
    outputs = system.deploy(other, progress=lambda line: None)
    s3: Any = boto3.client("s3")
    # Under another prefix it starts no execution, whose log lines would create a log group again.
    s3.put_object(Bucket=outputs["UploadsBucket"], Key="partners/kept", Body=b"photo")
    removal.destroy(other, with_data=False, progress=lambda line: None)
    left = resources_of(all_resources(), "third")
    assert set(left) == {"buckets", "tables", "roles", "log groups"}
    assert left["log groups"] == ["/aws/codebuild/scones-third-image"]
    again = system.deploy(other, progress=lambda line: None)
    assert s3.get_object(Bucket=again["UploadsBucket"], Key="partners/kept")["Body"].read() == b"photo"
    removal.destroy(other, with_data=True, progress=lambda line: None)


def test_after_removing_and_deploying_a_stage_the_champion_serves_again(
    upload_stage: UploadStage, target: Target
) -> None:
    sagemaker: Any = boto3.client("sagemaker")
    name = upload_stage.deployed.endpoint_name
    before = sagemaker.describe_endpoint(EndpointName=name)["EndpointConfigName"]
    removal.destroy(target, with_data=False, progress=lambda line: None)
    assert [endpoint["EndpointName"] for endpoint in sagemaker.list_endpoints(NameContains=name)["Endpoints"]] == []
    assert Deployed.of(system.deploy(target, progress=lambda line: None)) == upload_stage.deployed
    assert sagemaker.describe_endpoint(EndpointName=name)["EndpointConfigName"] == before
    boto3.client("ssm").put_parameter(Name=upload_stage.deployed.threshold_parameter, Value="0.0", Overwrite=True)
    (result,) = upload_stage.upload(upload_stage.photo_of("bicycle", 6))
    assert (result.outcome, result.decision["model_version"]) == (ROUTED, before)
