"""The result of a retraining."""

from typing import Any

from functions.record_retraining.result import RetrainingResult


def concluded(promoted: bool = False, **state: Any) -> RetrainingResult:
    return RetrainingResult(
        promoted, {"run": {"name": "v2"}, **state}, "arn:run", "scones-dev", "2026-11-23T10:00:00.000Z", "v1"
    )


PREPARED = {"champion": {"model_version": "v1"}, "snapshot": "s3://snapshot/"}
TASK_FAILED = {"Error": "States.TaskFailed", "Cause": '{"FailureReason": "AlgorithmError: no photos"}'}


def test_a_failed_job_is_named_after_what_it_was_for() -> None:
    training = concluded(prepared=PREPARED, error=TASK_FAILED)
    assert (training.reason, training.verdict, training.failed) == ("TrainingFailed", "AlgorithmError: no photos", True)
    assert training.model_version is None
    evaluation = concluded(prepared=PREPARED, trained={"artifact": "s3://a"}, error=TASK_FAILED)
    assert (evaluation.reason, evaluation.model_version) == ("EvaluationFailed", "v2")


def test_to_lose_is_no_failure() -> None:
    lost = concluded(prepared=PREPARED, error={"Error": "NotBetter", "Cause": "as good"})
    assert not lost.failed
    assert lost.as_output()["outcome"] == "rejected"


def test_a_retraining_that_found_another_one_running_names_the_recorded_champion() -> None:
    assert concluded(error={"Error": "RetrainingRunning", "Cause": "x"}).as_event()["champion"] == "v1"


def test_a_verdict_counts_as_judged_whatever_came_after_it_and_a_dry_run_does_not() -> None:
    judged = {"promote": True, "words": "better"}
    assert concluded(True, prepared=PREPARED, trained={"artifact": "a"}, judged=judged).judged_snapshot
    broken = {"Error": "ProbeFailed", "Cause": "wrong"}
    after = concluded(prepared=PREPARED, trained={"artifact": "a"}, judged=judged, error=broken)
    assert after.judged_snapshot == "s3://snapshot/"
    dry = concluded(prepared={**PREPARED, "dry_run": True}, trained={"artifact": "a"}, judged=judged, error=broken)
    assert dry.judged_snapshot is None
    assert concluded(prepared=PREPARED, error=TASK_FAILED).judged_snapshot is None


def test_an_endpoint_that_could_not_go_back_is_said() -> None:
    stuck = concluded(
        prepared=PREPARED, error={"Error": "ProbeFailed", "Cause": "wrong"}, restored={"status": "Updating"}
    )
    assert "The endpoint is Updating" in stuck.verdict
