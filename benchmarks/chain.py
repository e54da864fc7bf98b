"""The definitions of the baseline's state machines, in Amazon States Language."""

from typing import Any

STEPS = ("serialize_image_data", "classify", "filter_confidence")
"""The Lambdas of the chain, in their order; each is a file in functions/."""

_TRANSIENT = ("Lambda.ServiceException", "Lambda.AWSLambdaException", "Lambda.SdkClientException")


def chain() -> dict[str, Any]:
    """Return the chain of three Lambdas; each gets the whole state and returns it. `${step}` is a function's ARN."""
    states: dict[str, Any] = {}
    for step, following in zip(STEPS, (*STEPS[1:], None), strict=True):
        states[step] = {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Parameters": {"FunctionName": f"${{{step.replace('_', '')}}}", "Payload.$": "$"},
            "OutputPath": "$.Payload",
            "Retry": [
                {
                    "ErrorEquals": [*_TRANSIENT, "Lambda.TooManyRequestsException"],
                    "IntervalSeconds": 1,
                    "MaxAttempts": 3,
                    "BackoffRate": 2,
                }
            ],
            **({"Next": following} if following else {"End": True}),
        }
    return {"StartAt": STEPS[0], "States": states}


def empty() -> dict[str, Any]:
    """Return a state machine that does nothing."""
    return {"StartAt": "Nothing", "States": {"Nothing": {"Type": "Succeed"}}}
