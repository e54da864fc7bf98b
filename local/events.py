"""EventBridge: send events that cannot be delivered to the target's dead-letter queue.

Patches: ministack's `eventbridge._invoke_target` and `_dispatch_to_stepfunctions` drop such an event with a warning,
and `stepfunctions._start_execution` accepts input that is not JSON, and of any length. On AWS "errors that result from
missing permissions to a target, or if a target resource no longer exists" are not retried and go to the dead-letter
queue (Amazon EventBridge User Guide, "Debugging event delivery"); StartExecution returns InvalidExecutionInput or
ValidationException.
"""

from __future__ import annotations

import contextvars
import json
import logging
from collections.abc import Callable
from typing import Any

from ministack.core.responses import error_response_json
from ministack.services import eventbridge, lambda_svc, sns, sqs, stepfunctions

from local import patches, service_roles
from local.service_roles import NotAuthorized, ServiceRole
from local.states.tasks import MAX_PAYLOAD_BYTES

logger = logging.getLogger("local.events")
SERVICE = "events.amazonaws.com"
# How the policy of a target is found, and the action that it has to allow.
_POLICIES: dict[str, tuple[Callable[[str], tuple[Any, str] | None], str]] = {
    "lambda": (lambda_svc.function_policy_for_arn, "lambda:InvokeFunction"),
    "sqs": (sqs.queue_policy_for_arn, "sqs:SendMessage"),
    "sns": (sns.topic_policy_for_arn, "sns:Publish"),
}
_failure: contextvars.ContextVar[tuple[str, str] | None] = contextvars.ContextVar("failure", default=None)


def _send_to_dead_letter_queue(
    queue_arn: str, target: dict[str, Any], rule: dict[str, Any], event: dict[str, Any]
) -> None:
    code, message = _failure.get() or ("", "")
    url = sqs._queue_name_to_url.get(queue_arn.rpartition(":")[2])
    if url is None:
        logger.warning("The dead-letter queue %s does not exist; an event is lost.", queue_arn)
        return
    policy = (sqs.queue_policy_for_arn(queue_arn) or ("",))[0]
    source = str(rule.get("Arn", ""))
    if not service_roles.resource_policy_allows(policy, SERVICE, "sqs:SendMessage", queue_arn, source):
        logger.warning("The policy of %s does not allow %s to send to it; an event is lost.", queue_arn, source)
        return
    values = {
        "RULE_ARN": rule.get("Arn", ""),
        "TARGET_ARN": target["Arn"],
        "ERROR_CODE": code,
        "ERROR_MESSAGE": message,
    }
    attributes = {name: {"DataType": "String", "StringValue": value} for name, value in values.items()}
    sqs._act_send_message({"QueueUrl": url, "MessageBody": json.dumps(event), "MessageAttributes": attributes}, url)


def _authorize(target: dict[str, Any], rule: dict[str, Any]) -> None:
    """Raise NotAuthorized unless EventBridge may start or invoke the target.

    It assumes a role to start executions; functions, queues and topics have policies of their own ("Using
    resource-based policies for Amazon EventBridge", Amazon EventBridge User Guide).
    """
    arn, source = str(target.get("Arn", "")), str(rule.get("Arn", ""))
    kind = arn.split(":")[2:3]
    if kind == ["states"]:
        ServiceRole(str(target.get("RoleArn", "")), SERVICE, source).require("states:StartExecution", arn)
    elif kind and kind[0] in _POLICIES:
        find_policy, action = _POLICIES[kind[0]]
        policy: Any = (find_policy(arn) or ("",))[0]
        if not service_roles.resource_policy_allows(policy, SERVICE, action, arn, source):
            raise NotAuthorized(f"The policy of {arn} does not allow {SERVICE} {action} for {source}.")


def _start_workflow(arn: str, payload: str) -> None:
    """Start the execution of the target; store the reason in `_failure` when it is refused."""
    if stepfunctions._resolve_state_machine_arn(arn) is None:
        _failure.set(("NO_RESOURCE", f"State Machine Does Not Exist: '{arn}'"))
        return
    status, _headers, body = stepfunctions._start_execution({"stateMachineArn": arn, "input": payload})
    if status >= 400:
        refusal = json.loads(body)
        _failure.set((refusal.get("__type", "SDK_CLIENT_ERROR"), refusal.get("message", "")))


def install() -> None:
    """Apply the patches of this module."""

    def invoke_target(target: dict[str, Any], event: dict[str, Any], rule: dict[str, Any], view: Any = None) -> None:
        view = view or eventbridge._pattern_event_view(event)
        token = _failure.set(None)
        try:
            try:
                _authorize(target, rule or {})
                original(target, event, rule, view)
            except NotAuthorized as error:
                _failure.set(("NO_PERMISSIONS", str(error)))
            queue_arn = (target.get("DeadLetterConfig") or {}).get("Arn")
            if _failure.get() is not None:
                logger.warning("Event for %s was not delivered: %s", target.get("Arn"), _failure.get())
                if queue_arn:
                    _send_to_dead_letter_queue(queue_arn, target, rule or {}, view.event_with_detail())
        finally:
            _failure.reset(token)

    def start_execution(data: dict[str, Any]) -> Any:
        try:
            json.loads(data.get("input", "{}"))
        except ValueError as error:
            return error_response_json(
                "InvalidExecutionInput", f"Invalid State Machine Execution Input: '{error}'", 400
            )
        if len(data.get("input", "").encode()) > MAX_PAYLOAD_BYTES:
            text = f"Member must have length less than or equal to {MAX_PAYLOAD_BYTES}"
            return error_response_json(
                "ValidationException", f"Value at 'input' failed to satisfy constraint: {text}", 400
            )
        return original_start(data)

    original = patches.replace(eventbridge, "_invoke_target", "target event rule view", invoke_target)
    patches.replace(eventbridge, "_dispatch_to_stepfunctions", "arn payload", _start_workflow)
    original_start = patches.replace(stepfunctions, "_start_execution", "data", start_execution)
