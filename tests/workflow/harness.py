"""The workflows in moto's interpreter: the golden ASL, the real Lambda handlers, time that does not pass.

What moto 5.2.5 does not do is patched here and nowhere else: Lambda runs the real handler and reports its errors as AWS
does, InvokeEndpoint takes image bytes, a nested execution starts, SageMaker's jobs and endpoints answer what the test
says, and waits and backoffs are noted instead of slept.
"""

import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import boto3
from moto import mock_aws
from moto.awslambda_simple.models import LambdaSimpleBackend
from moto.core.exceptions import JsonRESTError
from moto.sagemakerruntime.responses import SageMakerRuntimeResponse
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import state_task_service_callback
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_sfn import (
    StateTaskServiceSfn,
)
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.wait_function import WaitFunction

import workflows

REGION = "eu-west-1"
ACCOUNT = "123456789012"
JPEG = b"\xff\xd8\xff\xe0 not really decoded, the endpoint is played by the test"

Handler = Callable[[dict[str, Any], Any], Any]


@dataclass
class EndpointError:
    """An error response of InvokeEndpoint."""

    code: str
    message: str
    status: int = 503


Answer = dict[str, Any] | EndpointError

CLASSIFY_FUNCTIONS = {
    "ClassifyPhotoFunctionArn": "classify_photo",
    "RequestReviewFunctionArn": "request_review",
    "AssignBayFunctionArn": "assign_bay",
    "RejectPhotoFunctionArn": "reject_photo",
}

ENVIRONMENT = {
    "AWS_DEFAULT_REGION": REGION,
    "AWS_REGION": REGION,
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "POWERTOOLS_SERVICE_NAME": "test",
    "POWERTOOLS_METRICS_NAMESPACE": "Scones/Vehicles",
    "STAGE": "test",
    "DECISION_TABLE": "decisions",
    "PHOTO_TABLE": "photos",
    "EVENT_BUS": "scones-test",
    "ENDPOINT_NAME": "scones-test",
    "THRESHOLD_PARAMETER": "/scones/test/threshold",
    "REVIEW_QUEUE_URL": f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/review",
}


def load_handlers(folders: list[str]) -> dict[str, Handler]:
    """The handlers as Lambda would start them: fresh modules that read `ENVIRONMENT`, out of other tests' way."""
    others = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == "functions"}
    try:
        with patch.dict(os.environ, ENVIRONMENT):
            return {folder: importlib.import_module(f"functions.{folder}.handler").handler for folder in folders}
    finally:
        for name in list(sys.modules):
            if name.split(".")[0] == "functions":
                del sys.modules[name]
        sys.modules.update(others)


def substituted(text: str, values: dict[str, str]) -> str:
    """A definition with its `${…}` placeholders filled in, as CloudFormation does."""
    for name, value in values.items():
        text = text.replace("${" + name + "}", value)
    assert "${" not in text, f"unknown placeholder near {text[text.index('${') :][:60]}"
    return text


@cache
def clients() -> dict[str, Any]:
    """boto3 clients of everything a stage uses. Making them is slow, and moto answers them whenever they were made."""
    names = ("s3", "sqs", "events", "dynamodb", "ssm", "iam", "lambda", "stepfunctions")
    return {name: boto3.client(name, region_name=REGION) for name in names}  # type: ignore[call-overload]


@dataclass
class Execution:
    """One execution, seen from outside."""

    arn: str
    sfn: Any

    def wait(self, timeout_s: float = 10) -> dict[str, Any]:
        """DescribeExecution once it has ended."""
        ended: dict[str, Any] = until(lambda: self._ended(), f"{self.arn} to end", timeout_s)
        return ended

    def _ended(self) -> dict[str, Any] | None:
        described: dict[str, Any] = self.sfn.describe_execution(executionArn=self.arn)
        return None if described["status"] == "RUNNING" else described

    def output(self) -> dict[str, Any]:
        """The output of an execution that must have succeeded."""
        ended = self.wait()
        assert ended["status"] == "SUCCEEDED", (ended.get("error"), ended.get("cause"), self.states())
        loaded: dict[str, Any] = json.loads(ended["output"])
        return loaded

    def states(self) -> list[str]:
        """The names of the states entered so far, in order."""
        history = self.sfn.get_execution_history(executionArn=self.arn, maxResults=1000)["events"]
        return [e["stateEnteredEventDetails"]["name"] for e in history if "stateEnteredEventDetails" in e]


def until(condition: Callable[[], Any], what: str, timeout_s: float = 10) -> Any:
    """The first true value of `condition`, polled."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.01)
    raise AssertionError(f"waited {timeout_s} s in vain for {what}")


@dataclass
class Stage:
    """One deployed stage: what the stack would create, and the levers a test pulls."""

    handlers: dict[str, Handler]
    model: Callable[[bytes], Answer] = field(default=lambda image: confident())
    backoffs: list[float] = field(default_factory=list)
    waits: list[int] = field(default_factory=list)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    refusals: dict[str, list[Exception]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.aws = clients()
        self.aws["s3"].create_bucket(Bucket="uploads", CreateBucketConfiguration={"LocationConstraint": REGION})
        for table in ("decisions", "photos"):
            self.aws["dynamodb"].create_table(
                TableName=table,
                KeySchema=[{"AttributeName": "photo_id", "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": "photo_id", "AttributeType": "S"}],
                BillingMode="PAY_PER_REQUEST",
            )
        for queue in ("review", "unrouted", "events"):
            self.aws["sqs"].create_queue(QueueName=queue)
        self.aws["ssm"].put_parameter(Name=ENVIRONMENT["THRESHOLD_PARAMETER"], Value="model", Type="String")
        self.aws["events"].create_event_bus(Name="scones-test")
        self.aws["events"].put_rule(
            Name="everything", EventBusName="scones-test", EventPattern='{"source": ["scones.vehicles"]}'
        )
        self.aws["events"].put_targets(
            Rule="everything",
            EventBusName="scones-test",
            Targets=[{"Id": "queue", "Arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:events"}],
        )
        self.role = self.aws["iam"].create_role(RoleName="any", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
        self.function_arns = {folder: self._function(folder) for folder in self.handlers}

    def _function(self, folder: str) -> str:
        created: dict[str, str] = self.aws["lambda"].create_function(
            FunctionName=folder,
            Runtime="python3.13",
            Role=self.role,
            Handler=f"functions.{folder}.handler.handler",
            Code={"ZipFile": b"not run from here"},
        )
        return created["FunctionArn"]

    def invoke(self, function: str, body: str, headers: dict[str, str]) -> bytes:
        """What the Lambda service does with one invocation."""
        folder = function.rsplit(":", 1)[-1]
        event = json.loads(body)
        self.calls.append((folder, event))
        if self.refusals.get(folder):
            raise self.refusals[folder].pop(0)
        try:
            answer = self.handlers[folder](event, SimpleNamespace(**LAMBDA_CONTEXT, function_name=folder))
        except Exception as error:
            headers["x-amz-function-error"] = "Unhandled"
            answer = {
                "errorMessage": str(error),
                "errorType": type(error).__name__,
                "stackTrace": traceback.format_tb(error.__traceback__),
            }
        return json.dumps(answer).encode()

    def deploy(self, name: str, **substitutions: str) -> str:
        """A state machine from its golden file. Returns its ARN."""
        text = workflows.path(name).read_text(encoding="utf-8")
        created = self.aws["stepfunctions"].create_state_machine(
            name=f"{name}-{len(self.aws['stepfunctions'].list_state_machines()['stateMachines'])}",
            definition=substituted(text, substitutions),
            roleArn=self.role,
        )
        arn: str = created["stateMachineArn"]
        return arn

    def deploy_classify(self, review_timeout_s: int = 60) -> str:
        """classify-photo with all its placeholders filled in."""
        arns = {placeholder: self.function_arns[folder] for placeholder, folder in CLASSIFY_FUNCTIONS.items()}
        return self.deploy(
            "classify-photo",
            ReviewTimeoutSeconds=str(review_timeout_s),
            UnroutedQueueUrl=self.queue("unrouted"),
            **arns,
        )

    def start(self, machine: str, execution_input: dict[str, Any]) -> Execution:
        """Starts an execution; named, because moto's unnamed executions collide."""
        name = f"run-{time.monotonic_ns()}"
        sfn = self.aws["stepfunctions"]
        started = sfn.start_execution(stateMachineArn=machine, name=name, input=json.dumps(execution_input))
        return Execution(started["executionArn"], sfn)

    def upload(self, image: bytes = JPEG, key: str = "uploads/driver-7/vehicle.jpg") -> dict[str, Any]:
        """Puts a photo. Returns it as the workflow's input has it."""
        put = self.aws["s3"].put_object(Bucket="uploads", Key=key, Body=image)
        return {"bucket": "uploads", "key": key, "etag": put["ETag"].strip('"'), "size": len(image)}

    def refuse(self, folder: str, *codes: str) -> None:
        """Lets the Lambda service refuse the next invocations of a function, with these error codes."""
        self.refusals[folder] = [JsonRESTError(code, "refused by the test") for code in codes]

    def queue(self, name: str) -> str:
        """The URL of one of the stage's queues."""
        url: str = self.aws["sqs"].get_queue_url(QueueName=name)["QueueUrl"]
        return url

    def messages(self, queue: str) -> list[dict[str, Any]]:
        """Takes everything out of a queue; the bodies, parsed."""
        bodies: list[dict[str, Any]] = []
        url = self.queue(queue)
        while batch := self.aws["sqs"].receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in batch:
                bodies.append(json.loads(message["Body"]))
                self.aws["sqs"].delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return bodies

    def events(self, detail_type: str) -> list[dict[str, Any]]:
        """The details of all events of this type published since the last call of any type."""
        return [event["detail"] for event in self.messages("events") if event["detail-type"] == detail_type]

    def review_request(self) -> dict[str, Any]:
        """The next message a reviewer would see."""
        request: list[dict[str, Any]] = until(lambda: self.messages("review"), "a review request")
        assert len(request) == 1
        return request[0]

    def answer(self, request: dict[str, Any], answer: Any) -> None:
        """Answers a review request through its task token."""
        self.aws["stepfunctions"].send_task_success(taskToken=request["task_token"], output=json.dumps(answer))

    def item(self, table: str) -> dict[str, Any] | None:
        """The only item of a table, or None."""
        items: list[dict[str, Any]] = self.aws["dynamodb"].scan(TableName=table)["Items"]
        assert len(items) <= 1
        return items[0] if items else None


LAMBDA_CONTEXT = {
    "memory_limit_in_mb": 256,
    "invoked_function_arn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:any",
    "aws_request_id": "00000000-0000-0000-0000-000000000000",
    "get_remaining_time_in_millis": lambda: 30_000,
}


def confident(vehicle: str = "bicycle", confidence: float = 0.98) -> dict[str, Any]:
    """An answer of the endpoint. With a low confidence it is an unsure one."""
    rest = (1 - confidence) / 2
    probabilities = {name: rest for name in ("bicycle", "motorcycle", "other")} | {vehicle: confidence}
    return {
        "model_version": "vehicles-test-1",
        "vehicle": vehicle,
        "confidence": confidence,
        "probabilities": probabilities,
        "threshold": 0.9,
    }


def _as_boto3_writes(_: Any, parameters: dict[str, Any], *args: Any, **kwargs: Any) -> None:
    """Step Functions writes `Input`, an object; boto3 writes `input`, a text."""
    for key in list(parameters):
        parameters[key[0].lower() + key[1:]] = parameters.pop(key)
    parameters["input"] = json.dumps(parameters["input"])


def _as_step_functions_writes(_: Any, response: dict[str, Any], *args: Any, **kwargs: Any) -> None:
    for key in list(response):
        value = response.pop(key)
        response[key[0].upper() + key[1:]] = value.isoformat() if isinstance(value, datetime) else value


@contextmanager
def aws(handlers: dict[str, Handler]) -> Iterator[Stage]:
    """A stage in a fresh account, with every patch of moto in place."""
    with ExitStack() as patches:
        patches.enter_context(patch.dict(os.environ, ENVIRONMENT))
        patches.enter_context(
            mock_aws(config={"stepfunctions": {"execute_state_machine": True}, "lambda": {"use_docker": False}})
        )
        stage = Stage(handlers)

        def invoke(backend: Any, function: str, qualifier: Any, body: Any, headers: Any, response: Any) -> bytes:
            return stage.invoke(function, body or "{}", response)

        def invoke_endpoint(_: Any, request: Any, url: str, headers: Any) -> tuple[int, dict[str, str], str]:
            answer = stage.model(request.get_data())
            if isinstance(answer, EndpointError):
                return answer.status, {"x-amzn-ErrorType": answer.code}, json.dumps({"message": answer.message})
            return 200, {"Content-Type": "application/json"}, json.dumps(answer)

        def note_wait(wait: WaitFunction, env: Any, wait_seconds: int) -> None:
            stage.waits.append(wait_seconds)
            time.sleep(0.02)  # so that a loop of waits does not starve what it waits for

        patches.enter_context(patch.object(StateTaskServiceSfn, "_normalise_parameters", _as_boto3_writes))
        patches.enter_context(patch.object(StateTaskServiceSfn, "_normalise_response", _as_step_functions_writes))
        patches.enter_context(patch.object(LambdaSimpleBackend, "invoke", invoke))
        patches.enter_context(patch.object(SageMakerRuntimeResponse, "_dispatch", invoke_endpoint))
        patches.enter_context(patch.object(WaitFunction, "_wait_interval", note_wait))
        patches.enter_context(patch.object(retrier_decl, "time", SimpleNamespace(sleep=stage.backoffs.append)))
        patches.enter_context(patch.object(state_task_service_callback, "_DELAY_SECONDS_SYNC_CONDITION_CHECK", 0.01))
        yield stage
