"""SageMaker in Task states: the optimized integrations, `.sync`, and `aws-sdk:sagemaker:*`.

Patches: entries for SageMaker, which ministack does not have, in `stepfunctions._SERVICE_DISPATCH` (matched by prefix
in order, so longer names come first), `_AWS_SDK_SERVICE_MAP`, `_AWS_SDK_ERROR_PREFIX` and
`_AWS_SDK_ERROR_CODE_OVERRIDES`.
Source: "Create and manage Amazon SageMaker AI jobs with Step Functions".
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

from ministack.services import stepfunctions
from ministack.services.stepfunctions import _ExecutionError

from local import patches
from local.sagemaker.errors import SageMakerError
from local.sagemaker.jobs import Job
from local.sagemaker.service import SageMaker
from local.states import permissions, tasks

PREFIX = "arn:aws:states:::sagemaker:"
OPERATIONS = (
    "createTrainingJob",
    "createProcessingJob",
    "createEndpointConfig",
    "createEndpoint",
    "createModel",
    "updateEndpoint",
)
MODELED_ERRORS = ("ResourceInUse", "ResourceNotFound", "ResourceLimitExceeded", "ConflictException")
POLL_S = 0.05


def _execution_error(error: SageMakerError) -> _ExecutionError:
    """Return the error of the optimized integration for a failed call."""
    name = (
        f"{error.code.removesuffix('Exception')}Exception"
        if error.code in MODELED_ERRORS
        else "AmazonSageMakerException"
    )
    cause = (
        f"{error.message} (Service: AmazonSageMaker; Status Code: {error.status}; "
        f"Error Code: {error.code}; Request ID: {uuid.uuid4()}; Proxy: null)"
    )
    return _ExecutionError(f"SageMaker.{name}", cause)


def _with_milliseconds(value: Any) -> Any:
    """Return the response with times in epoch milliseconds, as in the optimized integrations."""
    if isinstance(value, dict):
        return {
            key: int(item * 1000) if _is_time(key, item) else _with_milliseconds(item) for key, item in value.items()
        }
    if isinstance(value, list):
        return [_with_milliseconds(item) for item in value]
    return value


def _is_time(name: str, value: Any) -> bool:
    return isinstance(value, float) and (name.endswith("Time") or name == "Timestamp")


def _run_job(service: SageMaker, kind: str, name: str) -> dict[str, Any]:
    """Wait for the end of a job; raises States.TaskFailed unless it completes. Stops the job with the state."""
    job = service.job(kind, name)
    cancelled = tasks.cancelled()
    while not job.ended.wait(POLL_S):
        if cancelled.is_set():
            if _may_stop(kind, job):
                job.request_stop()
            raise _ExecutionError("States.Aborted", "")
    described = job.describe()
    if described[f"{kind}JobStatus"] != "Completed":
        raise _ExecutionError("States.TaskFailed", json.dumps(_with_milliseconds(described)))
    return described


def _may_stop(kind: str, job: Job) -> bool:
    """Whether the role of the state machine may stop the job; without permission, the job goes on."""
    role = permissions.current_role()
    otherwise = "A job goes on, although its execution has ended"
    return role is None or role.allows(f"sagemaker:Stop{kind}Job", job.arn, otherwise)


def _task(service: SageMaker, operation: str) -> Callable[[str, dict[str, Any]], dict[str, Any]]:
    def call(resource: str, input_data: dict[str, Any]) -> dict[str, Any]:
        name = operation[0].upper() + operation[1:]
        try:
            answer = service.call(name, input_data)
        except SageMakerError as error:
            raise _execution_error(error) from error
        if resource.endswith(".sync"):
            kind = name.removeprefix("Create").removesuffix("Job")
            answer = _run_job(service, kind, input_data[f"{kind}JobName"])
        return _with_milliseconds(answer)  # type: ignore[no-any-return]

    return call


def install(service: SageMaker) -> None:
    """Apply the patches of this module."""
    dispatch = patches.attribute(stepfunctions, "_SERVICE_DISPATCH", dict)
    for operation in sorted(OPERATIONS, key=len, reverse=True):
        dispatch[PREFIX + operation] = _task(service, operation)
    services = patches.attribute(stepfunctions, "_AWS_SDK_SERVICE_MAP", dict)
    services["sagemaker"] = {"target_prefix": "SageMaker", "protocol": "json"}
    patches.attribute(stepfunctions, "_AWS_SDK_ERROR_PREFIX", dict)["sagemaker"] = "SageMaker"
    overrides = patches.attribute(stepfunctions, "_AWS_SDK_ERROR_CODE_OVERRIDES", dict)
    overrides["sagemaker"] = {
        "ValidationException": "SageMakerException",
        **{code: f"{code.removesuffix('Exception')}Exception" for code in MODELED_ERRORS},
    }
