"""EventBridge: the condition keys of PutEvents, events:source and events:detail-type.

Patch: ministack has no values for these keys, so a statement with such a condition allows nothing. Here each entry
is authorized by itself ("Using IAM policy conditions in Amazon EventBridge", EventBridge User Guide).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

from ministack.core import iam_actions, responses

from local import authorization, patches
from local.authorization import Permission

PUT_EVENTS = "events:PutEvents"
_KEYS = {"Source": "events:source", "DetailType": "events:detail-type"}


def install() -> None:
    """Authorize requests to EventBridge as this module says, and apply the patch."""

    def entries(body: bytes, region: str) -> Iterator[tuple[str, dict[str, str]]]:
        """The event bus of each entry, and its values of condition keys."""
        try:
            found = json.loads(body)["Entries"]
        except (ValueError, TypeError, KeyError):
            return
        for entry in found if isinstance(found, list) else ():
            alone = json.dumps({"Entries": [entry]}).encode()
            for bus in original_buses(alone, region, responses.get_account_id()):
                yield bus, {key: str(entry[name]) for name, key in _KEYS.items() if entry.get(name) is not None}

    def permissions(asked: Permission, body: bytes, region: str) -> list[Permission]:
        found = entries(body, region) if asked.action == PUT_EVENTS else ()
        needed = [replace(asked, resource=bus, context={**asked.context, **values}) for bus, values in found]
        # A request without a valid entry is authorized as a whole.
        return needed or [asked]

    def eventbridge_resource_arns(body: bytes, region: str, account_id: str) -> list[str]:
        # ministack authorizes the first, with the body, and the others without it; `permissions` has all of them.
        return list(original_buses(body, region, account_id)[:1])

    authorization.require("events", permissions)
    original_buses = patches.replace(
        iam_actions, "eventbridge_resource_arns", "body region account_id", eventbridge_resource_arns
    )
