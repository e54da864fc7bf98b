"""State machine definitions."""

from __future__ import annotations

from typing import Any


def task(resource: str, parameters: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """A Task state that ends the execution unless `fields` override that."""
    state = {"Type": "Task", "Resource": resource, "End": True, **fields}
    return state if parameters is None else {**state, "Parameters": parameters}


def invoke(function: str, payload: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A Task state that invokes a Lambda function."""
    return task("arn:aws:states:::lambda:invoke", {"FunctionName": function, "Payload": payload}, **fields)


def machine(first: dict[str, Any], **others: Any) -> dict[str, Any]:
    """The definition of a state machine that starts with the state First."""
    return {"StartAt": "First", "States": {"First": first, **others}}
