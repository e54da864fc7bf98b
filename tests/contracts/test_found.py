"""Faults that test_answers.py found, each with its smallest example: a function ended with an error of Python."""

import copy
import json
from typing import Any

import pytest

from tests.contracts.answers import is_typed
from tests.contracts.lambdas import FOLDERS, Lambdas
from tests.contracts.odd_json import nested
from tests.contracts.test_answers import prepare

DELETE = object()
# Function, number of its valid event, path in it, value there, name of the error, what its message names.
EVENTS: tuple[tuple[str, int, str, Any, str, str], ...] = (
    ("assign_bay", 0, "execution", "", "InvalidInput", "execution"),
    ("assign_bay", 0, "execution", DELETE, "InvalidInput", "execution"),
    ("assign_bay", 0, "photo.key", "\ud800", "InvalidInput", "photo.key"),
    ("assign_bay", 0, "photo.size", 10**40, "InvalidInput", "photo.size"),
    ("assign_bay", 0, "vehicle", "\ud800", "InvalidInput", "vehicle"),
    ("build_dataset", 0, "run", True, "InvalidInput", "run"),
    ("build_dataset", 0, "run.name", DELETE, "InvalidInput", "name"),
    ("build_dataset", 1, "request.classes", 5, "InvalidInput", "classes"),
    ("build_dataset", 1, "request.classes", [["bicycle"]], "InvalidInput", "classes"),
    ("build_dataset", 1, "request.hyperparameters", [1], "InvalidInput", "hyperparameters"),
    ("judge_challenger", 0, "evaluation", [], "InvalidInput", "evaluation"),
    ("judge_challenger", 0, "prepared.force", DELETE, "InvalidInput", "force"),
    ("judge_challenger", 0, "prepared.champion", "a", "InvalidInput", "champion"),
    ("judge_challenger", 0, "prepared.reference", None, "InvalidInput", "reference"),
    ("notify_failure", 0, "detail.status", DELETE, "InvalidInput", "status"),
    ("notify_failure", 0, "detail.status", [], "InvalidInput", "status"),
    ("notify_failure", 0, "detail.executionArn", "a", "InvalidInput", "executionArn"),
    ("notify_failure", 0, "detail.executionArn", "\ud800:::::", "InvalidInput", "executionArn"),
    ("notify_failure", 0, "detail.stopDate", "a", "InvalidInput", "stopDate"),
    ("notify_failure", 0, "detail.stopDate", 1e308, "InvalidInput", "stopDate"),
    ("notify_failure", 0, "detail.cause", "\ud800", "InvalidInput", "cause"),
    ("prepare_rollback", 0, "request.reason", "\ud800", "InvalidInput", "reason"),
    ("probe_endpoint", 0, "run", DELETE, "InvalidInput", "run"),
    ("probe_endpoint", 0, "golden", True, "InvalidInput", "golden"),
    ("probe_endpoint", 1, "since", "2026-11-27T10:00:00", "InvalidInput", "since"),
    ("reconcile_photos", 0, "hours", 1e308, "InvalidInput", "hours"),
    ("reconcile_photos", 0, "grace_s", 1e308, "InvalidInput", "grace_s"),
    ("reconcile_photos", 3, "continuation.started_at", "2026-11-27T10:00:00", "InvalidInput", "started_at"),
    ("reconcile_photos", 3, "continuation.started_at", "0001-01-01T00:00:00+14:00", "InvalidInput", "started_at"),
    ("reconcile_photos", 3, "continuation.unaccounted", 1e308, "InvalidInput", "unaccounted"),
    ("reconcile_photos", 3, "continuation.after", "\ud800", "InvalidInput", "after"),
    ("record_retraining", 0, "outcome", DELETE, "InvalidInput", "outcome"),
    ("record_retraining", 1, "state.judged.checks.0", False, "InvalidInput", "checks"),
    ("record_retraining", 1, "state.judged.checks.0.value", nested(40), "InvalidInput", "value"),
    ("record_retraining", 1, "state.judged.checks.0.photo", 1, "InvalidInput", "photo"),
    ("record_retraining", 1, "state.prepared.snapshot", True, "InvalidInput", "snapshot"),
    ("record_retraining", 3, "state.error", "a", "InvalidInput", "error"),
    ("record_rollback", 0, "state.prepared", DELETE, "InvalidInput", "prepared"),
    ("record_rollback", 0, "state.prepared.words", DELETE, "InvalidInput", "words"),
    ("record_rollback", 0, "state.prepared.champion.training_input", {"a": nested(40)}, "InvalidInput", "levels"),
    ("record_rollback", 1, "state.error", 1.5, "InvalidInput", "error"),
    ("reject_photo", 0, "error.Error", " ", "InvalidInput", "error"),
    ("request_review", 0, "classification", True, "InvalidInput", "classification"),
    ("request_review", 0, "classification.probabilities", {}, "InvalidInput", "other"),
    ("request_review", 0, "classification.confidence", nested(40), "InvalidInput", "confidence"),
    ("request_review", 0, "timeout_s", 1e308, "InvalidInput", "timeout_s"),
)
# The end of an object's key, its content, and the name of the error of the function that reads it.
OBJECTS: tuple[tuple[str, str, bytes, str], ...] = (
    ("build_dataset", "training/current.json", b"9" * 5000, "InvalidDocument"),
    ("build_dataset", "training/current.json", b"[1]", "InvalidDocument"),
    ("build_dataset", "/manifest.json", b"{}", "InvalidDocument"),
    ("build_dataset", "/manifest.json", b'{"photos": [true]}', "InvalidDocument"),
    ("judge_challenger", "/evaluation.json", b"", "InvalidDocument"),
    ("judge_challenger", "/evaluation.json", b"[" * 100_000, "InvalidDocument"),
    ("judge_challenger", "/evaluation.json", b'{"challenger": {"threshold": null}}', "InvalidDocument"),
    ("judge_challenger", "/evaluation.json", b'{"challenger": {}}', "InvalidDocument"),
    ("judge_challenger", "/evaluation.json", b'{"challenger": {"accuracy": NaN}}', "InvalidDocument"),
)


def changed(event: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """The event with another value at a path, or without it."""
    event = copy.deepcopy(event)
    *parents, last = (int(part) if part.isdigit() else part for part in path.split("."))
    target: Any = event
    for part in parents:
        target = target[part]
    if value is DELETE:
        del target[last]
    else:
        target[last] = value
    return event


def failure(lambdas: Lambdas, folder: str, event: Any) -> Exception:
    """The error with which a function ends."""
    try:
        answer = lambdas.call(folder, event)
    except Exception as error:
        return error
    raise AssertionError(f"{folder} answered {json.dumps(answer)}")


@pytest.mark.parametrize(("folder", "number", "path", "value", "error", "named"), EVENTS)
def test_a_malformed_field_of_an_event_is_named(
    lambdas: Lambdas, folder: str, number: int, path: str, value: Any, error: str, named: str
) -> None:
    valid = lambdas.events[folder][number]
    prepare(lambdas, folder, valid)
    raised = failure(lambdas, folder, changed(valid, path, value))
    assert (type(raised).__name__, is_typed(raised)) == (error, True), raised
    assert named in str(raised)
    assert len(str(raised)) < 1000


@pytest.mark.parametrize("folder", FOLDERS)
def test_an_event_that_is_no_object_is_an_invalid_input(lambdas: Lambdas, folder: str) -> None:
    for event in (None, [], "a", 1):
        assert type(failure(lambdas, folder, event)).__name__ == "InvalidInput"


def test_the_input_of_a_failed_execution_may_have_any_depth(lambdas: Lambdas) -> None:
    valid = lambdas.events["notify_failure"][0]
    prepare(lambdas, "notify_failure", valid)
    event = changed(valid, "detail.input", "[" * 100_000)
    assert lambdas.call("notify_failure", event) == {"notified": True}


@pytest.mark.parametrize(("folder", "end", "content", "error"), OBJECTS)
def test_a_malformed_object_in_s3_is_named(lambdas: Lambdas, folder: str, end: str, content: bytes, error: str) -> None:
    event = next(event for event in lambdas.events[folder] if "initial_model" not in event.get("request", {}))
    prepare(lambdas, folder, event)
    keys = [key for key in lambdas.documents if key.endswith(end)]
    try:
        for key in keys:
            lambdas.put(key, content)
        raised = failure(lambdas, folder, event)
    finally:
        for key in keys:
            lambdas.restore(key)
    assert type(raised).__name__ == error, raised
    assert "s3://scones-ml/" in str(raised)
