"""Task states with JSONPath.

Sources: Amazon States Language specification, "Handling errors in Step Functions workflows".

Patches in ministack's `stepfunctions`:
- `_execute_task` ignores HeartbeatSeconds, TimeoutSecondsPath, MaxDelaySeconds and JitterStrategy, retries after the
  execution was stopped, and waits for the callback of a function that has failed.
- `_error_matches` matches States.Runtime and States.DataLimitExceeded with States.ALL; on AWS they are not caught.
- `_resolve_params_obj` returns null for a path that selects nothing; AWS fails with States.ParameterPathFailure.
- `_call_lambda` decodes a string result as JSON and reports throttling as Lambda.Unknown; on AWS the result stays a
  string, and throttling is Lambda.TooManyRequestsException.
"""

from __future__ import annotations

import contextlib
import contextvars
import json
import random
import threading
import time
from concurrent.futures import Future
from typing import Any

from ministack.core.responses import new_uuid
from ministack.services import lambda_svc, stepfunctions
from ministack.services.stepfunctions import _ExecutionError

from local import patches
from local.states import callbacks, permissions
from local.states.executions import Aborted, current_execution

MAX_PAYLOAD_BYTES = 262_144
UNCATCHABLE = ("States.Runtime", "States.DataLimitExceeded")
JSON = Any

_cancelled: contextvars.ContextVar[threading.Event] = contextvars.ContextVar("cancelled")


def cancelled() -> threading.Event:
    """Return an event that is set when the calling thread's attempt has timed out or its execution was stopped."""
    return _cancelled.get(None) or threading.Event()


class TaskState:
    """A Task state that an execution has entered: its attempts until success, a catcher or failure."""

    def __init__(
        self, definition: dict[str, Any], raw_input: JSON, execution: dict[str, Any], ctx: dict[str, Any]
    ) -> None:
        self._definition = definition
        self._input = raw_input
        self._execution = execution
        self._ctx = ctx
        self._resource: str = definition["Resource"]

    def run(self) -> tuple[JSON, str | None]:
        """Run the state; returns its output and the next state. Raises _ExecutionError when no catcher matches."""
        execution = current_execution()
        counts: dict[int, int] = {}
        while True:
            execution.raise_if_stopped()
            self._ctx["State"]["RetryCount"] = sum(counts.values())
            try:
                return self._attempt(), stepfunctions._next_or_end(self._definition)
            except Aborted:
                raise
            except _ExecutionError as error:
                self._event("TaskTimedOut" if error.error == "States.Timeout" else "TaskFailed", error)
                if not self._retry(error, counts):
                    return self._catch(error)

    def _attempt(self) -> JSON:
        if ".waitForTaskToken" in self._resource:
            self._ctx["Task"] = {"Token": new_uuid()}
        chosen = stepfunctions._apply_input_path(self._definition, self._input, self._ctx)
        effective = stepfunctions._apply_parameters(self._definition, chosen, self._ctx)
        self._event("TaskScheduled", parameters=effective)
        result = self._call(effective, self._seconds("Timeout", chosen), self._seconds("Heartbeat", chosen))
        text = json.dumps(result)
        if len(json.dumps(result, ensure_ascii=False).encode(errors="surrogatepass")) > MAX_PAYLOAD_BYTES:
            raise _ExecutionError(
                "States.DataLimitExceeded",
                f"The state/task '{self._resource}' returned a result with a size exceeding the maximum number of "
                "bytes service limit.",
            )
        self._event("TaskSucceeded", output=text)
        selector = self._definition.get("ResultSelector")
        selected = stepfunctions._resolve_params_obj(selector, result, self._ctx) if selector else result
        output = stepfunctions._apply_result_path(self._definition, self._input, selected)
        return stepfunctions._apply_output_path(self._definition, output, self._ctx)

    def _call(self, effective: JSON, timeout_s: float | None, heartbeat_s: float | None) -> JSON:
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        permissions.authorize(self._execution, self._resource, effective)
        if ".waitForTaskToken" in self._resource:
            with callbacks.open_token(self._ctx["Task"]["Token"]) as answer:
                self._call_with_timeout(self._resource.replace(".waitForTaskToken", ""), effective, deadline)
                return answer.wait(deadline, heartbeat_s)
        if ":activity:" in self._resource:
            return stepfunctions._invoke_resource(self._resource, effective)
        return self._call_with_timeout(self._resource, effective, deadline)

    def _call_with_timeout(self, resource: str, effective: JSON, deadline: float | None) -> JSON:
        """Call the service; on another thread if the call can time out or be stopped."""
        if deadline is None and ".sync" not in resource:
            return stepfunctions._invoke_resource(resource, effective)
        execution, cancel = current_execution(), threading.Event()
        future: Future[JSON] = Future()
        done = threading.Event()

        def call() -> None:
            _cancelled.set(cancel)
            try:
                future.set_result(stepfunctions._invoke_resource(resource, effective))
            except BaseException as error:
                future.set_exception(error)
            done.set()

        threading.Thread(target=contextvars.copy_context().run, args=(call,), daemon=True).start()
        waiting = execution.waiting() if ".sync" in resource else contextlib.nullcontext()
        with waiting, execution.on_stop(done.set):
            done.wait(None if deadline is None else max(0.0, deadline - time.monotonic()))
        if future.done():
            return future.result()
        cancel.set()
        execution.raise_if_stopped()
        raise _ExecutionError("States.Timeout", "")

    def _seconds(self, field: str, effective: JSON) -> float | None:
        """Return TimeoutSeconds or HeartbeatSeconds, from the field or from its path."""
        if f"{field}Seconds" in self._definition:
            return float(self._definition[f"{field}Seconds"])
        path = self._definition.get(f"{field}SecondsPath")
        if path is None:
            return None
        value = stepfunctions._resolve_path_or_ctx(path, effective, self._ctx)
        if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
            raise _ExecutionError(
                "States.Runtime",
                f"The value of {field}SecondsPath {path} must be a positive integer, but was {value!r}",
            )
        return float(value)

    def _retry(self, error: _ExecutionError, counts: dict[int, int]) -> bool:
        """Wait for the next attempt; False when no retrier allows one."""
        retrier, index = stepfunctions._find_matching_retrier(self._definition.get("Retry", []), error.error, counts)
        if retrier is None:
            return False
        delay = retrier.get("IntervalSeconds", 1) * retrier.get("BackoffRate", 2.0) ** counts.get(index, 0)
        delay = min(delay, retrier.get("MaxDelaySeconds", delay))
        if retrier.get("JitterStrategy") == "FULL":
            delay = random.uniform(0, delay)  # noqa: S311 (a delay, not a secret)
        counts[index] = counts.get(index, 0) + 1
        stepfunctions._scaled_sleep(delay)
        return True

    def _catch(self, error: _ExecutionError) -> tuple[JSON, str]:
        catcher = stepfunctions._find_matching_catcher(self._definition.get("Catch", []), error.error)
        if catcher is None:
            raise error
        output = {"Error": error.error, "Cause": error.cause}
        return stepfunctions._apply_catcher(catcher, self._input, self._ctx, "JSONPath", output), catcher["Next"]

    def _event(
        self, kind: str, error: _ExecutionError | None = None, parameters: JSON = None, output: str | None = None
    ) -> None:
        """Add a history event with the resource split into type and name, as GetExecutionHistory shows it."""
        parts = self._resource.split(":")
        if parts[2:3] == ["lambda"]:
            where = {"resourceType": "lambda", "resource": "invoke"}
        elif "aws-sdk" in parts:
            where = {"resourceType": f"aws-sdk:{parts[-2]}", "resource": parts[-1]}
        else:
            where = {"resourceType": parts[5], "resource": ":".join(parts[6:])}
        details: dict[str, Any] = dict(where)
        if error is not None:
            details |= {"error": error.error, "cause": error.cause}
        if parameters is not None:
            details |= {"region": stepfunctions.get_region(), "parameters": json.dumps(parameters)}
        if output is not None:
            details |= {"output": output, "outputDetails": {"truncated": False}}
        stepfunctions._add_event(self._execution, kind, {f"{kind[0].lower()}{kind[1:]}EventDetails": details})


def _error_matches(error_equals: list[str], error: str) -> bool:
    """Whether a retrier or catcher matches this error."""
    if error in error_equals:
        return True
    if error in UNCATCHABLE or error == "States.Aborted":
        return False
    return "States.ALL" in error_equals or ("States.TaskFailed" in error_equals and error != "States.Timeout")


def _path_failure(path: str, key: str, data: JSON) -> _ExecutionError:
    return _ExecutionError(
        "States.ParameterPathFailure",
        f"The JSONPath '{path}' specified for the field '{key}' could not be found in the input '{json.dumps(data)}'",
    )


def _path_exists(path: str, data: JSON) -> bool:
    """Whether a path selects a value in `data`; a path with a wildcard always does."""
    for kind, value in stepfunctions._parse_jsonpath_tokens(path) or ():
        if kind == "wildcard":
            return True
        fits = value in data if isinstance(data, dict) else isinstance(data, list) and _is_index(value, data)
        if not fits:
            return False
        data = data[value]
    return True


def _is_index(value: Any, data: list[Any]) -> bool:
    return isinstance(value, int) and value < len(data)


def _check_paths(template: JSON, data: JSON, ctx: dict[str, Any] | None) -> None:
    """Raise States.ParameterPathFailure for a path in a payload template that selects no value."""
    if isinstance(template, list):
        for item in template:
            _check_paths(item, data, ctx)
    if not isinstance(template, dict):
        return
    for key, value in template.items():
        if not key.endswith(".$"):
            _check_paths(value, data, ctx)
        elif isinstance(value, str) and value.startswith("$$."):
            if not _path_exists(value[1:], ctx or {}):
                raise _path_failure(value, key, ctx)
        elif isinstance(value, str) and value.startswith("$") and not _path_exists(value, data):
            raise _path_failure(value, key, data)


def _lambda_failure(result: dict[str, Any]) -> _ExecutionError:
    body = result.get("body")
    if result.get("throttle"):
        message = body.get("message", "") if isinstance(body, dict) else ""
        return _ExecutionError("Lambda.TooManyRequestsException", message)
    if isinstance(body, dict):
        return _ExecutionError(body.get("errorType", "Lambda.Unknown"), json.dumps(body))
    return _ExecutionError("Lambda.Unknown", str(body))


def _call_lambda(func_ref: str, event: JSON) -> JSON:
    """Invoke a function for a state; the error's name is the exception's class name."""
    func, config, name = lambda_svc._get_func_record_for_ref(func_ref)
    if not func or not config:
        raise _ExecutionError("Lambda.ResourceNotFoundException", f"Function not found: {name}")
    record = lambda_svc._execution_record_for_config(func, config)
    result = lambda_svc._execute_function_with_config_scope(record, event)
    if result.get("error"):
        raise _lambda_failure(result)
    return result.get("body")


def install() -> None:
    """Apply the patches of this module."""

    def execute_task(
        state_def: dict[str, Any], raw_input: JSON, execution: dict[str, Any], ctx: dict[str, Any]
    ) -> tuple[JSON, str | None]:
        if stepfunctions._state_query_language(state_def, ctx) == "JSONata":
            return original(state_def, raw_input, execution, ctx)  # type: ignore[no-any-return]
        return TaskState(state_def, raw_input, execution, ctx).run()

    def resolve(template: JSON, data: JSON, ctx: dict[str, Any] | None = None) -> JSON:
        _check_paths(template, data, ctx)
        try:
            return original_resolve(template, data, ctx)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            raise _ExecutionError("States.IntrinsicFailure", f"{error}") from error

    original = patches.replace(stepfunctions, "_execute_task", "state_def raw_input execution ctx", execute_task)
    original_resolve = patches.replace(stepfunctions, "_resolve_params_obj", "template data ctx", resolve)
    patches.replace(stepfunctions, "_error_matches", "error_equals error", _error_matches)
    patches.replace(stepfunctions, "_call_lambda", "func_ref event", _call_lambda)
