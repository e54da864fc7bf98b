"""Histories of executions, as Step Functions returns them without inputs and outputs."""

import json
from typing import Any

UNAVAILABLE = json.dumps({"errorMessage": "DynamoDB did not answer", "errorType": "RecordUnavailable"})


def entered(name: str, kind: str = "Task") -> dict[str, Any]:
    return {"type": f"{kind}StateEntered", "stateEnteredEventDetails": {"name": name}}


def failed(error: str = "RecordUnavailable", cause: str = UNAVAILABLE) -> dict[str, Any]:
    return {"type": "TaskFailed", "taskFailedEventDetails": {"error": error, "cause": cause}}


UNRECORDED = [
    {"type": "ExecutionStarted"},
    entered("ClassifyPhoto"),
    failed("ModelUnavailable", "retried"),
    {"type": "TaskSucceeded"},
    entered("AssignBay"),
    failed(),
    failed(),
    {"type": "TaskStateExited"},
    entered("SendToUnroutedQueue"),
    {"type": "TaskSucceeded"},
    entered("FailExecution", "Fail"),
    {"type": "ExecutionFailed"},
]
