"""IAM: actions and resources of requests to SQS, CloudWatch, EventBridge and S3.

Patches:
- ministack requires permission for actions such as sqs:SendMessageBatch, which no policy can grant on AWS: the
  permission for SendMessage is that for SendMessageBatch too ("Amazon SQS batch actions", SQS Developer Guide).
- It authorizes a request that names no alarm on `*`. On AWS, DescribeAlarms needs permission for alarms ("Actions,
  resources, and condition keys for Amazon CloudWatch", Service Authorization Reference).
- It finds no rule in a request for targets, and puts the name of the default bus into the ARN of a rule, which on AWS
  has none ("Actions, resources, and condition keys for Amazon EventBridge", Service Authorization Reference).
- It authorizes DeleteObjects as s3:DeleteObject on the first key, also when the request names a version of it, which is
  s3:DeleteObjectVersion on AWS ("DeleteObjects", Amazon S3 API Reference).
"""

from __future__ import annotations

import json
from typing import Any

from ministack.core import iam_actions

from local import patches

_NAMES = {
    **dict.fromkeys(("PutRule", "DeleteRule", "DescribeRule", "EnableRule", "DisableRule"), "Name"),
    **dict.fromkeys(("PutTargets", "RemoveTargets", "ListTargetsByRule"), "Rule"),
}


def _rule_arn(action: str | None, body: bytes, region: str, account: str) -> str | None:
    """The ARN of the rule that a request to EventBridge names; None without one."""
    try:
        request = json.loads(body or b"{}")
    except ValueError:
        return None
    field = _NAMES.get((action or "").partition(":")[2])
    if field is None or not isinstance(request, dict) or not request.get(field):
        return None
    bus = str(request.get("EventBusName") or "default").rpartition("/")[2]
    name = request[field] if bus == "default" else f"{bus}/{request[field]}"
    return f"arn:aws:events:{region}:{account}:rule/{name}"


def install() -> None:
    """Apply the patches of this module."""

    def extract_iam_action(service: str, *arguments: Any, **named: Any) -> str | None:
        action: str | None = original(service, *arguments, **named)
        if action == "s3:DeleteObject" and arguments[0] == "POST":
            targets = iam_actions._s3_batch_delete_targets("", arguments[3])
            return "s3:DeleteObjectVersion" if targets and targets[0][1] else action
        return action.removesuffix("Batch") if action and service == "sqs" else action

    parameters = "service method path headers body query_params"
    original = patches.replace(iam_actions, "extract_iam_action", parameters, extract_iam_action)
    patches.expect(iam_actions, "_s3_batch_delete_targets", "bucket body")

    def extract_resource_arn(service: str, *arguments: Any) -> str:
        arn: str = original_arn(service, *arguments)
        *request, region, account = arguments
        if service == "events":
            return _rule_arn(extract_iam_action(service, *request), request[3], region, account) or arn
        if service != "monitoring" or arn != "*":
            return arn
        alarms = f"arn:aws:cloudwatch:{region}:{account}:alarm:*"
        return alarms if extract_iam_action(service, *request) == "cloudwatch:DescribeAlarms" else arn

    parameters = "service method path headers body query_params region account_id"
    original_arn = patches.replace(iam_actions, "extract_resource_arn", parameters, extract_resource_arn)
