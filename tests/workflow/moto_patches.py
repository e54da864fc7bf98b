"""What moto 5.2.5 lacks to run the workflows, patched in one place.

Lambda calls the real handler and reports its errors as AWS does, InvokeEndpoint accepts image bytes, a nested execution
starts, SageMaker is the stage's fake, and Wait states and retriers record their delays instead of waiting.
"""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import cache
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from botocore.exceptions import ClientError
from moto import mock_aws
from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse
from moto.awslambda_simple.models import LambdaSimpleBackend
from moto.core.responses import ActionResult
from moto.dynamodb.models import DynamoDBBackend
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
from moto.stepfunctions.responses import StepFunctionResponse

from tests.workflow.fake_sagemaker import FakeSageMaker, JobFailed
from tests.workflow.fake_scaling import FakeScaling
from tests.workflow.lambda_handlers import ENVIRONMENT, Handler
from tests.workflow.stage import EndpointError, Stage

HttpResponse = tuple[int, dict[str, str], str]


@contextmanager
def mock_stage(handlers: dict[str, Handler]) -> Iterator[Stage]:
    """A stage in an empty moto account, with all patches applied."""
    with ExitStack() as patches:
        patches.enter_context(patch.dict(os.environ, ENVIRONMENT))
        os.environ.pop("AWS_ENDPOINT_URL", None)
        patches.enter_context(
            mock_aws(config={"stepfunctions": {"execute_state_machine": True}, "lambda": {"use_docker": False}})
        )
        stage = Stage(handlers)
        _patch_interpreter(patches, stage)
        _patch_services(patches, stage)
        _patch_dynamodb(patches)
        yield stage
        stage.stop_executions()


# moto parses a definition for every execution, which takes longer than running it. A parsed definition has no state.
parse_cached = cache(AmazonStateLanguageParser.parse)


def _patch_interpreter(patches: ExitStack, stage: Stage) -> None:
    def record_wait(wait: WaitFunction, env: Any, wait_seconds: int) -> None:
        stage.waits.append(wait_seconds)
        time.sleep(0.02)  # lets other threads run: the workflow may loop until one of them ends

    patches.enter_context(patch.object(AmazonStateLanguageParser, "parse", parse_cached))
    patches.enter_context(patch.object(WaitFunction, "_wait_interval", record_wait))
    patches.enter_context(patch.object(retrier_decl, "time", SimpleNamespace(sleep=stage.retry_delays.append)))
    patches.enter_context(patch.object(state_task_service_callback, "_DELAY_SECONDS_SYNC_CONDITION_CHECK", 0.01))
    patches.enter_context(patch.object(execution_worker, "ExecutionData", _with_start_time_as_text))
    patches.enter_context(patch.object(state, "StateData", _with_entered_time_as_text))
    patches.enter_context(patch.object(StateTaskServiceSfn, "_normalise_parameters", _to_boto3_names))
    patches.enter_context(patch.object(StateTaskServiceSfn, "_normalise_response", _to_step_functions_names))


def _patch_services(patches: ExitStack, stage: Stage) -> None:
    def invoke(backend: Any, function: str, qualifier: Any, body: Any, headers: Any, response: Any) -> bytes:
        return stage.invoke(function, body or "{}", response)

    def invoke_endpoint(_: Any, request: Any, url: str, headers: Any) -> HttpResponse:
        answer = stage.respond(request.get_data())
        if isinstance(answer, EndpointError):
            return answer.status, {"x-amzn-ErrorType": answer.code}, json.dumps({"message": answer.message})
        return 200, {"Content-Type": "application/json"}, json.dumps(answer)

    def stop_execution(response: StepFunctionResponse) -> ActionResult:
        """Stop an execution and return the time, which moto does not; keep error and cause, which it loses."""
        arn, error, cause = (response._get_param(name) for name in ("executionArn", "error", "cause"))
        now = datetime.now(UTC)
        stage.stopped.append((arn, error, cause))
        response.stepfunction_backend.describe_execution(arn).stop(stop_date=now, error=error, cause=cause)
        return ActionResult({"stopDate": now})

    patches.enter_context(patch.object(LambdaSimpleBackend, "invoke", invoke))
    patches.enter_context(patch.object(StepFunctionResponse, "stop_execution", stop_execution))
    patches.enter_context(patch.object(SageMakerRuntimeResponse, "_dispatch", invoke_endpoint))
    patches.enter_context(patch.object(SageMakerResponse, "_dispatch", _http_api(stage.sagemaker)))
    patches.enter_context(patch.object(ApplicationAutoScalingResponse, "_dispatch", _http_api(stage.scaling)))
    patches.enter_context(patch.object(StateTaskServiceAwsSdk, "_eval_service_task", _sdk_task(stage)))
    waits = {ResourceCondition.WaitForTaskToken, ResourceCondition.Sync}
    patches.enter_context(patch.object(state_task_service_unsupported, "_SUPPORTED_INTEGRATION_PATTERNS", waits))
    unsupported = state_task_service_unsupported.StateTaskServiceUnsupported
    patches.enter_context(patch.object(unsupported, "_eval_service_task", _optimised_task(stage.sagemaker)))
    patches.enter_context(patch.object(unsupported, "_build_sync_resolver", _sync_result))


def _patch_dynamodb(patches: ExitStack) -> None:
    """Make conditional writes atomic, as in DynamoDB: moto checks a condition and writes without a lock."""
    lock = threading.RLock()

    def locked(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            with lock:
                return method(*arguments, **named)

        return call

    for name in ("put_item", "update_item", "delete_item", "transact_write_items"):
        patches.enter_context(patch.object(DynamoDBBackend, name, locked(getattr(DynamoDBBackend, name))))


def _optimised_task(sagemaker: FakeSageMaker) -> Callable[..., None]:
    """Runs `arn:aws:states:::sagemaker:…`, with `.sync` or without."""

    def evaluate(task: Any, env: Any, resource_runtime_part: Any, normalised_parameters: Any, **_: Any) -> None:
        try:
            env.stack.append(sagemaker.call(_api(task), normalised_parameters))
        except JobFailed as failed:
            raise task_failed(env, "States.TaskFailed", json.dumps(failed.args[0])) from failed
        except ClientError as error:
            raise task_failed(env, "SageMaker.AmazonSageMakerException", str(error)) from error

    return evaluate


def _sdk_task(stage: Stage) -> Callable[..., None]:
    """Runs `arn:aws:states:::aws-sdk:sagemaker:…` and `arn:aws:states:::aws-sdk:applicationautoscaling:…`."""

    def evaluate(task: Any, env: Any, resource_runtime_part: Any, normalised_parameters: Any, **_: Any) -> None:
        fakes: dict[str, FakeSageMaker | FakeScaling] = {
            "sagemaker": stage.sagemaker,
            "applicationautoscaling": stage.scaling,
        }
        service = task.resource.api_name
        try:
            env.stack.append(fakes[service].call(_api(task), normalised_parameters))
        except ClientError as error:
            name = "SageMaker.SageMakerException"
            if service == "applicationautoscaling":
                name = f"ApplicationAutoScaling.{error.response['Error']['Code']}"
            raise task_failed(env, name, str(error)) from error

    return evaluate


def _http_api(fake: FakeSageMaker | FakeScaling) -> Callable[..., HttpResponse]:
    """The HTTP API of a service, for the Lambdas that call it."""

    def dispatch(_: Any, request: Any, url: str, headers: Any) -> HttpResponse:
        api = request.headers["X-Amz-Target"].split(".")[-1]
        try:
            return 200, {}, json.dumps(fake.call(api, json.loads(request.get_data())))
        except ClientError as failed:
            error = failed.response["Error"]
            return 400, {}, json.dumps({"__type": error["Code"], "message": error["Message"]})

    return dispatch


def _api(task: Any) -> str:
    action: str = task.resource.api_action
    return action[0].upper() + action[1:]


def task_failed(env: Any, error: str, cause: str) -> FailureEventException:
    """A failed task as moto's interpreter raises it."""
    details: Any = {"taskFailedEventDetails": {"error": error, "cause": cause, "resource": "", "resourceType": ""}}
    return FailureEventException(FailureEvent(env, ErrorName(error), HistoryEventType.TaskFailed, details))


def _sync_result(*_: Any, env: Any, **__: Any) -> Callable[[], Any]:
    """The description of a job; the fake's jobs end when they are created."""
    description = env.stack.pop()
    return lambda: description


def _to_boto3_names(_: Any, parameters: dict[str, Any], *args: Any, **kwargs: Any) -> None:
    """Step Functions has `Input`, an object; boto3 has `input`, a text."""
    for key in list(parameters):
        parameters[key[0].lower() + key[1:]] = parameters.pop(key)
    parameters["input"] = json.dumps(parameters["input"])


def _to_step_functions_names(_: Any, response: dict[str, Any], *args: Any, **kwargs: Any) -> None:
    for key in list(response):
        value = response.pop(key)
        response[key[0].upper() + key[1:]] = value.isoformat() if isinstance(value, datetime) else value


def _with_entered_time_as_text(EnteredTime: str, **data: Any) -> dict[str, Any]:  # moto's spelling
    """$$.State.EnteredTime in the format of AWS."""
    return {**data, "EnteredTime": EnteredTime.replace("+00:00", "Z")}


def _with_start_time_as_text(StartTime: datetime, **data: Any) -> dict[str, Any]:  # moto's spelling
    """$$.Execution.StartTime in the format of AWS."""
    return {**data, "StartTime": StartTime.strftime("%Y-%m-%dT%H:%M:%S.000Z")}
