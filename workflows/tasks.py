"""Small helpers with which the workflows are written."""

from functools import cache
from typing import Any

import boto3

from workflows.errors import ANY_FAILURE, LAMBDA_ACCIDENTS, LAMBDA_TRANSIENT
from workflows.sdk import Catch, EventBridgePutEventsStep, LambdaStep, Pass, Retry, sagemaker

API_TIMEOUT_S = 60
LAMBDA_TIMEOUT_S = 330
EXECUTION = {"execution.$": "$$.Execution.Id"}


def call(function_arn: str, payload: dict[str, Any]) -> dict[str, Any]:
    """Parameters of a Lambda state."""
    return {"FunctionName": function_arn, "Payload": payload}


def retry(*errors: str, first_s: int = 1, attempts: int, longest_s: int = 60) -> Any:
    """A retrier that doubles its wait from `first_s` up to `longest_s` seconds.

    Each wait is drawn between zero and its length, so that a burst does not come back as a burst. `attempts=0`
    switches retrying off for these errors.
    """
    if attempts == 0:
        return Retry(error_equals=list(errors), max_attempts=0)
    return Retry(
        error_equals=list(errors),
        interval_seconds=first_s,
        max_attempts=attempts,
        backoff_rate=2.0,
        asl={"MaxDelaySeconds": longest_s, "JitterStrategy": "FULL"},
    )


def on_error(step: Any, errors: list[str], then: Any) -> None:
    """Sends these errors of `step` to `then`, with the error in `$.error` and the rest of the input kept."""
    step.add_catch(Catch(error_equals=errors, next_step=then, result_path="$.error"))


def transient() -> Any:
    """The retrier for errors of the Lambda service that pass by themselves."""
    return retry(*LAMBDA_TRANSIENT, first_s=2, attempts=6, longest_s=30)


def accidents() -> Any:
    """The retrier for a function whose environment died."""
    return retry(*LAMBDA_ACCIDENTS, first_s=1, attempts=2)


def function(
    name: str,
    comment: str,
    arn: str,
    payload: dict[str, Any],
    result_path: str,
    answer: tuple[str, ...],
    retries: list[Any] | None = None,
) -> Any:
    """A Lambda state that passes the execution on; the fields of the answer named in `answer` are kept."""
    return LambdaStep(
        name,
        comment=comment,
        parameters=call(arn, {**payload, **EXECUTION}),
        asl={"ResultSelector": {f"{field}.$": f"$.Payload.{field}" for field in answer}},
        result_path=result_path,
        timeout_seconds=LAMBDA_TIMEOUT_S,
        retry=retries or [transient(), accidents()],
    )


def probe(name: str, comment: str, model_version: str, since: dict[str, Any] | None = None) -> Any:
    """ProbeEndpoint for the model at the path `model_version`, with the golden photos of `$.prepared.golden`."""
    # A model server may need a moment after its endpoint is in service; a wrong answer is wrong at once.
    slow = retry("ModelUnavailable", first_s=2, attempts=4, longest_s=15)
    return function(
        name,
        comment,
        "${ProbeEndpointFunctionArn}",
        {"run": {"name.$": model_version}, "golden.$": "$.prepared.golden", **(since or {})},
        "$.probed",
        ("photos", "right", "latency_ms", "began"),
        [transient(), slow, accidents()],
    )


def conclude(name: str, comment: str, arn: str, outcome: str, answer: tuple[str, ...]) -> Any:
    """The function that records how an execution ended, as `$.concluded`."""
    # It writes conditionally and may run again, so anything is worth another try.
    retries = [transient(), retry("States.ALL", first_s=2, attempts=3)]
    return function(name, comment, arn, {"outcome": outcome, "state.$": "$"}, "$.concluded", answer, retries)


def announce(name: str, comment: str, detail_type: str) -> Any:
    """Publishes `$.concluded.event` on the bus of the stage."""
    return EventBridgePutEventsStep(
        name,
        comment=comment,
        parameters={
            "Entries": [
                {
                    "EventBusName": "${EventBus}",
                    "Source": "scones.vehicles",
                    "DetailType": detail_type,
                    "Detail.$": "$.concluded.event",
                }
            ]
        },
        result_path="$.announced",
        timeout_seconds=API_TIMEOUT_S,
        retry=[retry(*ANY_FAILURE, first_s=2, attempts=6)],
    )


def because(name: str, comment: str, error: str, cause: str) -> Any:
    """A reason that is no error of a state, put where errors are."""
    reason: dict[str, Any] = {}
    for key, value in (("Error", error), ("Cause", cause)):
        is_path = value.startswith(("$.", "States."))
        reason[f"{key}.$" if is_path else key] = value
    return Pass(name, comment=comment, parameters=reason, result_path="$.error")


@cache
def offline_session() -> Any:
    """A SageMaker session that never calls AWS and reads no configuration of this machine."""
    nobody: dict[str, Any] = dict.fromkeys(("aws_access_key_id", "aws_secret_access_key"), "none")
    return sagemaker.Session(
        boto_session=boto3.Session(region_name="eu-west-1", **nobody),
        default_bucket="none",
        sagemaker_config={"SchemaVersion": "1.0"},
    )
