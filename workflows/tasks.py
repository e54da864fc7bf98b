"""The states and retriers that several workflows use, apart from those of SageMaker."""

from functools import cache
from typing import Any

import boto3

from workflows.errors import ANY_FAILURE, LAMBDA_CRASHES, LAMBDA_TRANSIENT
from workflows.sdk import Catch, EventBridgePutEventsStep, LambdaStep, Pass, Retry, sagemaker

API_TIMEOUT_S = 60
LAMBDA_TIMEOUT_S = 330
EXECUTION = {"execution.$": "$$.Execution.Id"}


def payload_template(**values: Any) -> dict[str, Any]:
    """Return a payload template; the key of a JSONPath or an intrinsic function gets the suffix `.$`."""

    def is_path(value: Any) -> bool:
        return isinstance(value, str) and value.startswith(("$.", "States."))

    return {f"{key}.$" if is_path(value) else key: value for key, value in values.items()}


def to_number(substitution: str) -> str:
    """Return the intrinsic function for the number that a substitution, such as `${Count}`, stands for."""
    return f"States.StringToJson('{substitution}')"


def lambda_parameters(function: str, payload: dict[str, Any]) -> dict[str, Any]:
    """Return the Parameters of a task that invokes a Lambda.

    `function` is its logical name, such as `ClassifyPhoto`; the deployment substitutes its ARN.
    """
    return {"FunctionName": f"${{{function}FunctionArn}}", "Payload": payload}


def retry(*errors: str, max_attempts: int, interval_s: int = 1, max_delay_s: int = 60) -> Any:
    """Return a retrier whose delay doubles from `interval_s` up to `max_delay_s` seconds, with full jitter.

    The jitter spreads the retries of executions that failed at the same time. `max_attempts=0` turns retries off for
    these errors.
    """
    if max_attempts == 0:
        return Retry(error_equals=list(errors), max_attempts=0)
    return Retry(
        error_equals=list(errors),
        interval_seconds=interval_s,
        max_attempts=max_attempts,
        backoff_rate=2.0,
        asl={"MaxDelaySeconds": max_delay_s, "JitterStrategy": "FULL"},
    )


def retry_transient() -> Any:
    """Return the retrier for transient errors of the Lambda service."""
    return retry(*LAMBDA_TRANSIENT, interval_s=2, max_attempts=6, max_delay_s=30)


def retry_unavailable() -> Any:
    """Return the retrier for a call of AWS that failed in a Lambda."""
    return retry("AwsUnavailable", interval_s=2, max_attempts=6, max_delay_s=30)


def retry_crashes(max_attempts: int = 2) -> Any:
    """Return the retrier for a Lambda whose execution environment crashed."""
    return retry(*LAMBDA_CRASHES, interval_s=1, max_attempts=max_attempts)


def on_error(step: Any, errors: list[str], then: Any) -> None:
    """Catch these errors of `step`: continue at `then`, with the error added to the input as `$.error`."""
    step.add_catch(Catch(error_equals=errors, next_step=then, result_path="$.error"))


def invoke_lambda(
    name: str,
    comment: str,
    *,
    function: str,
    payload: dict[str, Any],
    result_path: str,
    fields: tuple[str, ...],
    retries: list[Any] | None = None,
) -> Any:
    """Return a task that invokes a Lambda and writes these `fields` of its result to `result_path`.

    It is retried when AWS was unavailable to the function; `retries` are the other retriers.
    """
    return LambdaStep(
        name,
        comment=comment,
        parameters=lambda_parameters(function, {**payload, **EXECUTION}),
        asl={"ResultSelector": {f"{field}.$": f"$.Payload.{field}" for field in fields}},
        result_path=result_path,
        timeout_seconds=LAMBDA_TIMEOUT_S,
        retry=[retry_unavailable(), *(retries or [retry_transient(), retry_crashes()])],
    )


def probe_endpoint(name: str, comment: str, *, model_version: str, since: dict[str, Any] | None = None) -> Any:
    """Return a task that invokes ProbeEndpoint with the golden photos of `$.prepared.golden`.

    `model_version` is the path of the expected model version, `since` an optional time from which alarms count.
    """
    # The model server may need some seconds after its endpoint is in service. A wrong answer is not retried.
    starting = retry("ModelUnavailable", interval_s=2, max_attempts=4, max_delay_s=15)
    return invoke_lambda(
        name,
        comment,
        function="ProbeEndpoint",
        payload={"run": {"name.$": model_version}, "golden.$": "$.prepared.golden", **(since or {})},
        result_path="$.probed",
        fields=("photos", "right", "latency_ms", "began"),
        retries=[retry_transient(), starting, retry_crashes()],
    )


def record_outcome(name: str, comment: str, *, function: str, outcome: str, fields: tuple[str, ...]) -> Any:
    """Return a task that invokes the Lambda that records how the execution ended; its result is `$.recorded`."""
    # The Lambda writes conditionally and is safe to repeat, so every error is retried.
    retries = [retry_transient(), retry("States.ALL", interval_s=2, max_attempts=3)]
    payload = {"outcome": outcome, "state.$": "$"}
    return invoke_lambda(
        name, comment, function=function, payload=payload, result_path="$.recorded", fields=fields, retries=retries
    )


def publish_event(name: str, comment: str, *, detail_type: str) -> Any:
    """Return a task that publishes `$.recorded.event` to the event bus of the stage."""
    return EventBridgePutEventsStep(
        name,
        comment=comment,
        parameters={
            "Entries": [
                {
                    "EventBusName": "${EventBus}",
                    "Source": "scones.vehicles",
                    "DetailType": detail_type,
                    "Detail.$": "$.recorded.event",
                }
            ]
        },
        result_path="$.published",
        timeout_seconds=API_TIMEOUT_S,
        retry=[retry(*ANY_FAILURE, interval_s=2, max_attempts=6)],
    )


def set_error(name: str, comment: str, *, error: str, cause: str) -> Any:
    """Return a Pass state that writes `$.error` as a catcher does, for a reason that is not the error of a state."""
    return Pass(name, comment=comment, parameters=payload_template(Error=error, Cause=cause), result_path="$.error")


@cache
def offline_session() -> Any:
    """Return a SageMaker session that never calls AWS and reads no configuration files."""
    credentials: dict[str, Any] = dict.fromkeys(("aws_access_key_id", "aws_secret_access_key"), "none")
    return sagemaker.Session(
        boto_session=boto3.Session(region_name="eu-west-1", **credentials),
        default_bucket="none",
        sagemaker_config={"SchemaVersion": "1.0"},
    )
