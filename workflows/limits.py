"""The limits of Step Functions that a definition can exceed.

Sources: "Step Functions service quotas", "Handling errors in Step Functions workflows", "Task workflow state" and
"Using Map state in Distributed mode", AWS Step Functions Developer Guide; CreateStateMachine and StopExecution, AWS
Step Functions API Reference.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

Definition = dict[str, Any]
State = dict[str, Any]

MAX_DEFINITION_BYTES = 1_048_576
MAX_NAME = 80
MAX_LABEL = 40
MAX_CONCURRENCY = 10_000
MAX_BATCH_BYTES = 262_144
MAX_SECONDS = 99_999_999
# "Maximum execution time" of a Standard workflow: one year.
MAX_EXECUTION_S = 31_536_000
MAX_DELAY_S = 31_622_400
MAX_ATTEMPTS = 99_999_999
MAX_ERROR = 256
MAX_CAUSE = 32_768
MAX_HISTORY_EVENTS = 25_000
# An ARN, the longest text that a deployment puts in place of a `${name}`.
LONGEST_SUBSTITUTION = 256


def problems(definition: Definition) -> Iterator[str]:
    """Yield one sentence for each limit that a definition exceeds."""
    text = json.dumps(definition)
    size = len(text.encode()) + text.count("${") * LONGEST_SUBSTITUTION
    if size > MAX_DEFINITION_BYTES:
        yield f"The definition has up to {size:,} bytes, at most {MAX_DEFINITION_BYTES:,}."
    seconds = definition.get("TimeoutSeconds", 0)
    if not 0 < seconds <= MAX_EXECUTION_S:
        yield (
            f"TimeoutSeconds of the state machine is {seconds or 'missing'}; it is a number from 1 to "
            f"{MAX_EXECUTION_S:,}. Without it, an execution that hangs runs for a year."
        )
    states = list(_all_states(definition))
    for name, count in Counter(name for name, _ in states).items():
        if count > 1:
            yield f"{name}: {count} states have this name, which must be unique in the state machine."
    for name, state in states:
        yield from (f"{name}: {problem}" for problem in _state_problems(name, state))


def history_events(state: State) -> int:
    """Return the number of history events of a state that succeeds at the first attempt.

    A task has TaskScheduled, TaskStarted, with a job or a callback TaskSubmitted, and TaskSucceeded; every state is
    entered and exited.
    """
    if state["Type"] != "Task":
        return 2
    return 6 if ".sync" in state["Resource"] or ".waitForTaskToken" in state["Resource"] else 5


def _all_states(definition: Definition) -> Iterator[tuple[str, State]]:
    for name, state in definition["States"].items():
        yield name, state
        for nested in (
            *(state[key] for key in ("Iterator", "ItemProcessor") if key in state),
            *state.get("Branches", ()),
        ):
            yield from _all_states(nested)


def _state_problems(name: str, state: State) -> Iterator[str]:
    if len(name) > MAX_NAME:
        yield f"the name has {len(name)} characters, at most {MAX_NAME}."
    for field in ("TimeoutSeconds", "HeartbeatSeconds", "Seconds"):
        seconds = state.get(field, 1)
        if not 0 < seconds <= MAX_SECONDS:
            yield f"{field} is {seconds}; it is a number from 1 to {MAX_SECONDS:,}."
    if state.get("HeartbeatSeconds", 0) >= state.get("TimeoutSeconds", MAX_SECONDS + 1):
        yield "HeartbeatSeconds must be smaller than TimeoutSeconds."
    for field, longest in (("Error", MAX_ERROR), ("Cause", MAX_CAUSE)):
        if len(state.get(field, "")) > longest:
            yield f"{field} has {len(state[field])} characters, at most {longest:,}."
    if state["Type"] == "Map":
        yield from _map_problems(state)
    for retrier in state.get("Retry", ()):
        yield from _retrier_problems(retrier)


def _map_problems(state: State) -> Iterator[str]:
    label = state.get("Label", "Map")
    if not re.fullmatch(rf"[A-Za-z0-9_-]{{1,{MAX_LABEL}}}", label):
        yield f"Label is {label!r}; it has 1 to {MAX_LABEL} letters, digits, hyphens and underscores."
    if not 0 <= state.get("MaxConcurrency", 0) <= MAX_CONCURRENCY:
        yield f"MaxConcurrency is {state['MaxConcurrency']}, at most {MAX_CONCURRENCY:,}."
    if not 0 <= state.get("ToleratedFailurePercentage", 0) <= 100:
        yield f"ToleratedFailurePercentage is {state['ToleratedFailurePercentage']}; it is a number from 0 to 100."
    if state.get("ItemBatcher", {}).get("MaxInputBytesPerBatch", 1) > MAX_BATCH_BYTES:
        yield f"MaxInputBytesPerBatch is over {MAX_BATCH_BYTES:,}."


def _retrier_problems(retrier: dict[str, Any]) -> Iterator[str]:
    interval = retrier.get("IntervalSeconds", 1)
    if not 0 < interval <= MAX_SECONDS:
        yield f"IntervalSeconds is {interval}; it is a number from 1 to {MAX_SECONDS:,}."
    if not 0 <= retrier.get("MaxAttempts", 3) <= MAX_ATTEMPTS:
        yield f"MaxAttempts is {retrier['MaxAttempts']}; it is a number from 0 to {MAX_ATTEMPTS:,}."
    if retrier.get("BackoffRate", 2.0) < 1:
        yield f"BackoffRate is {retrier['BackoffRate']}; it is at least 1."
    if "MaxDelaySeconds" in retrier and not interval < retrier["MaxDelaySeconds"] < MAX_DELAY_S:
        yield (
            f"MaxDelaySeconds is {retrier['MaxDelaySeconds']}; it is greater than IntervalSeconds and less than "
            f"{MAX_DELAY_S:,}."
        )
    if retrier.get("JitterStrategy", "NONE") not in ("FULL", "NONE"):
        yield f"JitterStrategy is {retrier['JitterStrategy']!r}; it is FULL or NONE."
