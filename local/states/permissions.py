"""What the role of a state machine must allow for a Task state.

Source: "IAM policies for integrated services", AWS Step Functions Developer Guide. Step Functions itself calls the
services, so ministack authorizes none of this.
"""

from __future__ import annotations

import contextvars
from collections.abc import Iterable
from typing import Any

from ministack.core.responses import get_account_id, get_region
from ministack.services import stepfunctions
from ministack.services.stepfunctions import _ExecutionError

from local.sagemaker import resource_arns, scaling_permissions
from local.service_roles import NotAuthorized, ServiceRole

SERVICE = "states.amazonaws.com"
_role: contextvars.ContextVar[ServiceRole | None] = contextvars.ContextVar("role", default=None)

Permission = tuple[str, str, dict[str, Any]]


def current_role() -> ServiceRole | None:
    """Return the role of the state machine whose task runs on this thread."""
    return _role.get()


def authorize(execution: dict[str, Any], resource: str, request: Any) -> None:
    """Raise the error of the integration unless the role of the state machine allows the call of a task."""
    machine = stepfunctions._state_machines.get(execution.get("stateMachineArn", "")) or {}
    # A child of a Distributed Map runs for the state machine in front of the label.
    source = str(execution.get("stateMachineArn", "")).partition("/")[0]
    role = ServiceRole(str(machine.get("roleArn", "")), SERVICE, source)
    _role.set(role)
    try:
        for action, arn, context in _permissions(resource, request if isinstance(request, dict) else {}):
            role.require(action, arn, context)
    except NotAuthorized as error:
        raise _ExecutionError(_error_name(resource), str(error)) from error


def _permissions(resource: str, request: dict[str, Any]) -> Iterable[Permission]:
    """The action, resource and condition keys that a task needs. A call that is not listed here needs none."""
    service, _, operation = resource.partition(":::")[2].replace("aws-sdk:", "").partition(":")
    operation = operation.partition(".")[0]
    name = operation[:1].upper() + operation[1:]
    if ":lambda:" in resource and ":::" not in resource:
        yield "lambda:InvokeFunction", resource, {}
    elif (service, name) == ("lambda", "Invoke"):
        yield "lambda:InvokeFunction", _arn("lambda", "function:", request.get("FunctionName")), {}
    elif (service, name) == ("sqs", "SendMessage"):
        yield "sqs:SendMessage", _arn("sqs", "", str(request.get("QueueUrl", "")).rpartition("/")[2]), {}
    elif (service, name) == ("sns", "Publish"):
        yield "sns:Publish", str(request.get("TopicArn", "")), {}
    elif (service, name) == ("states", "StartExecution"):
        yield from _nested_execution(str(request.get("StateMachineArn", "")), followed=".sync" in resource)
    elif (service, name) == ("events", "PutEvents"):
        for entry in request.get("Entries", ()):
            context = {"events:source": entry.get("Source"), "events:detail-type": entry.get("DetailType")}
            yield "events:PutEvents", _arn("events", "event-bus/", entry.get("EventBusName", "default")), context
    elif service == "dynamodb":
        yield f"dynamodb:{name}", _arn("dynamodb", "table/", request.get("TableName")), {}
    elif service == "sagemaker":
        yield from resource_arns.permissions(name, request, get_region(), get_account_id())
        if resource.endswith(".sync"):
            yield from _followed_job(name.removeprefix("Create"), request)
    elif service == "applicationautoscaling":
        yield from scaling_permissions.permissions(name, request, get_region(), get_account_id())


def _nested_execution(machine: str, *, followed: bool) -> Iterable[Permission]:
    """What a nested execution needs; `.sync` follows it through a managed rule."""
    yield "states:StartExecution", machine, {}
    if followed:
        yield "states:DescribeExecution", machine.replace(":stateMachine:", ":execution:") + ":any", {}
        rule = _arn("events", "rule/", "StepFunctionsGetEventsForStepFunctionsExecutionRule")
        for action in ("PutTargets", "PutRule", "DescribeRule"):
            yield f"events:{action}", rule, {}


def _followed_job(kind: str, request: dict[str, Any]) -> Iterable[Permission]:
    """What `.sync` needs: the managed rule with the events of jobs, and to describe the job. It tags what it starts."""
    rule = _arn("events", "rule/", f"StepFunctionsGetEventsForSageMaker{kind}sRule")
    for action in ("PutTargets", "PutRule", "DescribeRule"):
        yield f"events:{action}", rule, {}
    job = resource_arns.named(f"Describe{kind}", request, get_region(), get_account_id())
    for action in ("sagemaker:AddTags", f"sagemaker:Describe{kind}"):
        yield action, job or "*", {}


def _arn(service: str, kind: str, name: Any) -> str:
    """The ARN of a resource that a request names by its name or by its ARN."""
    if str(name).startswith("arn:"):
        return str(name)
    return f"arn:aws:{service}:{get_region()}:{get_account_id()}:{kind}{name}"


def _error_name(resource: str) -> str:
    """The name of the error of a refused call ("Handling errors in Step Functions workflows")."""
    if ":lambda:" in resource:
        return "Lambda.AWSLambdaException"
    service = resource.partition(":::")[2].replace("aws-sdk:", "").partition(":")[0]
    names = {
        "applicationautoscaling": "ApplicationAutoScaling",
        "sagemaker": "SageMaker",
        "sqs": "SQS",
        "sns": "SNS",
        "events": "EventBridge",
        "states": "StepFunctions",
    }
    name = names.get(service)
    if name is None:
        return "States.Permissions"
    return f"{name}.{name}Exception" if "aws-sdk:" in resource else f"{name}.Amazon{name}Exception"
