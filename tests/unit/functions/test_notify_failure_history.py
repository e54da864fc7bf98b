"""NotifyFailure: the state in which an execution failed."""

from functions.notify_failure.failure import StateFailure, parse_history
from tests.unit.functions.histories import UNAVAILABLE, UNRECORDED, entered, failed


def test_the_failed_state_is_the_last_one_whose_failure_no_retry_resolved() -> None:
    assert parse_history(UNRECORDED) == StateFailure("AssignBay", "RecordUnavailable", UNAVAILABLE)
    assert parse_history([entered("A"), failed(), {"type": "TaskSucceeded"}, entered("B")]) == StateFailure("B")
    assert parse_history([failed("E", "c")]) == StateFailure("unknown", "E", "c")
    assert parse_history([{"type": "ExecutionStarted"}]) is None


def test_a_stopped_execution_is_not_blamed_on_an_error_that_was_caught() -> None:
    history = [entered("ClassifyPhoto"), failed("ModelUnavailable", "down"), entered("RequestReview")]
    assert parse_history(history, stopped=True) == StateFailure("RequestReview")
    assert parse_history(history) == StateFailure("ClassifyPhoto", "ModelUnavailable", "down")
