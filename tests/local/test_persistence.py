"""`down` and `up` keep the state of every service; a killed server loses what changed after the last save."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import local
from local.persistence.folder import StateFolder
from tests.local.aws import ROLE, Aws, call_refused
from tests.local.definitions import machine
from tests.local.fake_application import FakeApplication
from tests.local.http_requests import client_with_key
from tests.local.test_cloudformation import deploy
from tests.local.test_map_runs import distributed
from tests.support.network import free_port
from tests.support.waiting import eventually

PHOTO = bytes(range(256)) * 400
WAIT_FOR_TOKEN = {
    "Type": "Task",
    "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
    "End": True,
}


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[local.Settings]:
    settings = local.Settings(port=free_port(), authorization=False, directory=tmp_path / "aws", save_interval_s=0.2)
    yield settings
    local.stop(settings)


def start(settings: local.Settings) -> Aws:
    server, started = local.start(settings)
    assert started
    return Aws(server)


def restart(settings: local.Settings) -> Aws:
    assert local.stop(settings)
    return start(settings)


def command(settings: local.Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "local", *arguments],
        env={**os.environ, **settings.as_environment()},
        capture_output=True,
        text=True,
        timeout=60,
    )


def kill_after_a_save(settings: local.Settings) -> None:
    """Kill the server after a save that began after this call."""
    server = local.running(settings)
    assert server is not None
    folder = StateFolder(settings.state)
    before = folder.unsaved_since()
    # The save that is running now may have read the stores already.
    for _ in range(2):
        before = eventually(folder.unsaved_since, lambda now, last=before: now != last, what="a save")
    process = psutil.Process(server.pid)
    process.send_signal(signal.SIGKILL)
    process.wait(10)


def put_photo(aws: Aws) -> str:
    bucket = aws.create_bucket()
    aws.client("s3").put_object(Bucket=bucket, Key="a/photo.jpg", Body=PHOTO, ContentType="image/jpeg", Tagging="by=me")
    return bucket


def assert_photo(aws: Aws, bucket: str) -> None:
    found = aws.client("s3").get_object(Bucket=bucket, Key="a/photo.jpg")
    assert found["Body"].read() == PHOTO
    assert found["ContentType"] == "image/jpeg"
    assert aws.client("s3").get_object_tagging(Bucket=bucket, Key="a/photo.jpg")["TagSet"] == [
        {"Key": "by", "Value": "me"}
    ]


def create_table(aws: Aws) -> None:
    key = {"AttributeName": "id", "KeyType": "HASH"}
    aws.client("dynamodb").create_table(
        TableName="labels",
        KeySchema=[key],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    aws.client("dynamodb").put_item(
        TableName="labels", Item={"id": {"S": "1"}, "thumbnail": {"B": b"\x00\xff"}, "names": {"SS": ["a", "b"]}}
    )


def test_data_and_configuration_survive_down_and_up(settings: local.Settings) -> None:
    aws = start(settings)
    bucket = put_photo(aws)
    create_table(aws)
    url = aws.client("sqs").create_queue(QueueName="reviews")["QueueUrl"]
    aws.client("sqs").send_message(QueueUrl=url, MessageBody="first")
    aws.client("ssm").put_parameter(Name="/threshold", Value="0.9", Type="String")
    aws.client("iam").create_user(UserName="ada")
    key = aws.client("iam").create_access_key(UserName="ada")["AccessKey"]
    aws.client("logs").create_log_group(logGroupName="/group")
    alarm = {"Namespace": "n", "MetricName": "m", "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 1}
    aws.client("cloudwatch").put_metric_alarm(
        AlarmName="alarm", Threshold=1, ComparisonOperator="GreaterThanThreshold", **alarm
    )

    aws = restart(settings)

    assert_photo(aws, bucket)
    item = aws.client("dynamodb").get_item(TableName="labels", Key={"id": {"S": "1"}})["Item"]
    assert item == {"id": {"S": "1"}, "thumbnail": {"B": b"\x00\xff"}, "names": {"SS": ["a", "b"]}}
    aws.client("dynamodb").put_item(TableName="labels", Item={"id": {"S": "2"}})
    assert aws.client("sqs").get_queue_url(QueueName="reviews")["QueueUrl"] == url
    assert [message["Body"] for message in aws.client("sqs").receive_message(QueueUrl=url)["Messages"]] == ["first"]
    assert aws.client("ssm").get_parameter(Name="/threshold")["Parameter"]["Value"] == "0.9"
    sts = client_with_key(aws, "sts", key["AccessKeyId"], key["SecretAccessKey"])
    assert sts.get_caller_identity()["Arn"] == "arn:aws:iam::000000000000:user/ada"
    assert [group["logGroupName"] for group in aws.client("logs").describe_log_groups()["logGroups"]] == ["/group"]
    assert len(aws.client("cloudwatch").describe_alarms(AlarmNames=["alarm"])["MetricAlarms"]) == 1


def test_versions_of_an_object_survive(settings: local.Settings) -> None:
    aws = start(settings)
    bucket, s3 = aws.create_bucket(), aws.client("s3")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    versions = [s3.put_object(Bucket=bucket, Key="k", Body=body)["VersionId"] for body in (PHOTO, PHOTO[::-1])]
    s3.delete_object(Bucket=bucket, Key="k")
    s3 = restart(settings).client("s3")
    assert call_refused(s3.get_object, Bucket=bucket, Key="k")[0] == "NoSuchKey"
    bodies = [s3.get_object(Bucket=bucket, Key="k", VersionId=version)["Body"].read() for version in versions]
    assert bodies == [PHOTO, PHOTO[::-1]]


def test_a_stack_a_function_and_a_rule_work_after_up(settings: local.Settings) -> None:
    aws = start(settings)
    function = aws.create_function("def handler(event, context): return ['answer', event]")
    task = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "End": True}
    definition = machine({**task, "Parameters": {"FunctionName": function, "Payload.$": "$"}})
    arn = aws.create_state_machine(definition)
    finished = aws.client("stepfunctions").start_execution(stateMachineArn=arn, input="{}")["executionArn"]
    before = aws.wait_for_execution(finished)
    aws.client("events").put_rule(Name="rule", EventPattern=json.dumps({"source": ["test"]}))
    aws.client("events").put_targets(Rule="rule", Targets=[{"Id": "1", "Arn": arn, "RoleArn": ROLE}])
    queue = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "stack-queue"}}
    deploy(aws, "stack", {"Queue": queue}, {"Url": {"Ref": "Queue"}})

    aws = restart(settings)

    assert aws.invoke(function, 1) == (["answer", 1], False)
    described = aws.wait_for_execution(finished)
    assert described["status"] == before["status"] == "SUCCEEDED"
    assert described["output"] == before["output"]
    aws.client("events").put_events(Entries=[{"Source": "test", "DetailType": "t", "Detail": "{}"}])
    eventually(
        lambda: aws.client("stepfunctions").list_executions(stateMachineArn=arn, statusFilter="SUCCEEDED")[
            "executions"
        ],
        lambda found: len(found) == 2,
        timeout_s=20,
    )
    queue["Properties"] = {"QueueName": "stack-queue", "VisibilityTimeout": 77}
    outputs = deploy(aws, "stack", {"Queue": queue}, {"Url": {"Ref": "Queue"}}, update=True)
    attributes = aws.client("sqs").get_queue_attributes(QueueUrl=outputs["Url"], AttributeNames=["VisibilityTimeout"])
    assert attributes["Attributes"] == {"VisibilityTimeout": "77"}


def test_an_endpoint_and_the_registry_survive_and_running_jobs_have_failed(settings: local.Settings) -> None:
    application = FakeApplication(start(settings))
    endpoint = application.create_endpoint("hello")
    assert application.invoke(endpoint, "driver") == "hello driver"
    target = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{endpoint}/variant/AllTraffic",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
    application.aws.client("application-autoscaling").register_scalable_target(**target, MinCapacity=2, MaxCapacity=3)
    sagemaker = application.sagemaker
    sagemaker.create_model_package_group(ModelPackageGroupName="group", Tags=[{"Key": "k", "Value": "v"}])
    package = sagemaker.create_model_package(ModelPackageGroupName="group", CustomerMetadataProperties={"a": "b"})
    job = application.start_training({"sleep": "600"})
    statuses = ("InProgress", "Training")
    eventually(
        lambda: sagemaker.describe_training_job(TrainingJobName=job),
        lambda found: (found["TrainingJobStatus"], found["SecondaryStatus"]) == statuses,
        timeout_s=30,
    )

    aws = restart(settings)

    application.aws, application.sagemaker = aws, aws.client("sagemaker")
    restored = application.sagemaker.describe_endpoint(EndpointName=endpoint)
    assert restored["EndpointStatus"] == "InService"
    assert restored["ProductionVariants"][0]["DesiredInstanceCount"] == 2
    assert aws.client("application-autoscaling").deregister_scalable_target(**target)
    assert application.invoke(endpoint, "driver") == "hello driver"
    described = application.sagemaker.describe_model_package(ModelPackageName=package["ModelPackageArn"])
    assert described["CustomerMetadataProperties"] == {"a": "b"}
    following = application.sagemaker.create_model_package(ModelPackageGroupName="group")["ModelPackageArn"]
    assert following.endswith("/2")
    ended = application.sagemaker.describe_training_job(TrainingJobName=job)
    assert ended["TrainingJobStatus"] == "Failed"
    assert "was stopped while the job ran" in ended["FailureReason"]


def test_a_waiting_execution_has_ended_after_up(settings: local.Settings) -> None:
    aws = start(settings)
    url = aws.client("sqs").create_queue(QueueName="tokens")["QueueUrl"]
    parameters = {"QueueUrl": url, "MessageBody.$": "$$.Task.Token"}
    arn = aws.create_state_machine(machine({**WAIT_FOR_TOKEN, "Parameters": parameters}))
    execution = aws.client("stepfunctions").start_execution(stateMachineArn=arn)["executionArn"]
    received = eventually(lambda: aws.client("sqs").receive_message(QueueUrl=url).get("Messages"), timeout_s=20)

    states = restart(settings).client("stepfunctions")

    assert states.describe_execution(executionArn=execution)["status"] == "FAILED"
    last: dict[str, Any] = states.get_execution_history(executionArn=execution)["events"][-1]
    assert last["type"] == "ExecutionFailed"
    assert last["executionFailedEventDetails"]["error"] == "States.ServiceRestart"
    refusal = call_refused(states.send_task_success, taskToken=received[0]["Body"], output="{}")
    assert refusal[0] in ("TaskTimedOut", "TaskDoesNotExist", "InvalidToken")


def test_a_map_run_of_a_killed_server_has_ended(settings: local.Settings) -> None:
    aws = start(settings)
    waiting = distributed({"Wait": {"Type": "Wait", "Seconds": 600, "End": True}}, MaxConcurrency=1)
    arn = aws.create_state_machine(machine(waiting))
    execution = aws.client("stepfunctions").start_execution(stateMachineArn=arn, input="[1, 2, 3]")["executionArn"]
    eventually(
        lambda: map_run(aws, execution)["itemCounts"], lambda counts: (counts["pending"], counts["running"]) == (2, 1)
    )
    kill_after_a_save(settings)

    aws = start(settings)

    assert aws.client("stepfunctions").describe_execution(executionArn=execution)["status"] == "FAILED"
    run = map_run(aws, execution)
    counts = {name: count for name, count in run["itemCounts"].items() if count}
    assert (run["status"], counts) == ("FAILED", {"total": 3, "failed": 1, "aborted": 2})
    (child,) = aws.client("stepfunctions").list_executions(mapRunArn=run["mapRunArn"])["executions"]
    assert child["status"] == "FAILED"
    refusal = call_refused(
        aws.client("stepfunctions").describe_state_machine, stateMachineArn=f"{arn}/{waiting['Label']}"
    )
    assert refusal[0] == "StateMachineDoesNotExist"


def map_run(aws: Aws, execution: str) -> dict[str, Any]:
    """The only Map Run of an execution, described; no counts before it has begun."""
    states = aws.client("stepfunctions")
    runs = states.list_map_runs(executionArn=execution)["mapRuns"]
    described: dict[str, Any] = {"itemCounts": {"pending": 0, "running": 0}}
    for run in runs:
        described = states.describe_map_run(mapRunArn=run["mapRunArn"])
    return described


def test_a_killed_server_keeps_what_was_saved_and_up_says_what_is_missing(settings: local.Settings) -> None:
    bucket = put_photo(start(settings))
    kill_after_a_save(settings)
    up = command(settings, "up")
    assert "Restored 0 stacks, 1 object, 0 items, 0 messages, 0 endpoints." in up.stdout
    assert "It was not stopped with make down. Its state is of " in up.stdout
    server = local.running(settings)
    assert server is not None
    assert_photo(Aws(server), bucket)
    assert local.stop(settings)
    assert "not stopped" not in command(settings, "up").stdout


def test_down_says_what_is_kept_and_data_yes_forgets_it(settings: local.Settings) -> None:
    put_photo(start(settings))
    down = command(settings, "down")
    assert "Kept for the next start" in down.stdout
    assert "make down DATA=yes" in down.stdout
    down = command(settings, "down", "--data")
    assert "was forgotten" in down.stdout
    assert not settings.state.exists()
    assert start(settings).client("s3").list_buckets()["Buckets"] == []


def test_down_fails_when_the_last_save_did(settings: local.Settings) -> None:
    put_photo(start(settings))
    temporary = StateFolder(settings.state).snapshot.with_suffix(".tmp")
    eventually(lambda: not temporary.exists() and create_folder(temporary), timeout_s=10)
    down = command(settings, "down")
    assert down.returncode == 1
    assert f"were not saved. The reason is in {settings.log}." in down.stdout
    assert "IsADirectoryError" in settings.log.read_text()


def create_folder(path: Path) -> bool:
    try:
        path.mkdir()
    except FileExistsError:
        return False
    return True


def test_an_object_that_was_deleted_is_removed_from_the_folder(settings: local.Settings) -> None:
    aws = start(settings)
    bucket = put_photo(aws)
    folder = StateFolder(settings.state)
    eventually(lambda: folder.blobs.exists() and list(folder.blobs.iterdir()), timeout_s=10)
    aws.client("s3").delete_object(Bucket=bucket, Key="a/photo.jpg")
    eventually(lambda: list(folder.blobs.iterdir()), lambda files: files == [], timeout_s=10)


def test_without_an_interval_nothing_is_kept(settings: local.Settings) -> None:
    without = local.Settings(port=settings.port, authorization=False, directory=settings.directory, save_interval_s=0)
    put_photo(start(without))
    local.stop(without)
    assert not settings.state.exists()
