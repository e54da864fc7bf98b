"""`states:startExecution.sync` and `.sync:2`: start a child execution and wait for its end.

Patch: ministack's `stepfunctions._invoke_nested_start_execution_sync` runs the child inside the parent as an Express
execution. AWS starts a Standard execution and stops it with its parent ("Start a new AWS Step Functions state machine
from a running execution").
"""

from __future__ import annotations

import contextlib
import json
from datetime import datetime
from typing import Any

from ministack.services import stepfunctions
from ministack.services.stepfunctions import _ExecutionError

from local import patches
from local.states import tasks
from local.states.executions import RunningExecution

NAMES = {
    "ExecutionArn": "executionArn",
    "Input": "input",
    "InputDetails": "inputDetails",
    "Name": "name",
    "Output": "output",
    "OutputDetails": "outputDetails",
    "StartDate": "startDate",
    "StateMachineArn": "stateMachineArn",
    "Status": "status",
    "StopDate": "stopDate",
    "Error": "error",
    "Cause": "cause",
}


def run_child(resource: str, input_data: dict[str, Any]) -> dict[str, Any]:
    """Start the child and wait; returns its description. Raises States.TaskFailed with the description as cause."""
    request = stepfunctions._nested_start_execution_request(input_data)
    status, _headers, body = stepfunctions._start_execution(request)
    answer = json.loads(body)
    if status >= 400:
        code = answer["__type"].rpartition("#")[2]
        raise _ExecutionError(f"StepFunctions.{code}Exception", answer.get("message", ""))
    arn = answer["executionArn"]
    run, cancelled = RunningExecution.of(arn), tasks.cancelled()
    execution = stepfunctions._executions[arn]
    while execution["status"] == "RUNNING" and not run.ended.wait(0.02):
        if cancelled.is_set():
            stepfunctions._stop_execution({"executionArn": arn, "error": "States.Aborted", "cause": "Parent stopped"})
            break
    RunningExecution.remove(arn)
    described = _described(execution, decode=resource.endswith(".sync:2"))
    if execution["status"] != "SUCCEEDED":
        raise _ExecutionError("States.TaskFailed", json.dumps(described))
    return described


def _described(execution: dict[str, Any], decode: bool) -> dict[str, Any]:
    answer = {name: execution[key] for name, key in NAMES.items() if execution.get(key) is not None}
    for name in ("StartDate", "StopDate"):
        if name in answer:
            answer[name] = int(datetime.fromisoformat(answer[name]).timestamp() * 1000)
    if decode:
        for name in ("Input", "Output"):
            with contextlib.suppress(KeyError, ValueError):
                answer[name] = json.loads(answer[name])
    return answer


def install() -> None:
    """Apply the patches of this module."""
    patches.replace(stepfunctions, "_invoke_nested_start_execution_sync", "resource input_data", run_child)
