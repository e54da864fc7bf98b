"""SQS: the IAM actions of batch operations.

Patch: ministack requires permission for actions such as sqs:SendMessageBatch, which no policy can grant on AWS: the
permission for SendMessage is that for SendMessageBatch too ("Amazon SQS batch actions", SQS Developer Guide).
"""

from __future__ import annotations

from typing import Any

from ministack.core import iam_actions

from local import patches


def install() -> None:
    """Apply the patch of this module."""

    def extract_iam_action(service: str, *arguments: Any, **named: Any) -> str | None:
        action: str | None = original(service, *arguments, **named)
        return action.removesuffix("Batch") if action and service == "sqs" else action

    parameters = "service method path headers body query_params"
    original = patches.replace(iam_actions, "extract_iam_action", parameters, extract_iam_action)
