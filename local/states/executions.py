"""Executions: stop them in any state, time them out, start them without a delay.

Patches in ministack's `stepfunctions`:
- `_run_execution` sleeps 0.15 s before the first state and ignores TimeoutSeconds of the state machine, after which AWS
  ends the execution with States.Timeout ("State machine structure in Amazon States Language").
- `_stop_execution` does not interrupt a waiting state, nor `_scaled_sleep` of Wait states and retries. AWS stops an
  execution in any state (Step Functions API Reference, "StopExecution").
- `_fail_execution` overwrites the status ABORTED with FAILED.
"""

from __future__ import annotations

import contextlib
import contextvars
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from ministack.services import stepfunctions

from local import patches
from local.states.intake import intake

START_PAUSE_S = 0.15


class Aborted(stepfunctions._ExecutionError):  # type: ignore[misc]
    """The execution was stopped or timed out. No retrier and no catcher matches this error."""

    def __init__(self) -> None:
        super().__init__("States.Aborted", "The execution was stopped.")


class RunningExecution:
    """A running execution: `stopped` is set when it has to end, `ended` when its thread has ended."""

    _running: ClassVar[dict[str, RunningExecution]] = {}
    _lock = threading.Lock()

    def __init__(self, arn: str) -> None:
        self.arn = arn
        self.stopped = threading.Event()
        self.ended = threading.Event()
        self._callbacks: list[Callable[[], None]] = []

    @classmethod
    def of(cls, arn: str) -> RunningExecution:
        """Return the running execution with this ARN; creates the object on the first call."""
        with cls._lock:
            return cls._running.setdefault(arn, cls(arn))

    @classmethod
    def remove(cls, arn: str) -> None:
        """Remove an execution that has ended."""
        with cls._lock:
            cls._running.pop(arn, None)

    def stop(self) -> None:
        """Set `stopped` and call the callbacks of `on_stop`."""
        self.stopped.set()
        for callback in list(self._callbacks):
            callback()

    @contextlib.contextmanager
    def on_stop(self, callback: Callable[[], None]) -> Iterator[None]:
        """Call `callback` when the execution is stopped during the block."""
        self._callbacks.append(callback)
        try:
            if self.stopped.is_set():
                callback()
            yield
        finally:
            self._callbacks.remove(callback)

    def waiting(self) -> contextlib.AbstractContextManager[None]:
        """Return a block in which this execution waits, so that it does not count as running."""
        return intake.waiting() if self.arn else contextlib.nullcontext()

    def raise_if_stopped(self) -> None:
        """Raise Aborted when the execution was stopped."""
        if self.stopped.is_set():
            raise Aborted


_current: contextvars.ContextVar[RunningExecution] = contextvars.ContextVar("execution")


def current_execution() -> RunningExecution:
    """Return the execution of the calling thread; outside of an execution, one that is never stopped."""
    return _current.get(None) or RunningExecution("")


def sleep(seconds: float) -> None:
    """Sleep; raises Aborted when the current execution is stopped."""
    execution = current_execution()
    with execution.waiting():
        stopped = execution.stopped.wait(max(0.0, seconds))
    if stopped:
        raise Aborted


class _TimeModule:
    """The `time` module without ministack's pause before each execution."""

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)

    @staticmethod
    def sleep(seconds: float) -> None:
        if seconds != START_PAUSE_S:
            time.sleep(seconds)


def _time_out(arn: str) -> None:
    execution = stepfunctions._executions.get(arn)
    if execution is None or execution["status"] != "RUNNING":
        return
    execution["status"] = "TIMED_OUT"
    execution["stopDate"] = stepfunctions.now_iso()
    execution["error"] = "States.Timeout"
    stepfunctions._add_event(execution, "ExecutionTimedOut", {"executionTimedOutEventDetails": {}})
    stepfunctions._emit_execution_status_event(execution)
    RunningExecution.of(arn).stop()


@contextlib.contextmanager
def _time_limit(arn: str) -> Iterator[None]:
    """Stop the execution after TimeoutSeconds of its state machine."""
    execution = stepfunctions._executions.get(arn) or {}
    machine = stepfunctions._state_machines.get(execution.get("stateMachineArn", "")) or {}
    try:
        limit = json.loads(machine.get("definition", "{}")).get("TimeoutSeconds")
    except ValueError:
        limit = None
    if not limit:
        yield
        return
    timer = threading.Timer(float(limit), contextvars.copy_context().run, (_time_out, arn))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def install() -> None:
    """Apply the patches of this module."""

    def run_execution(exec_arn: str) -> None:
        run = RunningExecution.of(exec_arn)
        token = _current.set(run)
        try:
            with _time_limit(exec_arn), intake.running():
                original_run(exec_arn)
        finally:
            _current.reset(token)
            run.ended.set()
            RunningExecution.remove(exec_arn)

    def stop_execution(data: dict[str, Any]) -> Any:
        answer = original_stop(data)
        if answer[0] == 200:
            RunningExecution.of(data["executionArn"]).stop()
        return answer

    def fail_execution(execution: dict[str, Any], error: str, cause: str) -> None:
        if execution["status"] == "RUNNING":
            original_fail(execution, error, cause)

    if not hasattr(stepfunctions, "time"):
        raise patches.PatchFailed("ministack.services.stepfunctions no longer sleeps through the time module")
    stepfunctions.time = _TimeModule()
    original_run = patches.replace(stepfunctions, "_run_execution", "exec_arn", run_execution)
    original_stop = patches.replace(stepfunctions, "_stop_execution", "data", stop_execution)
    original_fail = patches.replace(stepfunctions, "_fail_execution", "execution error cause", fail_execution)
    patches.replace(stepfunctions, "_scaled_sleep", "seconds", sleep)
