"""The result of a rollback."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from functions.record_rollback.result import describe_failure
from functions.shared.champion import Champion, ModelTable
from functions.shared.training_input import read_training_input, write_training_input
from tests.unit.functions.stack import EXECUTION, Function

OLD, NEW = Champion("v1", "v1", "s3://a"), Champion("v2", "v2", "s3://b", previous="v1")
PREPARED = {"model_version": "v1", "champion": NEW.as_state(), "restore_config": "v2"}
ERROR = {"Error": "ProbeFailed", "Cause": '{"errorMessage": "3 of 18 golden photos are correct"}'}


def test_the_cause_of_a_failure_names_what_the_endpoint_serves() -> None:
    assert describe_failure({"prepared": PREPARED, "error": ERROR})[1].endswith(
        "The endpoint was not changed, and v2 stays champion."
    )
    back = {"status": "InService", "config": "v2"}
    assert describe_failure({"prepared": PREPARED, "error": ERROR, "restored": back}) == (
        "ProbeFailed",
        "The rollback to v1 failed: 3 of 18 golden photos are correct. v2 is in service again and stays champion.",
    )
    for not_restored in ({"status": "Updating", "config": "v2"}, {"status": "InService", "config": "v1"}):
        cause = describe_failure({"prepared": PREPARED, "error": ERROR, "restored": not_restored})[1]
        assert f"the endpoint is {not_restored['status']} with {not_restored['config']}" in cause


# The training input


def training_input(name: str) -> dict[str, Any]:
    dataset, hyperparameters = f"s3://b/{name}/", {"seed": "1"}
    return {
        "dataset": dataset,
        "image": "repository@sha256:0",
        "hyperparameters": hyperparameters,
        "classes": ["bicycle"],
    }


@pytest.mark.parametrize("known", [True, False])
def test_after_a_rollback_retrainings_use_the_training_input_of_the_restored_model(
    known: bool,
    function: Callable[[str], Function],
    account: dict[str, Any],
    table: ModelTable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ML_BUCKET", "scones-ml")
    monkeypatch.setenv("MODEL_TABLE", "models")
    monkeypatch.setenv("MODEL_GROUP", "scones-test")
    old = replace(OLD, training_input=training_input("old") if known else None)
    table.promote(old)
    table.promote(replace(NEW, training_input=training_input("new")))
    write_training_input(account["s3"], "scones-ml", training_input("new"))
    table.acquire_lock(EXECUTION, datetime(2026, 11, 26, tzinfo=UTC), lambda holder: True)
    prepared = {
        "target": (table.promoted("v1") or old).as_state(),
        "champion": (table.champion() or NEW).as_state(),
        "request": {"reason": "a test", "trigger": "manual", "alarm": None},
        "skipped": {},
        "words": "v1 is restored",
    }
    function("record_rollback")(outcome="rolled back", state={"prepared": prepared})
    expected = training_input("old" if known else "new")
    assert read_training_input(account["s3"], "scones-ml") == expected
    assert table.champion() == replace(old, restored_at=(table.champion() or old).restored_at)
