"""The workflows stay below the quotas of Step Functions: sizes, names, times, history events."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

import workflows
from deploy.templates import load_template
from functions.shared.champion import LOCK_EXPIRES_AFTER
from tests.workflow.stage import Stage
from workflows import limits
from workflows.classify_photo import PENDING_WAIT_S
from workflows.endpoint_states import MAX_POLLS, POLL_S
from workflows.limits import MAX_HISTORY_EVENTS, history_events
from workflows.sagemaker_steps import JOB_START_S, JOB_TIMEOUT_S

State = dict[str, Any]

# The quota "Maximum input or output size for a task, state, or execution".
MAX_PAYLOAD_BYTES = 262_144
# The longest review: the queue keeps a request for 14 days (deploy/templates/app.yaml).
LONGEST_REVIEW_S = 14 * 24 * 3600


@pytest.mark.parametrize("name", workflows.NAMES)
def test_the_workflows_exceed_no_limit(name: str) -> None:
    assert list(limits.problems(workflows.load_definition(name))) == []


@pytest.mark.parametrize("name", workflows.NAMES)
def test_the_name_of_a_state_machine_is_short_enough_for_the_longest_stage(name: str) -> None:
    assert len(f"scones-{'a' * 12}-{name}") <= 80


TASK = {
    "Type": "Task",
    "Resource": "arn:aws:states:::lambda:invoke",
    "TimeoutSeconds": 10,
    "Retry": [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 2, "MaxDelaySeconds": 5}],
    "End": True,
}
DEFINITION = {"StartAt": "Work", "States": {"Work": TASK}, "TimeoutSeconds": 60}


def rename(definition: dict[str, Any]) -> None:
    definition["States"]["W" * 81] = definition["States"].pop("Work")


def nest(definition: dict[str, Any]) -> None:
    work = definition["States"]["Work"]
    definition["States"]["Each"] = {"Type": "Map", "Iterator": {"StartAt": "Work", "States": {"Work": work}}}


def change(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda definition: definition["States"]["Work"].update(fields)


def retry(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda definition: definition["States"]["Work"]["Retry"][0].update(fields)


def map_with(**fields: Any) -> Callable[[dict[str, Any]], None]:
    def edit(definition: dict[str, Any]) -> None:
        child = {"StartAt": "One", "States": {"One": {"Type": "Succeed"}}}
        definition["States"]["Each"] = {"Type": "Map", "ItemProcessor": child, **fields}

    return edit


def limit_execution(seconds: int | None) -> Callable[[dict[str, Any]], None]:
    return lambda definition: definition.update(TimeoutSeconds=seconds or 0)


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (rename, f"{'W' * 81}: the name has 81 characters, at most 80."),
        (nest, "Work: 2 states have this name, which must be unique in the state machine."),
        (change(TimeoutSeconds=100_000_000), "TimeoutSeconds is 100000000; it is a number from 1 to 99,999,999."),
        (change(HeartbeatSeconds=10), "HeartbeatSeconds must be smaller than TimeoutSeconds."),
        (change(Cause="c" * 32_769), "Cause has 32769 characters, at most 32,768."),
        (retry(IntervalSeconds=0), "IntervalSeconds is 0; it is a number from 1 to 99,999,999."),
        (retry(MaxAttempts=-1), "MaxAttempts is -1; it is a number from 0 to 99,999,999."),
        (retry(BackoffRate=0.5), "BackoffRate is 0.5; it is at least 1."),
        (
            retry(MaxDelaySeconds=2),
            "MaxDelaySeconds is 2; it is greater than IntervalSeconds and less than 31,622,400.",
        ),
        (retry(JitterStrategy="SOME"), "JitterStrategy is 'SOME'; it is FULL or NONE."),
        (map_with(Label="a b"), "Label is 'a b'; it has 1 to 40 letters, digits, hyphens and underscores."),
        (map_with(Label="a" * 41), "it has 1 to 40 letters"),
        (map_with(MaxConcurrency=10_001), "MaxConcurrency is 10001, at most 10,000."),
        (map_with(ToleratedFailurePercentage=101), "ToleratedFailurePercentage is 101; it is a number from 0 to 100."),
        (map_with(ItemBatcher={"MaxInputBytesPerBatch": 262_145}), "MaxInputBytesPerBatch is over 262,144."),
        (change(Comment="c" * 1_048_576), "The definition has up to "),
        (limit_execution(None), "TimeoutSeconds of the state machine is missing"),
        (limit_execution(31_536_001), "TimeoutSeconds of the state machine is 31536001"),
    ],
)
def test_each_limit_is_checked(edit: Callable[[dict[str, Any]], None], problem: str) -> None:
    definition: dict[str, Any] = copy.deepcopy(DEFINITION)
    assert list(limits.problems(definition)) == []
    edit(definition)
    found = list(limits.problems(definition))
    assert found
    assert all(problem in one for one in found)


def time_limit(name: str) -> int:
    seconds: int = workflows.load_definition(name)["TimeoutSeconds"]
    return seconds


def longest(parameter: str) -> int:
    """The largest value of a setting."""
    seconds: int = load_template("app")["Parameters"][parameter]["MaxValue"]
    return seconds


def test_an_execution_outlives_the_review_of_another_one_and_its_own() -> None:
    assert longest("ReviewTimeoutSeconds") == LONGEST_REVIEW_S
    assert time_limit("classify-photo") > 2 * LONGEST_REVIEW_S + LONGEST_REVIEW_S // 10


# Both loops count together, to 2 * MAX_POLLS.
POLLING_S = 2 * MAX_POLLS * POLL_S
MARGIN_S = 30 * 60


def test_a_retraining_outlives_its_jobs_the_endpoint_and_the_bake_and_keeps_its_lock() -> None:
    jobs = 2 * (JOB_TIMEOUT_S + JOB_START_S)
    assert time_limit("retrain-model") > jobs + POLLING_S + longest("BakeSeconds") + MARGIN_S
    assert time_limit("retrain-model") <= LOCK_EXPIRES_AFTER.total_seconds()


def test_a_rollback_outlives_the_endpoint_and_keeps_its_lock() -> None:
    retriers = workflows.load_definition("rollback-model")["States"]["UpdateEndpoint"]["Retry"]
    update = sum(retrier["MaxAttempts"] * retrier["MaxDelaySeconds"] for retrier in retriers)
    assert time_limit("rollback-model") > POLLING_S + 2 * update + MARGIN_S
    assert time_limit("rollback-model") <= LOCK_EXPIRES_AFTER.total_seconds()


def most_events(state: State) -> int:
    """The history events of a state whose every attempt but the last fails: three per attempt."""
    attempts = sum(retrier.get("MaxAttempts", 3) for retrier in state.get("Retry", ()))
    return history_events(state) + 3 * attempts


@pytest.mark.parametrize("name", ["retrain-model", "rollback-model"])
def test_an_endpoint_that_changes_until_the_last_poll_does_not_fill_the_history(name: str) -> None:
    states = workflows.load_definition(name)["States"]
    loops = (
        ("WaitForEndpoint", "DescribeEndpoint", "CountPolls", "InService?"),
        ("WaitForRestore", "DescribeRestoredEndpoint", "CountRestorePolls", "Restored?"),
    )
    once = sum(most_events(state) for state in states.values())
    # Both loops count together, to 2 * MAX_POLLS.
    per_poll = max(sum(history_events(states[state]) for state in loop if state in states) for loop in loops)
    assert per_poll >= 9
    assert once + 2 * MAX_POLLS * per_poll < MAX_HISTORY_EVENTS


def test_the_longest_wait_for_the_review_of_another_execution_does_not_fill_the_history() -> None:
    states = workflows.load_definition("classify-photo")["States"]
    loop = ("WaitForOtherReview", "RequestReview", "WaitedBefore?", "IncreaseWait")
    rounds, waited, wait = 0, 0, 0
    while waited < LONGEST_REVIEW_S:
        rounds, wait = rounds + 1, wait + PENDING_WAIT_S
        waited += wait
    per_round = sum(history_events(states[state]) for state in loop if state in states)
    once = sum(most_events(state) for state in states.values())
    # The documented number of the comment in workflows/classify_photo.py is measured: 16 events per round.
    assert once + rounds * max(per_round, 16) < MAX_HISTORY_EVENTS


def test_an_answer_above_the_limit_of_a_payload_is_not_passed_on(stage: Stage) -> None:
    handlers = dict(stage.handlers)
    stage.handlers = {**handlers, "classify_photo": lambda event, context: {"text": "a" * MAX_PAYLOAD_BYTES}}
    stage.classify(stage.upload())
    # moto catches it with States.ALL. On AWS the execution fails, as in tests/local/test_states.py.
    assert stage.review_request()["reason"] == "States.DataLimitExceeded"
