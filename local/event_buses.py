"""EventBridge: a bus with rules and a rule with targets are not deleted.

Patches: ministack's `eventbridge._delete_event_bus` deletes the rules with the bus, anybody's, and `_delete_rule` the
targets with the rule; its CloudFormation handler of AWS::Events::EventBus ignores a refusal. AWS answers
ValidationException ("DeleteEventBus" and "DeleteRule", Amazon EventBridge API Reference), and the deletion of the stack
fails.
"""

from __future__ import annotations

import json
from typing import Any

from ministack.core.responses import error_response_json
from ministack.services import eventbridge
from ministack.services.cloudformation import provisioners

from local import patches


def install() -> None:
    """Apply the patches of this module."""

    def delete_event_bus(data: dict[str, Any]) -> Any:
        if any(rule.get("EventBusName") == data.get("Name") for rule in eventbridge._rules.values()):
            return error_response_json("ValidationException", "EventBus can't be deleted since it has rules.", 400)
        return original_bus(data)

    def delete_rule(data: dict[str, Any]) -> Any:
        if eventbridge._targets.get(eventbridge._rule_key(data.get("Name"), data.get("EventBusName", "default"))):
            return error_response_json("ValidationException", "Rule can't be deleted since it has targets.", 400)
        return original_rule(data)

    def delete_resource(physical_id: str, _properties: dict[str, Any]) -> None:
        status, _headers, body = delete_event_bus({"Name": physical_id})
        if status >= 400:
            raise ValueError(json.loads(body)["message"])

    original_bus = patches.replace(eventbridge, "_delete_event_bus", "data", delete_event_bus)
    original_rule = patches.replace(eventbridge, "_delete_rule", "data", delete_rule)
    handlers = patches.attribute(provisioners, "_RESOURCE_HANDLERS", dict)
    handlers["AWS::Events::EventBus"] = {**handlers["AWS::Events::EventBus"], "delete": delete_resource}
