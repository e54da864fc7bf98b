"""An execution that ended without success: what it was about, where it failed, and why."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from functions.shared.aws import describe_error
from functions.shared.causes import error_message
from functions.shared.errors import InvalidInput
from functions.shared.shapes import any_text, number, object_with, optional, shown, text
from functions.shared.times import timestamp

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

CLASSIFY_PHOTO = "classify-photo"
RETRAIN_MODEL = "retrain-model"
ROLLBACK_MODEL = "rollback-model"

# The error of classify-photo after it has sent the photo to the unrouted queue; the history has the reason.
PHOTO_UNROUTED = "PhotoUnrouted"

# A state is retried at most some twenty times, with three events per attempt.
_HISTORY_EVENTS = 200
# The end of the year 9000, in milliseconds.
_LATEST_STOP_MS = 221_876_000_000_000
_COLONS_OF_AN_ARN = 5
_WITHOUT_ERROR = {
    "TIMED_OUT": ("States.Timeout", "The execution exceeded its time limit."),
    "ABORTED": ("Aborted", "The execution was stopped."),
}


@dataclass(frozen=True)
class StateFailure:
    """The state in which an execution failed; `error` and `cause` are None when the history has none."""

    state: str
    error: str | None = None
    cause: str | None = None


@dataclass(frozen=True)
class Failure:
    """An execution that ended with `status` FAILED, TIMED_OUT or ABORTED.

    `execution` is its ARN, `workflow` the name of its state machine without the prefix of the stage. `state` is the
    state in which it failed, None when its history could not be read. `input` is empty for an input that is not an
    object. `ended_at` is an ISO 8601 time. `history_error` is the reason when the history could not be read.
    """

    workflow: str
    execution: str
    status: str
    state: str | None
    error: str
    cause: str
    input: Mapping[str, Any]
    ended_at: str
    in_unrouted_queue: bool = False
    history_error: str | None = None

    @property
    def name(self) -> str:
        """The name of the execution."""
        return self.execution.rpartition(":")[2]


def _arn(value: Any, path: str) -> None:
    """An ARN, which has six parts at least."""
    text(value, path)
    if value.count(":") < _COLONS_OF_AN_ARN:
        raise InvalidInput(f"{path} is {shown(value)}; pass an ARN")


_DETAIL = object_with(
    {"executionArn": _arn, "stateMachineArn": _arn, "status": text},
    {
        "stopDate": optional(number(0, _LATEST_STOP_MS)),
        **{name: optional(any_text) for name in ("input", "error", "cause")},
    },
)


def read_failure(event: Mapping[str, Any], stage: str, stepfunctions: "SFNClient") -> Failure:
    """Read a `Step Functions Execution Status Change` event, and what it lacks from Step Functions.

    The event has no input when that is longer than 248 KB, and not always the error. Raises InvalidInput for another
    event, ClientError or BotoCoreError when DescribeExecution fails.
    """
    detail: Any = event.get("detail")
    try:
        _DETAIL(detail, "detail")
    except InvalidInput as invalid:
        raise InvalidInput(f"the event is not a `Step Functions Execution Status Change`: {invalid}") from invalid
    execution, status = detail["executionArn"], detail["status"]
    described: Mapping[str, Any] = detail
    if detail.get("input") is None or (status in ("FAILED", "ABORTED") and not detail.get("error")):
        described = {**detail, **stepfunctions.describe_execution(executionArn=execution)}
    error, cause = described.get("error"), described.get("cause")
    failed, history_error = None, None
    try:
        failed = find_failed_state(stepfunctions, execution, stopped=status != "FAILED")
    except (ClientError, BotoCoreError) as refused:
        # The notice is worth sending without the state.
        history_error = describe_error(refused)
    in_queue = error == PHOTO_UNROUTED
    if in_queue and failed and failed.error:
        error, cause = failed.error, failed.cause
    default_error, default_cause = _WITHOUT_ERROR.get(status, ("unknown", "No cause was given."))
    return Failure(
        workflow=detail["stateMachineArn"].rpartition(":")[2].removeprefix(f"scones-{stage}-"),
        execution=execution,
        status=status,
        state=failed.state if failed else None,
        error=str(error or default_error),
        cause=error_message(str(cause)) if cause else default_cause,
        input=_read_input(described.get("input")),
        ended_at=_read_time(detail.get("stopDate")),
        in_unrouted_queue=in_queue,
        history_error=history_error,
    )


def find_failed_state(stepfunctions: "SFNClient", execution: str, *, stopped: bool = False) -> StateFailure | None:
    """Return where an execution failed, or was `stopped` or timed out; None for a history without a state.

    Inputs and outputs, which may contain task tokens, are not requested. Raises ClientError or BotoCoreError.
    """
    newest = stepfunctions.get_execution_history(
        executionArn=execution, reverseOrder=True, maxResults=_HISTORY_EVENTS, includeExecutionData=False
    )["events"]
    return parse_history(reversed(newest), stopped=stopped)


def parse_history(events: Iterable[Mapping[str, Any]], *, stopped: bool = False) -> StateFailure | None:
    """Return the last state that failed, or the last one entered when no state failed; None without any state.

    For an execution that was `stopped`, it is the last one entered: the errors of earlier states were caught.
    The events of a failure do not name their state. A failure that a retry resolved does not count.
    """
    entered: str | None = None
    failing: StateFailure | None = None
    failed: StateFailure | None = None
    for event in events:
        kind = str(event["type"])
        if kind.endswith("StateEntered"):
            failed, failing = failing or failed, None
            entered = str(event["stateEnteredEventDetails"]["name"])
        elif kind.endswith("Succeeded"):
            failing = None
        elif kind.endswith(("Failed", "TimedOut")) and not kind.startswith("Execution"):
            details = event.get(f"{kind[0].lower()}{kind[1:]}EventDetails") or {}
            failing = StateFailure(entered or "unknown", details.get("error"), details.get("cause"))
    failed = failing or (None if stopped else failed)
    return failed or (StateFailure(entered) if entered else None)


def _read_input(content: Any) -> Mapping[str, Any]:
    try:
        found = json.loads(str(content))
    except (ValueError, RecursionError):  # the notice is sent without the photo
        return {}
    return found if isinstance(found, dict) else {}


def _read_time(milliseconds: Any) -> str:
    at = datetime.fromtimestamp(milliseconds / 1000, UTC) if milliseconds else datetime.now(UTC)
    return timestamp(at)
