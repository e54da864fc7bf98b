"""What one photo uses in `operate/usage.json` is what the rendered workflow and the real Lambdas use."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import pytest
from botocore.client import BaseClient

import workflows
from operate import cost_model, cost_paths
from tests.workflow.stage import Stage, classification

OUTCOMES = tuple(cost_paths.WAYPOINTS)
COUNTED = {
    "dynamodb:UpdateItem:photos": "photo_updates",
    "dynamodb:UpdateItem:uploads-per-minute": "count_updates",
    "s3:GetObject": "gets",
    "sagemaker-runtime:InvokeEndpoint": "invocations",
    "events:PutEvents": "events",
    "sqs:SendMessage": "messages",
}
# What the other calls do not cost: names that a test looks up.
SERVICES = {"dynamodb", "events", "s3", "sagemaker-runtime", "sqs"}


@contextmanager
def counted_calls() -> Iterator[Counter[str]]:
    """Counts the calls of AWS of the executions, as `service:Operation`; those of DynamoDB also by table."""
    calls: Counter[str] = Counter()
    base: Any = BaseClient
    original, test = base._make_api_call, threading.current_thread()

    def call(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
        service = client.meta.service_model.service_name
        if service in SERVICES and threading.current_thread() is not test:
            table = f":{parameters['TableName']}" if service == "dynamodb" else ""
            calls[f"{service}:{operation}{table}"] += 1
        return original(client, operation, parameters)

    with patch.object(BaseClient, "_make_api_call", call):
        yield calls


def run_to_outcome(stage: Stage, outcome: str) -> tuple[list[str], Counter[str]]:
    """Let one photo have this outcome; returns the states of its execution, and the calls."""
    photo = {**stage.upload(), "uploaded_at": "2026-11-23T02:35:35Z"}
    confidence = 0.5 if outcome in ("reviewer", "fallback") else 0.98
    stage.respond = lambda image: classification("bicycle", confidence)
    if outcome == "rejected":
        stage.respond = lambda image: {"error": "UnreadablePhoto", "message": "not an image"}
    if outcome == "excess":
        photo["uploaded_at"] = stage.fill_minute("driver-7")
    with counted_calls() as calls:
        run = stage.classify(photo, review_timeout_s=1 if outcome == "fallback" else 60)
        if outcome == "reviewer":
            answer = {"vehicle": "bicycle", "reviewer": "ann", "answered_at": "2026-11-23T10:00:00Z"}
            stage.answer_review(stage.review_request(), answer)
        run.output()
    return run.states(), calls


def item_bytes(value: dict[str, Any]) -> int:
    """The size of an attribute value: "DynamoDB item sizes and formats", Amazon DynamoDB Developer Guide."""
    ((kind, content),) = value.items()
    if kind == "M":
        return 3 + sum(len(name) + 1 + item_bytes(inner) for name, inner in content.items())
    if kind == "L":
        return 3 + sum(1 + item_bytes(inner) for inner in content)
    return 1 if kind in ("BOOL", "NULL") else len(str(content))


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_photo_uses_what_the_cost_is_computed_from(stage: Stage, outcome: str) -> None:
    definition = json.loads(workflows.asl_path("classify-photo").read_text(encoding="utf-8"))
    path, usage = cost_paths.paths(definition)[outcome], cost_model.read_usage()["calls"]["of"][outcome]
    states, calls = run_to_outcome(stage, outcome)
    assert tuple(states) == path.states
    assert {function.replace("_", "-") for function, _ in stage.invocations} == set(path.functions)
    assert len(stage.invocations) == len(path.functions)
    assert set(calls) <= set(COUNTED)
    assert {name: calls[call] for call, name in COUNTED.items()} == {name: usage[name] for name in COUNTED.values()}
    (item,) = stage.aws["dynamodb"].scan(TableName="photos")["Items"]
    size = sum(len(name) + item_bytes(value) for name, value in item.items())
    assert size == pytest.approx(usage["record_bytes"], abs=40)
