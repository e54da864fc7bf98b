"""IAM: actions and resources of requests to SQS and CloudWatch.

Patches:
- ministack requires permission for actions such as sqs:SendMessageBatch, which no policy can grant on AWS: the
  permission for SendMessage is that for SendMessageBatch too ("Amazon SQS batch actions", SQS Developer Guide).
- It authorizes a request that names no alarm on `*`. On AWS, DescribeAlarms needs permission for alarms ("Actions,
  resources, and condition keys for Amazon CloudWatch", Service Authorization Reference).
"""

from __future__ import annotations

from typing import Any

from ministack.core import iam_actions

from local import patches


def install() -> None:
    """Apply the patches of this module."""

    def extract_iam_action(service: str, *arguments: Any, **named: Any) -> str | None:
        action: str | None = original(service, *arguments, **named)
        return action.removesuffix("Batch") if action and service == "sqs" else action

    parameters = "service method path headers body query_params"
    original = patches.replace(iam_actions, "extract_iam_action", parameters, extract_iam_action)

    def extract_resource_arn(service: str, *arguments: Any) -> str:
        arn: str = original_arn(service, *arguments)
        if service != "monitoring" or arn != "*":
            return arn
        *request, region, account = arguments
        alarms = f"arn:aws:cloudwatch:{region}:{account}:alarm:*"
        return alarms if extract_iam_action(service, *request) == "cloudwatch:DescribeAlarms" else arn

    parameters = "service method path headers body query_params region account_id"
    original_arn = patches.replace(iam_actions, "extract_resource_arn", parameters, extract_resource_arn)
