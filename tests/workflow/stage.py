"""A deployed stage in moto: its tables, buckets, queues and functions, and the workflows from their golden files."""

import json
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from types import SimpleNamespace
from typing import Any

import boto3
import jsonschema
from moto.core.exceptions import JsonRESTError

import events
import workflows
from functions.shared.photo import Photo
from functions.shared.photo_record import PhotoRecord
from functions.shared.photo_table import PhotoTable
from tests.support.photo_table import create_batch_result_table, create_photo_table, create_upload_count_table
from tests.support.waiting import eventually
from tests.workflow.fake_sagemaker import FakeSageMaker
from tests.workflow.fake_scaling import FakeScaling
from tests.workflow.lambda_handlers import ACCOUNT, CONTEXT, ENVIRONMENT, REGION, Handler, invoked_functions

# The substitutions of the scaling of the endpoint.
SCALING = {"EndpointMinInstances": "1", "EndpointMaxInstances": "4", "EndpointTargetInvocations": "600"}
JPEG = b"\xff\xd8\xff\xe0 not decoded, because the endpoint is a stub"


@dataclass
class EndpointError:
    """An error response of InvokeEndpoint."""

    code: str
    message: str
    status: int = 503


EndpointResponse = dict[str, Any] | EndpointError


def classification(vehicle: str = "bicycle", confidence: float = 0.98) -> dict[str, Any]:
    """A response of the endpoint."""
    rest = (1 - confidence) / 2
    probabilities = dict.fromkeys(("bicycle", "motorcycle", "other"), rest) | {vehicle: confidence}
    return {
        "model_version": "vehicles-test-1",
        "vehicle": vehicle,
        "confidence": confidence,
        "probabilities": probabilities,
        "threshold": 0.9,
        "image": {"brightness": 0.5, "sharpness": 0.1, "width": 640, "height": 480},
    }


@dataclass
class Execution:
    """One execution of a state machine."""

    arn: str
    sfn: Any

    def wait(self) -> dict[str, Any]:
        """DescribeExecution once the execution has ended."""
        ended: dict[str, Any] = eventually(
            lambda: self.sfn.describe_execution(executionArn=self.arn),
            lambda described: described["status"] != "RUNNING",
            what=f"the end of {self.arn}",
            timeout_s=10,
        )
        return ended

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


@dataclass
class Stage:
    """The resources of one deployed stage, with stubs that a test can change.

    `respond` is the endpoint's response to an image. `invocations` are the Lambda invocations so far, `retry_delays`
    and `waits` the seconds that retriers and Wait states would have waited. `lambda_errors` are the errors of the next
    invocations of a function. `stopped` has execution, error and cause of each StopExecution.
    """

    handlers: dict[str, Handler]
    respond: Callable[[bytes], EndpointResponse] = field(default=lambda image: classification())
    retry_delays: list[float] = field(default_factory=list)
    waits: list[int] = field(default_factory=list)
    invocations: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    lambda_errors: dict[str, list[Exception]] = field(default_factory=dict)
    sagemaker: FakeSageMaker = field(default_factory=FakeSageMaker)
    executions: list[Execution] = field(default_factory=list)
    stopped: list[tuple[str, str | None, str | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Create the resources."""
        self.scaling = FakeScaling(self.sagemaker)
        self.aws = clients()
        for bucket in ("uploads", "scones-ml"):
            self.aws["s3"].create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        create_photo_table(self.aws["dynamodb"], "photos")
        create_upload_count_table(self.aws["dynamodb"], "uploads-per-minute")
        create_batch_result_table(self.aws["dynamodb"], ENVIRONMENT["BATCH_RESULT_TABLE"])
        self.aws["dynamodb"].create_table(
            TableName="models",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        for queue in ("review", "audit", "unrouted", "events"):
            self.aws["sqs"].create_queue(QueueName=queue)
        self.aws["ssm"].put_parameter(Name=ENVIRONMENT["THRESHOLD_PARAMETER"], Value="model", Type="String")
        self.create_event_bus()
        self.role = self.aws["iam"].create_role(RoleName="any", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
        self.function_arns = {folder: self._create_function(folder) for folder in self.handlers}

    def create_event_bus(self) -> None:
        """Create the event bus, with a rule that sends every event to the queue `events`."""
        self.aws["events"].create_event_bus(Name="scones-test")
        self.aws["events"].put_rule(
            Name="everything", EventBusName="scones-test", EventPattern='{"source": ["scones.vehicles"]}'
        )
        self.aws["events"].put_targets(
            Rule="everything",
            EventBusName="scones-test",
            Targets=[{"Id": "queue", "Arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:events"}],
        )

    def _create_function(self, folder: str) -> str:
        created: dict[str, str] = self.aws["lambda"].create_function(
            FunctionName=folder,
            Runtime="python3.13",
            Role=self.role,
            Handler=f"functions.{folder}.handler.handler",
            Code={"ZipFile": b"never run"},
        )
        return created["FunctionArn"]

    def invoke(self, function: str, body: str, headers: dict[str, str]) -> bytes:
        """Invoke a function as the Lambda service does; an error of the handler is reported in `headers`."""
        folder = function.rsplit(":", 1)[-1]
        event = json.loads(body)
        self.invocations.append((folder, event))
        if self.lambda_errors.get(folder):
            raise self.lambda_errors[folder].pop(0)
        try:
            answer = self.handlers[folder](event, SimpleNamespace(**CONTEXT, function_name=folder))
        except Exception as error:
            headers["x-amz-function-error"] = "Unhandled"
            answer = {
                "errorMessage": str(error),
                "errorType": type(error).__name__,
                "stackTrace": traceback.format_tb(error.__traceback__),
            }
        return json.dumps(answer).encode()

    def events_to(self, folder: str) -> list[dict[str, Any]]:
        """The events with which a function was invoked."""
        return [event for invoked, event in self.invocations if invoked == folder]

    def fail_invocations(self, folder: str, *codes: str) -> None:
        """Let the next invocations of a function fail with these error codes of the Lambda service."""
        self.lambda_errors[folder] = [JsonRESTError(code, "an error of the test") for code in codes]

    def deploy(self, name: str, changes: Mapping[str, str] | None = None, /, **substitutions: str) -> str:
        """Create a state machine from its golden file, with `changes` to its text. Returns its ARN."""
        text = workflows.asl_path(name).read_text(encoding="utf-8")
        for before, after in (changes or {}).items():
            assert before in text, f"{name} no longer contains {before}"
            text = text.replace(before, after)
        arns = {placeholder: self.function_arns[folder] for placeholder, folder in invoked_functions(name).items()}
        created = self.aws["stepfunctions"].create_state_machine(
            name=f"{name}-{len(self.aws['stepfunctions'].list_state_machines()['stateMachines'])}",
            definition=substitute(text, {**arns, **substitutions}),
            roleArn=self.role,
        )
        arn: str = created["stateMachineArn"]
        return arn

    def deploy_classify(self, review_timeout_s: int = 60) -> str:
        """Create classify-photo. Returns its ARN."""
        return self.deploy(
            "classify-photo", ReviewTimeoutSeconds=str(review_timeout_s), UnroutedQueueUrl=self.queue_url("unrouted")
        )

    def deploy_retrain(self) -> str:
        """Create retrain-model with fewer polls of the endpoint. Returns its ARN."""
        return self.deploy(
            "retrain-model",
            FEWER_POLLS,
            TrainingRoleArn="arn:aws:iam::123456789012:role/training",
            EvaluationRoleArn="arn:aws:iam::123456789012:role/evaluation",
            EndpointRoleArn="arn:aws:iam::123456789012:role/endpoint",
            TrainingInstanceType="ml.m5.xlarge",
            EndpointInstanceType="ml.m5.large",
            MlBucket="scones-ml",
            EndpointName="scones-test",
            **SCALING,
            EventBus="scones-test",
            Stage="test",
        )

    def deploy_rollback(self) -> str:
        """Create rollback-model with fewer polls of the endpoint. Returns its ARN."""
        return self.deploy(
            "rollback-model",
            FEWER_POLLS,
            EndpointName="scones-test",
            EventBus="scones-test",
            Stage="test",
            **SCALING,
        )

    def start(self, machine: str, execution_input: dict[str, Any]) -> Execution:
        """Start an execution. It gets a name, because moto's default names collide."""
        name = f"run-{time.monotonic_ns()}"
        sfn = self.aws["stepfunctions"]
        started = sfn.start_execution(stateMachineArn=machine, name=name, input=json.dumps(execution_input))
        self.executions.append(Execution(started["executionArn"], sfn))
        return self.executions[-1]

    def stop_executions(self) -> None:
        """Stop the executions that a test leaves running; they would act on the stage of a later test."""
        for execution in self.executions:
            if self.aws["stepfunctions"].describe_execution(executionArn=execution.arn)["status"] == "RUNNING":
                self.aws["stepfunctions"].stop_execution(executionArn=execution.arn)

    def classify(self, photo: dict[str, Any], review_timeout_s: int = 60) -> Execution:
        """Start classify-photo for one photo."""
        return self.start(self.deploy_classify(review_timeout_s), {"photo": photo})

    def upload(self, image: bytes = JPEG, key: str = "uploads/driver-7/vehicle.jpg") -> dict[str, Any]:
        """Upload a photo. Returns it as in the input of the workflow."""
        put = self.aws["s3"].put_object(Bucket="uploads", Key=key, Body=image)
        return {"bucket": "uploads", "key": key, "etag": put["ETag"].strip('"'), "size": len(image)}

    def fill_minute(self, driver: str) -> str:
        """Let a driver have uploaded as many photos as are accepted in a minute; return a time in that minute."""
        uploads = {"SS": [str(number) for number in range(int(ENVIRONMENT["UPLOADS_PER_MINUTE"]))]}
        key = {"driver_id": {"S": driver}, "minute": {"S": "2026-11-23T02:35:00.000Z"}}
        self.aws["dynamodb"].put_item(TableName=ENVIRONMENT["UPLOAD_COUNT_TABLE"], Item={**key, "uploads": uploads})
        return "2026-11-23T02:35:35Z"

    def queue_url(self, name: str) -> str:
        """The URL of a queue."""
        url: str = self.aws["sqs"].get_queue_url(QueueName=name)["QueueUrl"]
        return url

    def receive_all(self, queue: str) -> list[dict[str, Any]]:
        """Receive and delete all messages of a queue. Returns their parsed bodies."""
        bodies: list[dict[str, Any]] = []
        url = self.queue_url(queue)
        while batch := self.aws["sqs"].receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in batch:
                bodies.append(json.loads(message["Body"]))
                self.aws["sqs"].delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return bodies

    def events(self, detail_type: str) -> list[dict[str, Any]]:
        """The details of the events of this type since the last call; every event must match its schema."""
        found = []
        for event in self.receive_all("events"):
            jsonschema.validate(event["detail"], events.schema(event["detail-type"]))
            if event["detail-type"] == detail_type:
                found.append(event["detail"])
        return found

    def review_request(self) -> dict[str, Any]:
        """The next message of the review queue."""
        requests: list[dict[str, Any]] = eventually(lambda: self.receive_all("review"), what="a review request")
        assert len(requests) == 1
        return requests[0]

    def answer_review(self, request: dict[str, Any], answer: Any) -> None:
        """Send the answer to a review request with its task token."""
        self.aws["stepfunctions"].send_task_success(taskToken=request["task_token"], output=json.dumps(answer))

    def record(self, photo: dict[str, Any]) -> PhotoRecord:
        """The record of a photo that has one."""
        record = PhotoTable("photos", self.aws["dynamodb"]).get(Photo.from_state(photo).photo_id)
        assert record is not None
        return record


# Ten polls instead of half an hour of them, and twice as many for both loops.
FEWER_POLLS = {f'"NumericLessThan": {polls}': f'"NumericLessThan": {polls // 60}' for polls in (600, 1200)}


def substitute(text: str, values: dict[str, str]) -> str:
    """A definition whose `${…}` placeholders have values, as CloudFormation substitutes them."""
    for name, value in values.items():
        text = text.replace("${" + name + "}", value)
    assert "${" not in text, f"unknown placeholder near {text[text.index('${') :][:60]}"
    return text


@cache
def clients() -> dict[str, Any]:
    """boto3 clients for the services of a stage. Creating them is slow, and they work with every `mock_aws`."""
    names = ("s3", "sqs", "events", "dynamodb", "ssm", "iam", "lambda", "stepfunctions", "cloudwatch", "sagemaker")
    return {name: boto3.client(name, region_name=REGION) for name in names}  # type: ignore[call-overload]
