"""SNS: publishing to an encrypted topic needs permission for its key.

Patch: ministack authorizes sns:Publish only. On AWS the publisher needs kms:GenerateDataKey and kms:Decrypt for the key
("Key management", Amazon SNS Developer Guide).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ministack.core import iam_evaluator
from ministack.services import kms, sns

from local import patches

ACTIONS = ("kms:GenerateDataKey", "kms:Decrypt")


def _key_arn(topic_arn: str) -> str | None:
    """The ARN of the key of a topic; None for a topic without a key of the account."""
    attributes = (sns._topics.get(topic_arn) or {}).get("attributes", {})
    key = kms._resolve_key(attributes.get("KmsMasterKeyId", "")) if attributes.get("KmsMasterKeyId") else None
    return str(key["Arn"]) if key else None


def install() -> None:
    """Apply the patch."""

    def enforce(
        access_key_id: str,
        iam_action: str,
        service: str,
        region: str,
        resource_arn: str = "*",
        service_context: Mapping[str, Any] | None = None,
    ) -> Any:
        denied = original(access_key_id, iam_action, service, region, resource_arn, service_context)
        key = _key_arn(resource_arn) if iam_action == "sns:Publish" else None
        for action in ACTIONS if key else ():
            denied = denied or original(access_key_id, action, "kms", region, key, {})
        return denied

    original = patches.replace(
        iam_evaluator, "enforce", "access_key_id iam_action service region resource_arn service_context", enforce
    )
    patches.attribute(sns, "_topics", object)
    patches.expect(kms, "_resolve_key", "key_id_or_arn")
