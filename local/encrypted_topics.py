"""SNS: publishing to an encrypted topic needs permission for its key.

ministack authorizes sns:Publish only. On AWS the publisher needs kms:GenerateDataKey and kms:Decrypt for the key
("Key management", Amazon SNS Developer Guide).
"""

from __future__ import annotations

from collections.abc import Iterator

from ministack.services import kms, sns

from local import authorization, patches
from local.authorization import Permission

ACTIONS = ("kms:GenerateDataKey", "kms:Decrypt")


def _key_arn(topic_arn: str) -> str | None:
    """The ARN of the key of a topic; None for a topic without a key of the account."""
    attributes = (sns._topics.get(topic_arn) or {}).get("attributes", {})
    key = kms._resolve_key(attributes.get("KmsMasterKeyId", "")) if attributes.get("KmsMasterKeyId") else None
    return str(key["Arn"]) if key else None


def _permissions(asked: Permission, _body: bytes, _region: str) -> Iterator[Permission]:
    yield asked
    key = _key_arn(asked.resource) if asked.action == "sns:Publish" else None
    for action in ACTIONS if key else ():
        yield Permission(action, "kms", str(key))


def install() -> None:
    """Authorize requests to SNS as this module says."""
    authorization.require("sns", _permissions)
    patches.attribute(sns, "_topics", object)
    patches.expect(kms, "_resolve_key", "key_id_or_arn")
