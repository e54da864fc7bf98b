"""Start and end of executions, from the status events that Step Functions publishes on the default event bus."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from operate.event_listener import EventListener

RUNNING = "RUNNING"
SUCCEEDED = "SUCCEEDED"


@dataclass(frozen=True)
class Execution:
    """An execution that has ended. `key` is the S3 key of its photo; start and stop are epoch milliseconds."""

    arn: str
    state_machine: str
    key: str
    status: str
    start_ms: int
    stop_ms: int

    @property
    def duration_ms(self) -> int:
        """Milliseconds from start to end."""
        return self.stop_ms - self.start_ms

    @classmethod
    def of_event(cls, detail: Mapping[str, Any]) -> "Execution | None":
        """Read the detail of an "Execution Status Change"; None while the execution runs.

        The key is that of an input `{"photo": {"key"}}` or `{"s3_key"}`, and empty for any other input.
        """
        if detail["status"] == RUNNING:
            return None
        given = json.loads(detail["input"] or "{}")
        photo = given.get("photo")
        key = photo.get("key", "") if isinstance(photo, dict) else given.get("s3_key", "")
        return cls(
            detail["executionArn"],
            detail["stateMachineArn"],
            key,
            detail["status"],
            detail["startDate"],
            detail["stopDate"],
        )


class ExecutionListener:
    """Receives the executions of some state machines that end during the block."""

    def __init__(self, state_machines: list[str]) -> None:
        """`state_machines` are ARNs; executions of other ones are ignored."""
        self._listener = EventListener("default", "aws.states")
        self._state_machines = set(state_machines)

    def __enter__(self) -> "ExecutionListener":
        """Start to listen. Raises CommandError when no event arrives."""
        self._listener.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening."""
        self._listener.__exit__(kind, error, trace)

    def ended(self, timeout_s: float) -> Iterator[Execution]:
        """Yield executions in the order of their ends; stop when no event has arrived for `timeout_s` seconds."""
        for _detail_type, detail in self._listener.events(timeout_s):
            if detail.get("stateMachineArn") in self._state_machines and (ended := Execution.of_event(detail)):
                yield ended

    def collect(
        self, keys: set[str], timeout_s: float, progress: Callable[[int], None] = lambda _count: None
    ) -> list[Execution]:
        """Return the executions of these photos, when each has one or no event has arrived for `timeout_s` seconds.

        A photo with two executions has two entries, as far as the second one ends before the last first one.
        `progress` gets the number of executions received.
        """
        found: list[Execution] = []
        missing = set(keys)
        for execution in self.ended(timeout_s) if missing else ():
            if execution.key in keys:
                found.append(execution)
                missing.discard(execution.key)
                progress(len(found))
            if not missing:
                break
        return found

    def collect_late(self, keys: set[str], seconds: float) -> list[Execution]:
        """Return the executions of these photos that end within the next seconds: duplicates."""
        until = time.monotonic() + seconds
        found = []
        while (left := until - time.monotonic()) > 0:
            found += [execution for execution in self.ended(left) if execution.key in keys]
        return found
