"""EventBridge: the condition keys of PutEvents, events:source and events:detail-type.

Patches: ministack has no values for these keys, so a statement with such a condition allows nothing. Here each entry
is authorized by itself ("Using IAM policy conditions in Amazon EventBridge", EventBridge User Guide).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ministack.core import iam_actions, iam_evaluator, responses

from local import patches

PUT_EVENTS = "events:PutEvents"
_BODY = "local:body"
_KEYS = {"Source": "events:source", "DetailType": "events:detail-type"}


def install() -> None:
    """Apply the patches."""

    def request_tag_context(service: str, iam_action: str, body: bytes, params: Any) -> dict[str, Any]:
        context: dict[str, Any] = original_context(service, iam_action, body, params)
        return {**context, _BODY: body} if iam_action == PUT_EVENTS else context

    def entries(body: bytes, region: str) -> Iterable[tuple[str, dict[str, str]]]:
        """The event bus of each entry, and its values of condition keys."""
        try:
            found = json.loads(body)["Entries"]
        except (ValueError, TypeError, KeyError):
            return
        for entry in found if isinstance(found, list) else ():
            alone = json.dumps({"Entries": [entry]}).encode()
            for bus in original_buses(alone, region, responses.get_account_id()):
                yield bus, {key: str(entry[name]) for name, key in _KEYS.items() if entry.get(name) is not None}

    def enforce(
        access_key_id: str,
        iam_action: str,
        service: str,
        region: str,
        resource_arn: str = "*",
        service_context: Mapping[str, Any] | None = None,
    ) -> Any:
        context = dict(service_context or {})
        body = context.pop(_BODY, None)
        # A request without a valid entry is authorized as a whole.
        checks = list(entries(body, region)) if body is not None else []
        for resource, values in checks or [(resource_arn, {})]:
            denied = original_enforce(access_key_id, iam_action, service, region, resource, {**context, **values})
            if denied:
                return denied
        return None

    def eventbridge_resource_arns(body: bytes, region: str, account_id: str) -> list[str]:
        # ministack authorizes the first, with the context, and the others without it; `enforce` has authorized them.
        return list(original_buses(body, region, account_id)[:1])

    original_context = patches.replace(
        iam_actions, "request_tag_context", "service iam_action body params", request_tag_context
    )
    original_buses = patches.replace(
        iam_actions, "eventbridge_resource_arns", "body region account_id", eventbridge_resource_arns
    )
    parameters = "access_key_id iam_action service region resource_arn service_context"
    original_enforce = patches.replace(iam_evaluator, "enforce", parameters, enforce)
