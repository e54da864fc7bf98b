"""Following an execution: what is printed, and the error of an execution that failed."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from operate import executions
from operate.errors import CommandError
from operate.terminal import console

EXECUTION = "arn:aws:states:eu-west-1:000000000000:execution:retrain-model:one"
NOW = datetime(2026, 11, 27, tzinfo=UTC)


@pytest.fixture
def states(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    """The responses of Step Functions."""
    clients = {
        name: boto3.client(name, region_name="eu-west-1", aws_access_key_id="test", aws_secret_access_key="test")  # type: ignore[call-overload]  # noqa: S106
        for name in ("stepfunctions", "logs")
    }
    monkeypatch.setattr("operate.executions.boto3.client", lambda name: clients[name])
    monkeypatch.setattr(executions, "POLL_S", 0)
    with Stubber(clients["stepfunctions"]) as stubber:
        yield stubber


def add_status(states: Stubber, status: str, **fields: str) -> None:
    described = {"executionArn": EXECUTION, "stateMachineArn": EXECUTION, "startDate": NOW, "status": status, **fields}
    states.add_response("describe_execution", described, {"executionArn": EXECUTION})


def add_history(states: Stubber, *names: str) -> None:
    """The history after the states `names` were entered, newest first."""
    events: list[dict[str, Any]] = [
        {
            "timestamp": NOW,
            "type": "TaskStateEntered",
            "id": number,
            "stateEnteredEventDetails": {"name": name, "input": "{}"},
        }
        for number, name in enumerate(names, start=1)
    ]
    states.add_response(
        "get_execution_history", {"events": events[::-1]}, {"executionArn": EXECUTION, "reverseOrder": True}
    )


def test_each_state_is_printed_once_although_a_loop_enters_it_again(states: Stubber) -> None:
    add_status(states, "RUNNING")
    add_history(states, "BuildDataset", "WaitForEndpoint")
    add_status(states, "SUCCEEDED")
    add_history(states, "BuildDataset", "WaitForEndpoint", "Poll", "WaitForEndpoint", "Promote")
    add_status(states, "SUCCEEDED", output=json.dumps({"outcome": "promoted"}))
    with console.capture() as printed:
        assert executions.follow(EXECUTION, "retrain-model") == {"outcome": "promoted"}
    lines = [line.split() for line in printed.get().splitlines() if line.strip()]
    assert [line[-1] for line in lines] == ["BuildDataset", "WaitForEndpoint", "Poll", "Promote"]
    assert all(line[-2] == "s" for line in lines)


def test_an_execution_that_failed_is_an_error_with_its_cause(states: Stubber) -> None:
    add_status(states, "FAILED")
    add_history(states, "BuildDataset")
    add_status(states, "FAILED", error="ProbeFailed", cause="two golden photos are wrong")
    with pytest.raises(CommandError) as failed:
        executions.follow(EXECUTION, "retrain-model", "The previous model is still in production. ")
    assert "retrain-model ended as FAILED: ProbeFailed: two golden photos are wrong" in str(failed.value)
    assert f"The previous model is still in production. Execution: {EXECUTION}" in str(failed.value)
