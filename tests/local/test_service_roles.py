"""What services do with roles is authorized: tasks of workflows, targets of rules, functions, jobs."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

import local
from tests.local.aws import Aws
from tests.local.definitions import invoke
from tests.local.fake_application import FakeApplication
from tests.support import embedded_aws
from tests.support.network import free_port
from tests.support.waiting import eventually

ACCOUNT = "000000000000"
ECHO = "def handler(event, context): return event"


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    settings = local.Settings(port=free_port(), directory=tmp_path_factory.mktemp("aws"))
    with embedded_aws.started(settings) as server:
        yield Aws(server)


def create_role(aws: Aws, service: str, *statements: dict[str, Any], condition: dict[str, Any] | None = None) -> str:
    """A role that the service may assume, with these statements; returns its ARN."""
    name = f"role-{uuid.uuid4().hex[:12]}"
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    trust |= {"Condition": condition} if condition else {}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    iam = aws.client("iam")
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    if statements:
        policy = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy)
    return str(arn)


def allow(action: str | list[str], resource: str, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def run_task(aws: Aws, role: str, resource: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Run a state machine of one task with a role; returns the description of the ended execution."""
    return run_state(aws, role, {"Type": "Task", "Resource": resource, "Parameters": parameters, "End": True})


def run_state(aws: Aws, role: str, state: dict[str, Any]) -> dict[str, Any]:
    """Run a state machine of one state with a role; returns the description of the ended execution."""
    machine = aws.client("stepfunctions").create_state_machine(
        name=f"machine-{uuid.uuid4().hex[:12]}",
        roleArn=role,
        definition=json.dumps({"StartAt": "Task", "States": {"Task": state}}),
    )["stateMachineArn"]
    return aws.wait_for_execution(
        aws.client("stepfunctions").start_execution(stateMachineArn=machine, input="{}")["executionArn"]
    )


def function_arn(name: str) -> str:
    return f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:{name}"


@pytest.fixture(scope="module")
def function(aws: Aws) -> str:
    return aws.create_function(ECHO, Role=create_role(aws, "lambda.amazonaws.com"))


def test_a_workflow_invokes_a_function_only_with_permission(aws: Aws, function: str) -> None:
    may = allow("lambda:InvokeFunction", function_arn(function))
    for statements, status in (((may,), "SUCCEEDED"), ((), "FAILED")):
        role = create_role(aws, "states.amazonaws.com", *statements)
        ended = run_task(aws, role, "arn:aws:states:::lambda:invoke", {"FunctionName": function, "Payload": {}})
        assert (ended["status"], ended.get("error")) == (
            status,
            None if statements else "Lambda.AWSLambdaException",
        )


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ({"StringEquals": {"aws:SourceAccount": ACCOUNT}}, "SUCCEEDED"),
        ({"StringEquals": {"aws:SourceAccount": "111111111111"}}, "FAILED"),
        ({"ArnLike": {"aws:SourceArn": f"arn:aws:states:*:{ACCOUNT}:stateMachine:machine-*"}}, "SUCCEEDED"),
        ({"ArnLike": {"aws:SourceArn": f"arn:aws:states:*:{ACCOUNT}:stateMachine:other"}}, "FAILED"),
    ],
)
def test_the_conditions_of_a_trust_policy_count(
    aws: Aws, function: str, condition: dict[str, Any], status: str
) -> None:
    may = allow("lambda:InvokeFunction", function_arn(function))
    role = create_role(aws, "states.amazonaws.com", may, condition=condition)
    ended = run_task(aws, role, "arn:aws:states:::lambda:invoke", {"FunctionName": function, "Payload": {}})
    assert ended["status"] == status


@pytest.mark.parametrize(
    ("left_out", "error"),
    [
        (None, None),
        ("states:StartExecution", "States.Permissions"),
        ("s3:ListBucket", "States.ItemReaderFailed"),
        ("s3:PutObject", "States.ResultWriterFailed"),
    ],
)
def test_a_distributed_map_needs_the_permissions_of_its_parts(
    aws: Aws, function: str, left_out: str | None, error: str | None
) -> None:
    bucket = aws.create_bucket()
    aws.client("s3").put_object(Bucket=bucket, Key="photos/1", Body=b"1")
    needed = {
        "states:StartExecution": f"arn:aws:states:eu-west-1:{ACCOUNT}:stateMachine:machine-*",
        "s3:ListBucket": f"arn:aws:s3:::{bucket}",
        "s3:PutObject": f"arn:aws:s3:::{bucket}/results/*",
        "lambda:InvokeFunction": function_arn(function),
    }
    statements = [allow(action, resource) for action, resource in needed.items() if action != left_out]
    source = {"ArnLike": {"aws:SourceArn": f"arn:aws:states:*:{ACCOUNT}:stateMachine:machine-????????????"}}
    role = create_role(aws, "states.amazonaws.com", *statements, condition=source)
    call = invoke(function, {"key.$": "$.Key"}, TimeoutSeconds=30)
    child = {"ProcessorConfig": {"Mode": "DISTRIBUTED"}, "StartAt": "Call", "States": {"Call": call}}
    reader = {"Resource": "arn:aws:states:::s3:listObjectsV2", "Parameters": {"Bucket": bucket, "Prefix": "photos/"}}
    writer = {"Resource": "arn:aws:states:::s3:putObject", "Parameters": {"Bucket": bucket, "Prefix": "results"}}
    state = {"Type": "Map", "ItemProcessor": child, "ItemReader": reader, "ResultWriter": writer, "End": True}
    assert run_state(aws, role, state).get("error") == error


def test_a_workflow_sends_and_publishes_only_with_permission(aws: Aws) -> None:
    queue = aws.client("sqs").create_queue(QueueName=f"queue-{uuid.uuid4().hex[:8]}")["QueueUrl"]
    name = queue.rpartition("/")[2]
    send = ("arn:aws:states:::sqs:sendMessage", {"QueueUrl": queue, "MessageBody": "m"})
    entry = {"Source": "a", "DetailType": "b", "Detail": {}, "EventBusName": "default"}
    publish = ("arn:aws:states:::events:putEvents", {"Entries": [entry]})
    only = {"Condition": {"StringEquals": {"events:source": "a"}}}
    sender = create_role(
        aws, "states.amazonaws.com", allow("sqs:SendMessage", f"arn:aws:sqs:eu-west-1:{ACCOUNT}:{name}")
    )
    publisher = create_role(
        aws,
        "states.amazonaws.com",
        allow("events:PutEvents", f"arn:aws:events:eu-west-1:{ACCOUNT}:event-bus/default", **only),
    )
    results = {
        (role, task[0]): run_task(aws, role, *task).get("error")
        for role in (sender, publisher)
        for task in (send, publish)
    }
    assert results == {
        (sender, send[0]): None,
        (sender, publish[0]): "EventBridge.AmazonEventBridgeException",
        (publisher, send[0]): "SQS.AmazonSQSException",
        (publisher, publish[0]): None,
    }


@pytest.fixture(scope="module")
def image(aws: Aws) -> str:
    """The URI of an image, which a role with the permissions of a build has pushed."""
    role = create_role(aws, "codebuild.amazonaws.com", allow("s3:*", "*"), allow("ecr:*", "*"), allow("logs:*", "*"))
    return FakeApplication(aws, role).image


def test_a_build_pushes_with_its_role(aws: Aws) -> None:
    role = create_role(aws, "codebuild.amazonaws.com", allow("s3:*", "*"), allow("logs:*", "*"))
    with pytest.raises(AssertionError, match="FAILED"):
        FakeApplication(aws, role)


def test_a_workflow_passes_only_the_role_that_it_may_pass(aws: Aws, image: str) -> None:
    bucket = aws.create_bucket()
    aws.client("s3").put_object(Bucket=bucket, Key="model.tar.gz", Body=b"model")
    reader = create_role(aws, "sagemaker.amazonaws.com", allow("s3:GetObject", f"arn:aws:s3:::{bucket}/*"))
    stranger = create_role(aws, "sagemaker.amazonaws.com")
    create = allow("sagemaker:CreateModel", f"arn:aws:sagemaker:eu-west-1:{ACCOUNT}:model/mine-*")
    to_sagemaker = {"Condition": {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}}
    role = create_role(aws, "states.amazonaws.com", create, allow("iam:PassRole", reader, **to_sagemaker))

    def create_model(name: str, passed: str) -> dict[str, Any]:
        container = {"Image": image, "ModelDataUrl": f"s3://{bucket}/model.tar.gz"}
        parameters = {"ModelName": name, "ExecutionRoleArn": passed, "PrimaryContainer": container}
        return run_task(aws, role, "arn:aws:states:::sagemaker:createModel", parameters)

    assert create_model("mine-1", reader)["status"] == "SUCCEEDED"
    assert "iam:PassRole" in create_model("mine-2", stranger)["cause"]
    assert "sagemaker:CreateModel" in create_model("other", reader)["cause"]


def test_a_model_needs_a_role_that_reads_its_data(aws: Aws, image: str) -> None:
    bucket = aws.create_bucket()
    aws.client("s3").put_object(Bucket=bucket, Key="model.tar.gz", Body=b"model")
    role = create_role(aws, "sagemaker.amazonaws.com")
    container = {"Image": image, "ModelDataUrl": f"s3://{bucket}/model.tar.gz"}
    with pytest.raises(aws.client("sagemaker").exceptions.ClientError, match="Could not access model data"):
        aws.client("sagemaker").create_model(ModelName="m", ExecutionRoleArn=role, PrimaryContainer=container)


def dead_letters(aws: Aws, rule: str, target: dict[str, Any]) -> Any:
    """Send an event to a rule with this target and a dead-letter queue; returns the error code of the dead letter."""
    events, sqs = aws.client("events"), aws.client("sqs")
    arn = events.put_rule(Name=rule, EventPattern=json.dumps({"source": [rule]}))["RuleArn"]
    queue_arn = f"arn:aws:sqs:eu-west-1:{ACCOUNT}:{rule}"
    statement = allow("sqs:SendMessage", queue_arn, Condition={"ArnEquals": {"aws:SourceArn": arn}})
    policy = {"Version": "2012-10-17", "Statement": [{**statement, "Principal": {"Service": "events.amazonaws.com"}}]}
    url = sqs.create_queue(QueueName=rule, Attributes={"Policy": json.dumps(policy)})["QueueUrl"]
    events.put_targets(Rule=rule, Targets=[{"Id": "1", "DeadLetterConfig": {"Arn": queue_arn}, **target}])
    events.put_events(Entries=[{"Source": rule, "DetailType": "d", "Detail": "{}"}])

    def receive() -> Any:
        found = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"]).get("Messages", [])
        return [message["MessageAttributes"]["ERROR_CODE"]["StringValue"] for message in found]

    return eventually(receive)


def test_an_event_for_a_workflow_that_the_role_may_not_start_goes_to_the_dead_letter_queue(aws: Aws) -> None:
    machine = aws.client("stepfunctions").create_state_machine(
        name="target",
        roleArn=create_role(aws, "states.amazonaws.com"),
        definition=json.dumps({"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}}),
    )["stateMachineArn"]
    role = create_role(aws, "events.amazonaws.com")
    assert dead_letters(aws, "not-started", {"Arn": machine, "RoleArn": role}) == ["NO_PERMISSIONS"]


def test_an_event_for_a_function_without_a_policy_goes_to_the_dead_letter_queue(aws: Aws, function: str) -> None:
    assert dead_letters(aws, "not-invoked", {"Arn": function_arn(function)}) == ["NO_PERMISSIONS"]


@pytest.mark.parametrize("service", ["sqs", "sns"])
def test_an_event_for_a_queue_or_a_topic_without_a_policy_goes_to_the_dead_letter_queue(aws: Aws, service: str) -> None:
    name = f"closed-{service}"
    if service == "sqs":
        aws.client("sqs").create_queue(QueueName=name)
    else:
        aws.client("sns").create_topic(Name=name)
    target = {"Arn": f"arn:aws:{service}:eu-west-1:{ACCOUNT}:{name}"}
    assert dead_letters(aws, f"to-{name}", target) == ["NO_PERMISSIONS"]


def test_an_alarm_notifies_a_topic_that_lets_cloudwatch_publish(aws: Aws) -> None:
    sns, sqs, cloudwatch = aws.client("sns"), aws.client("sqs"), aws.client("cloudwatch")
    queue = f"arn:aws:sqs:eu-west-1:{ACCOUNT}:notices"
    statement = {**allow("sqs:SendMessage", queue), "Principal": {"Service": "sns.amazonaws.com"}}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    url = sqs.create_queue(QueueName="notices", Attributes={"Policy": policy})["QueueUrl"]
    topics = []
    for name, service in (("closed", "events.amazonaws.com"), ("open", "cloudwatch.amazonaws.com")):
        topics.append(topic := sns.create_topic(Name=f"alarm-{name}")["TopicArn"])
        publish = {**allow("sns:Publish", topic), "Principal": {"Service": service}}
        document = json.dumps({"Version": "2012-10-17", "Statement": [publish]})
        sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=document)
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue)
    cloudwatch.put_metric_alarm(
        AlarmName="notifying", Namespace="n", MetricName="m", Statistic="Sum", Period=60, EvaluationPeriods=1,
        Threshold=0, ComparisonOperator="GreaterThanThreshold", AlarmActions=topics,
    )  # fmt: skip
    cloudwatch.set_alarm_state(AlarmName="notifying", StateValue="ALARM", StateReason="test")
    sources = []

    def receive() -> list[str]:
        found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        sources.extend(json.loads(message["Body"])["TopicArn"].rpartition(":")[2] for message in found)
        return sources

    # The topics are notified in the order of the alarm's actions.
    assert eventually(receive) == ["alarm-open"]


def test_a_job_reads_with_its_role(aws: Aws) -> None:
    bucket = aws.create_bucket()
    aws.client("s3").put_object(Bucket=bucket, Key="code/sourcedir.tar.gz", Body=b"code")
    role = create_role(aws, "sagemaker.amazonaws.com", allow("cloudwatch:PutMetricData", "*"))
    source = {
        "S3Uri": f"s3://{bucket}/code/",
        "S3DataType": "S3Prefix",
        "S3InputMode": "File",
        "LocalPath": "/opt/ml/processing/input/code",
    }
    sagemaker = aws.client("sagemaker")
    sagemaker.create_processing_job(
        ProcessingJobName="reader",
        RoleArn=role,
        AppSpecification={"ImageUri": "image", "ContainerEntrypoint": ["true"]},
        ProcessingResources={"ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}},
        ProcessingInputs=[{"InputName": "code", "S3Input": source}],
    )
    ended = eventually(
        lambda: sagemaker.describe_processing_job(ProcessingJobName="reader"),
        lambda found: found["ProcessingJobStatus"] != "InProgress",
    )
    assert ended["ProcessingJobStatus"] == "Failed"
    assert "AccessDenied" in ended["FailureReason"]


def error_of(aws: Aws, role: str, call: str) -> str | None:
    """The code of the error of a call that a function with this role makes; None when it succeeds."""
    source = f"""
        from boto3 import client
        def handler(event, context):
            try:
                {call}
            except Exception as error:
                return error.response["Error"]["Code"]
    """
    code, failed = aws.invoke(aws.create_function(source, Role=role))
    assert not failed, code
    return code


@pytest.mark.parametrize(("actions", "code"), [(["s3:GetObject"], "403"), (["s3:GetObject", "s3:ListBucket"], "404")])
def test_only_who_may_list_a_bucket_is_told_that_an_object_is_missing(aws: Aws, actions: list[str], code: str) -> None:
    bucket = aws.create_bucket()
    role = create_role(aws, "lambda.amazonaws.com", {"Effect": "Allow", "Action": actions, "Resource": "*"})
    assert error_of(aws, role, f'client("s3").head_object(Bucket="{bucket}", Key="none")') == code


def test_an_encrypted_topic_needs_permission_for_its_key(aws: Aws) -> None:
    key = aws.client("kms").create_key()["KeyMetadata"]["Arn"]
    topic = aws.client("sns").create_topic(Name="encrypted", Attributes={"KmsMasterKeyId": key})["TopicArn"]
    publish, encrypt = allow("sns:Publish", topic), allow(["kms:GenerateDataKey", "kms:Decrypt"], key)
    for statements, result in (((publish,), "AuthorizationError"), ((publish, encrypt), None)):
        role = create_role(aws, "lambda.amazonaws.com", *statements)
        assert error_of(aws, role, f'client("sns").publish(TopicArn="{topic}", Message="m")') == result


def test_a_function_without_permission_has_no_log(aws: Aws, function: str) -> None:
    aws.invoke(function, {})
    groups = aws.client("logs").describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{function}")["logGroups"]
    assert groups == []


def test_every_authorized_call_is_recorded_once(tmp_path: Any) -> None:
    file = tmp_path / "calls.jsonl"
    settings = local.Settings(port=free_port(), directory=tmp_path / "aws", calls=file)
    with embedded_aws.started(settings) as server:
        aws = Aws(server)
        name = aws.create_function(ECHO, Role=create_role(aws, "lambda.amazonaws.com"))
        for _ in range(2):
            aws.invoke(name, {})
    calls = [json.loads(line) for line in file.read_text().splitlines()]
    assumed = [call for call in calls if call["action"] == "sts:AssumeRole"]
    assert [call["context"]["aws:sourcearn"] for call in assumed] == [function_arn(name)]
    assert file.stat().st_mode & 0o777 == 0o600
