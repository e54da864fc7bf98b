"""Execution histories and log lines."""

import json
from datetime import timedelta
from typing import Any

import pytest

from console.execution_history import parse_history, parse_log_line
from tests.unit.console.review_requests import NOW


def test_the_steps_of_an_execution_have_names_and_times_but_no_inputs() -> None:
    entered = {"stateEnteredEventDetails": {"name": "RequestReview", "input": '{"task_token": "secret"}'}}
    events: list[dict[str, Any]] = [
        {"type": "ExecutionStarted", "timestamp": NOW},
        {"type": "TaskStateEntered", "timestamp": NOW, **entered},
        {"type": "LambdaFunctionFailed", "timestamp": NOW, "lambdaFunctionFailedEventDetails": {"error": "Boom"}},
        {"type": "TaskStateExited", "timestamp": NOW + timedelta(seconds=2)},
    ]
    (step,) = parse_history(events)
    assert (step.state, step.seconds, step.error) == ("RequestReview", 2.0, "Boom")
    assert "secret" not in repr(step)


@pytest.mark.parametrize(
    ("end", "error"),
    [
        ({"type": "ExecutionFailed", "executionFailedEventDetails": {"error": "InvalidInput"}}, "InvalidInput"),
        ({"type": "ExecutionTimedOut"}, "ExecutionTimedOut"),
        ({"type": "ExecutionAborted"}, "ExecutionAborted"),
    ],
)
def test_the_last_state_of_an_execution_that_failed_does_not_run_any_more(end: dict[str, Any], error: str) -> None:
    entered = {"type": "FailStateEntered", "stateEnteredEventDetails": {"name": "FailExecution"}, "timestamp": NOW}
    (step,) = parse_history([entered, {**end, "timestamp": NOW + timedelta(seconds=3)}])
    assert (step.state, step.seconds, step.error) == ("FailExecution", 3.0, error)


def test_log_lines_leave_metrics_out() -> None:
    entry = {"level": "INFO", "message": "driver routed", "photo_id": "x", "loading_bay": "Bay A"}
    line = parse_log_line("assign-bay", {"timestamp": 1000, "message": json.dumps(entry)})
    assert line
    assert (line.message, line.more) == ("driver routed", "loading_bay=Bay A")
    assert (
        parse_log_line("assign-bay", {"timestamp": 1000, "message": json.dumps({"_aws": {}, "message": "x"})}) is None
    )
    assert parse_log_line("assign-bay", {"timestamp": 1000, "message": "START"}) is None
