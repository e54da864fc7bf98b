"""The result of a retraining."""

from typing import Any

from functions.record_retraining.result import RetrainingResult


def result_of(promoted: bool = False, **state: Any) -> RetrainingResult:
    return RetrainingResult(
        promoted, {"run": {"name": "v2"}, **state}, "arn:run", "scones-dev", "2026-11-23T10:00:00.000Z", "v1"
    )


PREPARED = {"champion": {"model_version": "v1"}, "snapshot": "s3://snapshot/"}
TASK_FAILED = {"Error": "States.TaskFailed", "Cause": '{"FailureReason": "AlgorithmError: no photos"}'}


def test_a_failed_job_is_named_after_what_it_was_for() -> None:
    training = result_of(prepared=PREPARED, error=TASK_FAILED)
    assert (training.reason, training.verdict, training.failed) == ("TrainingFailed", "AlgorithmError: no photos", True)
    assert training.model_version is None
    evaluation = result_of(prepared=PREPARED, trained={"artifact": "s3://a"}, error=TASK_FAILED)
    assert (evaluation.reason, evaluation.model_version) == ("EvaluationFailed", "v2")


def test_a_rejection_by_the_gate_is_no_failure() -> None:
    lost = result_of(prepared=PREPARED, error={"Error": "NotBetter", "Cause": "as good"})
    assert not lost.failed
    assert lost.as_output()["outcome"] == "rejected"


def test_a_retraining_that_found_another_one_running_names_the_recorded_champion() -> None:
    assert result_of(error={"Error": "RetrainingRunning", "Cause": "x"}).as_event()["champion"] == "v1"


def test_a_verdict_counts_as_judged_whatever_came_after_it_and_a_dry_run_does_not() -> None:
    judged = {"promote": True, "words": "better"}
    assert result_of(True, prepared=PREPARED, trained={"artifact": "a"}, judged=judged).judged_snapshot
    broken = {"Error": "ProbeFailed", "Cause": "wrong"}
    after = result_of(prepared=PREPARED, trained={"artifact": "a"}, judged=judged, error=broken)
    assert after.judged_snapshot == "s3://snapshot/"
    dry = result_of(prepared={**PREPARED, "dry_run": True}, trained={"artifact": "a"}, judged=judged, error=broken)
    assert dry.judged_snapshot is None
    assert result_of(prepared=PREPARED, error=TASK_FAILED).judged_snapshot is None


def test_the_verdict_says_when_the_endpoint_was_not_restored() -> None:
    stuck = result_of(
        prepared=PREPARED, error={"Error": "ProbeFailed", "Cause": "wrong"}, restored={"status": "Updating"}
    )
    assert "The endpoint is Updating" in stuck.verdict


def test_a_promoted_model_is_recorded_with_its_training_input() -> None:
    given = {"dataset": "s3://b/new/", "source": "s3://b/s"}
    promoted = result_of(True, prepared={**PREPARED, "training_input": given}, trained={"artifact": "s3://a"})
    assert promoted.new_champion.training_input == given
    initial = result_of(True, prepared={"initial": {"threshold": 0.9}}, trained={"artifact": "s3://a"})
    assert initial.new_champion.training_input is None
