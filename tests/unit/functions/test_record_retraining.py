"""The result of a retraining."""

from collections.abc import Callable
from typing import Any

import pytest

from functions.record_retraining.result import RetrainingResult
from tests.unit.functions.stack import Function, FunctionOutput


def result_of(promoted: bool = False, **state: Any) -> RetrainingResult:
    return RetrainingResult(
        promoted, {"run": {"name": "v2"}, **state}, "arn:run", "scones-dev", "2026-11-23T10:00:00.000Z", "v1"
    )


PREPARED = {"champion": {"model_version": "v1"}, "snapshot": "s3://snapshot/"}
TASK_FAILED = {"Error": "States.TaskFailed", "Cause": '{"FailureReason": "AlgorithmError: no photos"}'}


def test_the_reason_names_the_failed_job() -> None:
    training = result_of(prepared=PREPARED, error=TASK_FAILED)
    assert (training.reason, training.verdict, training.failed) == ("TrainingFailed", "AlgorithmError: no photos", True)
    assert training.model_version is None
    evaluation = result_of(prepared=PREPARED, trained={"artifact": "s3://a"}, error=TASK_FAILED)
    assert (evaluation.reason, evaluation.model_version) == ("EvaluationFailed", "v2")


def test_a_rejection_by_the_gate_is_no_failure() -> None:
    rejected = result_of(prepared=PREPARED, error={"Error": "NotBetter", "Cause": "equal"})
    assert not rejected.failed
    assert rejected.as_output()["outcome"] == "rejected"


def test_a_retraining_that_found_another_one_running_names_the_recorded_champion() -> None:
    assert result_of(error={"Error": "RetrainingRunning", "Cause": "x"}).as_event()["champion"] == "v1"


def test_a_snapshot_is_judged_even_after_a_later_error_but_not_by_a_dry_run() -> None:
    judged = {"promote": True, "words": "better"}
    assert result_of(True, prepared=PREPARED, trained={"artifact": "a"}, judged=judged).judged_snapshot
    failed_probe = {"Error": "ProbeFailed", "Cause": "wrong"}
    after = result_of(prepared=PREPARED, trained={"artifact": "a"}, judged=judged, error=failed_probe)
    assert after.judged_snapshot == "s3://snapshot/"
    dry = result_of(
        prepared={**PREPARED, "dry_run": True}, trained={"artifact": "a"}, judged=judged, error=failed_probe
    )
    assert dry.judged_snapshot is None
    assert result_of(prepared=PREPARED, error=TASK_FAILED).judged_snapshot is None


def test_the_verdict_reports_an_endpoint_that_was_not_restored() -> None:
    not_restored = result_of(
        prepared=PREPARED, error={"Error": "ProbeFailed", "Cause": "wrong"}, restored={"status": "Updating"}
    )
    assert "The endpoint is Updating" in not_restored.verdict


def test_a_promoted_model_is_recorded_with_its_training_input() -> None:
    given = {"dataset": "s3://b/new/", "image": "repository@sha256:0"}
    promoted = result_of(True, prepared={**PREPARED, "training_input": given}, trained={"artifact": "s3://a"})
    assert promoted.new_champion.training_input == given
    initial = result_of(True, prepared={"initial": {"threshold": 0.9}}, trained={"artifact": "s3://a"})
    assert initial.new_champion.training_input is None


BEFORE = {"model_version": "v1", "endpoint_config": "v1", "artifact": "s3://before"}
TRAINED = {"artifact": "s3://new"}


def test_the_first_champion_is_the_first_reference() -> None:
    first = result_of(True, prepared={"snapshot": None, "champion": None}, trained=TRAINED).new_reference
    assert first
    assert (first.model_version, first.artifact, first.reason) == ("v2", "s3://new", "the first champion")
    initial = {"initial": {"threshold": 0.9}, "model_version": "initial-1"}
    reference = result_of(True, prepared=initial, trained=TRAINED).new_reference
    assert reference
    assert reference.model_version == "initial-1"


def test_without_a_recorded_reference_the_champion_before_becomes_it() -> None:
    prepared = {**PREPARED, "champion": BEFORE}
    reference = result_of(True, prepared=prepared, trained=TRAINED, judged={"new_reference": False}).new_reference
    assert reference
    assert (reference.model_version, reference.artifact) == ("v1", "s3://before")


def test_only_a_promotion_whose_verdict_says_so_replaces_the_reference() -> None:
    state = {"prepared": {**PREPARED, "champion": BEFORE}, "trained": TRAINED}
    for promoted, better, expected in ((True, True, "v2"), (True, False, None), (False, True, None)):
        run = {"run": {"name": "v2"}, **state, "judged": {"new_reference": better}}
        result = RetrainingResult(promoted, run, "arn:run", "scones-dev", "at", "v1", has_reference=True)
        assert (result.new_reference and result.new_reference.model_version) == expected
        assert result.as_output()["new_reference"] == expected


@pytest.mark.parametrize(("promoted", "reason"), [(True, "Promoted"), (False, "NotBetter")])
def test_a_retraining_is_counted_by_its_result(
    promoted: bool,
    reason: str,
    function: Callable[[str], Function],
    output: Callable[[], FunctionOutput],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("MODEL_TABLE", "ML_BUCKET", "MODEL_GROUP"):
        monkeypatch.setenv(name, "scones-test")
    module = function("record_retraining").module
    champion = {"model_version": "v1", "endpoint_config": "v1", "artifact": "s3://ml/v1"}
    state: dict[str, Any] = {"prepared": {**PREPARED, "champion": champion}, "judged": {"promote": promoted}}
    if not promoted:
        state["error"] = {"Error": reason, "Cause": "equal"}
    module.log_and_count(result_of(promoted, **state))
    module.metrics.flush_metrics()
    (line,) = output().metrics("Retrainings")
    assert (line["reason"], line["service"], line["stage"]) == (reason, "record-retraining", "test")
