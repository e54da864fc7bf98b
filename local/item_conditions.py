"""DynamoDB: the condition key dynamodb:LeadingKeys of requests that name one item.

Patch: `iam_actions.dynamodb_service_context`. ministack has no value for this key, so a statement that compares it
allows nothing. Its value is the partition key of the item ("Using IAM policy conditions for fine-grained access
control", Amazon DynamoDB Developer Guide). Of requests about several items it has none here.
"""

from __future__ import annotations

import json
from typing import Any

from ministack.core import iam_actions
from ministack.services import dynamodb

from local import patches

LEADING_KEYS = "dynamodb:LeadingKeys"


def install() -> None:
    """Apply the patch."""

    def dynamodb_service_context(body: bytes) -> dict[str, Any]:
        return {**original(body), **_leading_key(body)}

    original = patches.replace(iam_actions, "dynamodb_service_context", "body", dynamodb_service_context)


def _leading_key(body: bytes) -> dict[str, list[str]]:
    try:
        request = json.loads(body)
        table = dynamodb._tables[request["TableName"].rpartition("/")[2]]
        (value,) = (request.get("Item") or request["Key"])[table["pk_name"]].values()
    except (ValueError, LookupError, TypeError, AttributeError):
        return {}  # The service says what is wrong with the request.
    return {LEADING_KEYS: [str(value)]}
