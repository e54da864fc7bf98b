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
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import boto3
import jsonschema
from botocore.exceptions import ClientError
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator
from moto import mock_aws
from moto.awslambda_simple.models import LambdaSimpleBackend
from moto.core.exceptions import JsonRESTError
from moto.sagemaker.responses import SageMakerResponse
from moto.sagemakerruntime.responses import SageMakerRuntimeResponse
from moto.stepfunctions.parser.api import HistoryEventType
from moto.stepfunctions.parser.asl.component.common.error_name.error_name import ErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEvent, FailureEventException
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.component.state import state
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import (
    state_task_service_callback,
    state_task_service_unsupported,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.resource import ResourceCondition
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_aws_sdk import (
    StateTaskServiceAwsSdk,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_sfn import (
    StateTaskServiceSfn,
)
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.wait_function import WaitFunction
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
from moto.stepfunctions.parser.backend import execution_worker

import events
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

RETRAIN_FUNCTIONS = {
    "BuildDatasetFunctionArn": "build_dataset",
    "JudgeChallengerFunctionArn": "judge_challenger",
    "ProbeEndpointFunctionArn": "probe_endpoint",
    "RecordRetrainingFunctionArn": "record_retraining",
}

ROLLBACK_FUNCTIONS = {
    "PrepareRollbackFunctionArn": "prepare_rollback",
    "ProbeEndpointFunctionArn": "probe_endpoint",
    "RecordRollbackFunctionArn": "record_rollback",
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
    "ML_BUCKET": "scones-ml",
    "MODEL_TABLE": "models",
    "MODEL_GROUP": "scones-test",
    "INFERENCE_IMAGE": "inference-image",
    "ALARM_PREFIX": "scones-test-",
    "MIN_NEW_LABELS": "5",
    "BAKE_SECONDS": "30",
    "ALLOW_DRAWN_TRAINING_DATA": "no",
    "GATE": "{}",
    "ROLLBACK_WINDOW_HOURS": "24",
    "REVIEW_QUEUE_URL": f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/review",
}


def load_handlers(folders: list[str]) -> dict[str, Handler]:
    """The handlers as Lambda would start them: fresh modules that read `ENVIRONMENT`, out of other tests' way."""
    others = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == "functions"}
    try:
        with patch.dict(os.environ, ENVIRONMENT):
            os.environ.pop("AWS_ENDPOINT_URL", None)  # of an embedded AWS that other tests started
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
    names = ("s3", "sqs", "events", "dynamodb", "ssm", "iam", "lambda", "stepfunctions", "cloudwatch", "sagemaker")
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
    sagemaker: "SageMaker" = field(default_factory=lambda: SageMaker())

    def __post_init__(self) -> None:
        self.aws = clients()
        for bucket in ("uploads", "scones-ml"):
            self.aws["s3"].create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        for table, key in (("decisions", "photo_id"), ("photos", "photo_id"), ("models", "id")):
            self.aws["dynamodb"].create_table(
                TableName=table,
                KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
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

    def deploy(self, name: str, changes: Mapping[str, str] | None = None, /, **substitutions: str) -> str:
        """A state machine from its golden file, with changes to its text that must apply. Returns its ARN."""
        text = workflows.path(name).read_text(encoding="utf-8")
        for before, after in (changes or {}).items():
            assert before in text, f"{name} has no {before} any more"
            text = text.replace(before, after)
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

    def deploy_retrain(self, looks: int = 10) -> str:
        """retrain-model with all its placeholders filled in, and less patience with endpoints."""
        arns = {placeholder: self.function_arns[folder] for placeholder, folder in RETRAIN_FUNCTIONS.items()}
        return self.deploy(
            "retrain-model",
            {f'"NumericLessThan": {usual}': f'"NumericLessThan": {usual * looks // 360}' for usual in (360, 720)},
            **arns,
            TrainingImage="training-image",
            InferenceImage="inference-image",
            SageMakerRoleArn="arn:aws:iam::123456789012:role/sagemaker",
            TrainingInstanceType="ml.m5.xlarge",
            EndpointInstanceType="ml.m5.large",
            MlBucket="scones-ml",
            EndpointName="scones-test",
            EventBus="scones-test",
            Stage="test",
        )

    def deploy_rollback(self, looks: int = 10) -> str:
        """rollback-model with all its placeholders filled in, and less patience with endpoints."""
        arns = {placeholder: self.function_arns[folder] for placeholder, folder in ROLLBACK_FUNCTIONS.items()}
        return self.deploy(
            "rollback-model",
            {f'"NumericLessThan": {usual}': f'"NumericLessThan": {usual * looks // 360}' for usual in (360, 720)},
            **arns,
            EndpointName="scones-test",
            EventBus="scones-test",
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
        """The details of all events of this type since the last call; every event has to fit its schema."""
        found = []
        for event in self.messages("events"):
            jsonschema.validate(event["detail"], events.schema(event["detail-type"]))
            if event["detail-type"] == detail_type:
                found.append(event["detail"])
        return found

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
    probabilities = dict.fromkeys(("bicycle", "motorcycle", "other"), rest) | {vehicle: confidence}
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


@dataclass
class SageMaker:
    """SageMaker as the test plays it: requests are held to botocore's model, jobs and endpoints end as `fate` says.

    `fate` maps an API name to what happens to its next calls: None is success, a text the failure reason of a job or
    the refusal of a call. `statuses` are what DescribeEndpoint says next while the endpoint changes; after them it is
    in service with what it changed to. "rolled back" is in service with what it had. `before` is called with the API
    name and the request before each call.
    """

    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    fate: dict[str, list[str | None]] = field(default_factory=dict)
    statuses: list[str] = field(default_factory=list)
    status: str = "InService"
    serving: str | None = None
    coming: str | None = None
    before: Callable[[str, dict[str, Any]], None] = field(default=lambda api, request: None)

    def call(self, api: str, request: dict[str, Any]) -> dict[str, Any]:
        """One API call. Raises ClientError when refused, and JobFailed from a job that fails later."""
        operation = sagemaker_model().operation_model(api)
        assert operation.input_shape
        report = ParamValidator().validate(request, operation.input_shape)
        assert not report.has_errors(), report.generate_report()
        self.requests.append((api, request))
        self.before(api, request)
        fate = self.fate[api].pop(0) if self.fate.get(api) else None
        if fate and "Job" not in api:
            raise refusal(api, fate)
        answer: dict[str, Any] = getattr(self, f"_{api}", self._anything)(api, request)
        if fate:
            raise JobFailed({**answer, f"{api[6:]}Status": "Failed", "FailureReason": fate})
        return answer

    def _anything(self, api: str, request: dict[str, Any]) -> dict[str, Any]:
        shape = sagemaker_model().operation_model(api).output_shape
        return {**request, **{member: f"arn:aws:sagemaker:{member}" for member in (shape.members if shape else {})}}

    def _CreateTrainingJob(self, api: str, request: dict[str, Any]) -> dict[str, Any]:  # the API's name
        name, path = request["TrainingJobName"], request["OutputDataConfig"]["S3OutputPath"]
        return {**request, "ModelArtifacts": {"S3ModelArtifacts": f"{path}/{name}/output/model.tar.gz"}}

    def _DescribeEndpoint(self, api: str, request: dict[str, Any]) -> dict[str, Any]:
        if self.serving is None and self.coming is None:
            raise refusal(api, f'Could not find endpoint "{request["EndpointName"]}".')
        if self.coming and self.statuses:
            self.status = self.statuses.pop(0)
            if self.status == "rolled back":
                self.status, self.coming = "InService", None
        elif self.coming:
            self.status, self.serving, self.coming = "InService", self.coming, None
        shown = self.serving or self.coming
        return {**request, "EndpointStatus": self.status, "EndpointConfigName": shown, "EndpointArn": "arn:endpoint"}

    def _CreateEndpoint(self, api: str, request: dict[str, Any]) -> dict[str, Any]:
        if self.serving or self.coming:
            raise refusal(api, "Cannot create already existing endpoint")
        self.status, self.coming = "Creating", request["EndpointConfigName"]
        return {"EndpointArn": "arn:endpoint"}

    def _UpdateEndpoint(self, api: str, request: dict[str, Any]) -> dict[str, Any]:
        if self.status != "InService":
            raise refusal(api, f"Cannot update endpoint in status {self.status}")
        self.status, self.coming = "Updating", request["EndpointConfigName"]
        return {"EndpointArn": "arn:endpoint"}

    def _DeleteEndpoint(self, api: str, request: dict[str, Any]) -> dict[str, Any]:
        self.serving = self.coming = None
        return {}

    def _DescribeEndpointConfig(self, api: str, request: dict[str, Any]) -> dict[str, Any]:
        name = request["EndpointConfigName"]
        return {"EndpointConfigName": name, "ProductionVariants": [{"VariantName": "a", "ModelName": name}]}

    def _DescribeModel(self, api: str, request: dict[str, Any]) -> dict[str, Any]:
        artifact = f"s3://scones-ml/models/{request['ModelName']}/output/model.tar.gz"
        return {**request, "PrimaryContainer": {"ModelDataUrl": artifact}}

    def settle(self) -> None:
        """Lets time pass until the endpoint has arrived wherever it was going."""
        while self.coming:
            self._DescribeEndpoint("DescribeEndpoint", {"EndpointName": "any"})

    def named(self, api: str) -> list[dict[str, Any]]:
        """The requests made to one API."""
        return [request for name, request in self.requests if name == api]


class JobFailed(Exception):
    """A job that was accepted and then failed; holds its description."""


def refusal(api: str, message: str) -> ClientError:
    """SageMaker's answer to a call it does not like."""
    answer: Any = {
        "Error": {"Code": "ValidationException", "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": 400, "RequestId": "1"},
    }
    return ClientError(answer, api)


@cache
def sagemaker_model() -> ServiceModel:
    """botocore's description of the SageMaker API."""
    return ServiceModel(Loader().load_service_model("sagemaker", "service-2"), "sagemaker")


def _optimised_sagemaker(sagemaker: SageMaker) -> Callable[..., None]:
    """`arn:aws:states:::sagemaker:…`, with `.sync` or without."""

    def evaluate(task: Any, env: Any, resource_runtime_part: Any, normalised_parameters: Any, **_: Any) -> None:
        api = task.resource.api_action[0].upper() + task.resource.api_action[1:]
        try:
            env.stack.append(sagemaker.call(api, normalised_parameters))
        except JobFailed as failed:
            raise task_failed(env, "States.TaskFailed", json.dumps(failed.args[0])) from failed
        except ClientError as refused:
            raise task_failed(env, "SageMaker.AmazonSageMakerException", str(refused)) from refused

    return evaluate


def _sagemaker_by_sdk(sagemaker: SageMaker) -> Callable[..., None]:
    """`arn:aws:states:::aws-sdk:sagemaker:…`"""

    def evaluate(task: Any, env: Any, resource_runtime_part: Any, normalised_parameters: Any, **_: Any) -> None:
        assert task.resource.api_name == "sagemaker", "only SageMaker is called through the SDK integration"
        api = task.resource.api_action[0].upper() + task.resource.api_action[1:]
        try:
            env.stack.append(sagemaker.call(api, normalised_parameters))
        except ClientError as refused:
            raise task_failed(env, "SageMaker.SageMakerException", str(refused)) from refused

    return evaluate


def task_failed(env: Any, error: str, cause: str) -> FailureEventException:
    """A task's failure as moto's interpreter wants it."""
    details: Any = {"taskFailedEventDetails": {"error": error, "cause": cause, "resource": "", "resourceType": ""}}
    return FailureEventException(FailureEvent(env, ErrorName(error), HistoryEventType.TaskFailed, details))


def _sagemaker_over_http(sagemaker: SageMaker) -> Callable[..., tuple[int, dict[str, str], str]]:
    """SageMaker for the Lambdas, which call it themselves."""

    def dispatch(_: Any, request: Any, url: str, headers: Any) -> tuple[int, dict[str, str], str]:
        api = request.headers["X-Amz-Target"].split(".")[-1]
        try:
            return 200, {}, json.dumps(sagemaker.call(api, json.loads(request.get_data())))
        except ClientError as refused:
            error = refused.response["Error"]
            return 400, {}, json.dumps({"__type": error["Code"], "message": error["Message"]})

    return dispatch


def _with_times_as_text(EnteredTime: str, **data: Any) -> dict[str, Any]:  # moto's own spelling
    """$$.State.EnteredTime as AWS writes it."""
    return {**data, "EnteredTime": EnteredTime.replace("+00:00", "Z")}


def _with_start_as_text(StartTime: datetime, **data: Any) -> dict[str, Any]:  # moto's own spelling
    """$$.Execution.StartTime as AWS writes it."""
    return {**data, "StartTime": StartTime.strftime("%Y-%m-%dT%H:%M:%S.000Z")}


def _answered_already(*_: Any, env: Any, **__: Any) -> Callable[[], Any]:
    """The job ended before it was asked for: its description is what starting it answered."""
    description = env.stack.pop()
    return lambda: description


# moto parses a definition for every execution, which takes longer than running it. What is parsed holds no state.
parsed = cache(AmazonStateLanguageParser.parse)


@contextmanager
def aws(handlers: dict[str, Handler]) -> Iterator[Stage]:
    """A stage in a fresh account, with every patch of moto in place."""
    with ExitStack() as patches:
        patches.enter_context(patch.dict(os.environ, ENVIRONMENT))
        os.environ.pop("AWS_ENDPOINT_URL", None)
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
        patches.enter_context(patch.object(execution_worker, "ExecutionData", _with_start_as_text))
        waits = {ResourceCondition.WaitForTaskToken, ResourceCondition.Sync}
        patches.enter_context(patch.object(state_task_service_unsupported, "_SUPPORTED_INTEGRATION_PATTERNS", waits))
        unsupported = state_task_service_unsupported.StateTaskServiceUnsupported
        patches.enter_context(patch.object(unsupported, "_eval_service_task", _optimised_sagemaker(stage.sagemaker)))
        patches.enter_context(patch.object(unsupported, "_build_sync_resolver", _answered_already))
        by_sdk = _sagemaker_by_sdk(stage.sagemaker)
        patches.enter_context(patch.object(StateTaskServiceAwsSdk, "_eval_service_task", by_sdk))
        patches.enter_context(patch.object(AmazonStateLanguageParser, "parse", parsed))
        patches.enter_context(patch.object(WaitFunction, "_wait_interval", note_wait))
        patches.enter_context(patch.object(retrier_decl, "time", SimpleNamespace(sleep=stage.backoffs.append)))
        patches.enter_context(patch.object(state_task_service_callback, "_DELAY_SECONDS_SYNC_CONDITION_CHECK", 0.01))
        patches.enter_context(patch.object(SageMakerResponse, "_dispatch", _sagemaker_over_http(stage.sagemaker)))
        patches.enter_context(patch.object(state, "StateData", _with_times_as_text))
        yield stage
