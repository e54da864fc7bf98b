"""Distributed Map: each batch of items is a child execution of its own, with history, limits and results.

Patches in ministack's `stepfunctions`:
- `_run_distributed_map` ignores ItemBatcher, ResultWriter, the fields with a path, and the tolerated failures until the
  end; its children have no history, the context of their parent, and go on when the parent is stopped. It reads a
  manifest of S3 Inventory as JSON and evaluates no permission.
- `_list_state_machines` lists the state machines of children, which AWS describes by their labelled ARN only.

Sources: "Using Map state in Distributed mode", "Map Run", "Tolerated failure threshold for Distributed Map state" and
"IAM policies for using Distributed Map states", AWS Step Functions Developer Guide.
"""

from __future__ import annotations

import contextvars
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from typing import Any

from ministack.core.responses import new_uuid
from ministack.services import stepfunctions
from ministack.services.stepfunctions import _ExecutionError

from local import patches
from local.service_roles import NotAuthorized, ServiceRole
from local.states import permissions, result_writer
from local.states.executions import current_execution
from local.states.item_readers import ItemReader, batch_input, group_items, number_at

JSON = Any
# AWS runs 10,000 children at a time unless the definition says less; here they share a few slots.
MOST_THREADS = 64
MAX_PAYLOAD_BYTES = 262_144
EXCEEDED = "States.ExceedToleratedFailureThreshold"
COUNTS = (
    *("pending", "running", "succeeded", "failed", "timedOut", "aborted", "total", "resultsWritten"),
    *("failuresNotRedrivable", "pendingRedrive"),
)
OUTCOMES = {"SUCCEEDED": "succeeded", "FAILED": "failed", "TIMED_OUT": "timedOut", "ABORTED": "aborted"}


class MapRun:
    """One run of a Distributed Map state: its children, their counts and their results."""

    def __init__(self, state: dict[str, Any], effective: JSON, execution: dict[str, Any], ctx: dict[str, Any]) -> None:
        """`effective` is the input of the state after InputPath."""
        self._state, self._effective, self._execution, self._ctx = state, effective, execution, ctx
        self._machine = stepfunctions._state_machines[execution["stateMachineArn"]]
        arn = str(execution["stateMachineArn"])
        self._role = ServiceRole(str(self._machine.get("roleArn", "")), permissions.SERVICE, arn)
        label = str(state.get("Label") or new_uuid())
        self._child_machine = f"{arn}/{label}"
        self.arn = f"{arn.replace(':stateMachine:', ':mapRun:', 1)}/{label}:{new_uuid()}"
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._exceeded = False

    def run(self) -> JSON:
        """Run the children; return the result of the state. Raises _ExecutionError."""
        items = self._items()
        self._inputs = [json.dumps(one) for one in self._child_inputs(items)]
        self._children: list[dict[str, Any] | None] = [None] * len(self._inputs)
        self._record = self._start(len(items))
        try:
            self._run_children()
            current_execution().raise_if_stopped()
            if self._exceeded:
                raise _ExecutionError(EXCEEDED, "The specified tolerated failure threshold was exceeded")
            result = self._results()
        except _ExecutionError as error:
            self._end(error)
            raise
        self._end(None)
        return result

    def _items(self) -> list[JSON]:
        reader = self._state.get("ItemReader")
        if reader:
            items = ItemReader(reader, self._effective, self._ctx, self._role).read()
        else:
            path = self._state.get("ItemsPath", "$")
            items = stepfunctions._resolve_path_or_ctx(path, self._effective, self._ctx)
            items = items if isinstance(items, list) else [items]
        selector = self._state.get("ItemSelector") or self._state.get("Parameters")
        if not selector:
            return items
        select = stepfunctions._resolve_params_obj
        return [
            select(selector, self._effective, {**self._ctx, "Map": {"Item": {"Index": index, "Value": item}}})
            for index, item in enumerate(items)
        ]

    def _child_inputs(self, items: list[JSON]) -> list[JSON]:
        batcher = self._state.get("ItemBatcher")
        groups = group_items(batcher, items, self._effective, self._ctx)
        self._sizes = [len(group) for group in groups]
        if not batcher:
            return [group[0] for group in groups]
        return [batch_input(batcher, group, self._effective, self._ctx) for group in groups]

    def _start(self, items: int) -> dict[str, Any]:
        self._require("states:StartExecution", str(self._execution["stateMachineArn"]))
        self._concurrency = int(self._number("MaxConcurrency") or 0)
        self._tolerated_count = self._number("ToleratedFailureCount")
        self._tolerated_percentage = self._number("ToleratedFailurePercentage")
        record = {
            "mapRunArn": self.arn,
            "executionArn": self._execution["executionArn"],
            "status": "RUNNING",
            "startDate": stepfunctions.now_iso(),
            "maxConcurrency": self._concurrency,
            "toleratedFailurePercentage": self._tolerated_percentage or 0.0,
            "toleratedFailureCount": int(self._tolerated_count or 0),
            "itemCounts": {**dict.fromkeys(COUNTS, 0), "total": items, "pending": items},
            "executionCounts": {
                **dict.fromkeys(COUNTS, 0),
                "total": len(self._inputs),
                "pending": len(self._inputs),
            },
            "redriveCount": 0,
            "_stateMachineArn": self._child_machine,
        }
        processor = self._state.get("ItemProcessor") or self._state["Iterator"]
        stepfunctions._state_machines[self._child_machine] = {
            **self._machine,
            "stateMachineArn": self._child_machine,
            "name": self._child_machine.rpartition(":")[2],
            "definition": json.dumps(processor),
        }
        stepfunctions._map_runs[self.arn] = record
        self._event("MapRunStarted", {"mapRunArn": self.arn})
        return record

    def _number(self, field: str) -> float | None:
        return number_at(self._state, field, self._effective, self._ctx)

    def _require(self, action: str, resource: str) -> None:
        try:
            self._role.require(action, resource)
        except NotAuthorized as error:
            raise _ExecutionError("States.Permissions", str(error)) from error

    def _run_children(self) -> None:
        parent = current_execution()
        threads = min(self._concurrency or MOST_THREADS, MOST_THREADS, len(self._inputs) or 1)
        with parent.waiting(), parent.on_stop(self._stop_children), ThreadPoolExecutor(threads) as pool:
            wait_for(
                [
                    pool.submit(contextvars.copy_context().run, self._run_child, place)
                    for place in range(len(self._inputs))
                ]
            )

    def _run_child(self, place: int) -> None:
        with self._lock:
            if self._ended.is_set():
                return
            child = self._children[place] = self._new_child(self._inputs[place])
            stepfunctions._executions[child["executionArn"]] = child
            self._count(place, "pending", "running")
        stepfunctions._emit_execution_status_event(child)
        stepfunctions._run_execution(child["executionArn"])
        with self._lock:
            self._count(place, "running", OUTCOMES[child["status"]])
            exceeded = self._exceeds()
            self._exceeded |= exceeded
        if exceeded:
            self._stop_children()

    def _new_child(self, text: str) -> dict[str, Any]:
        name, started = new_uuid(), stepfunctions.now_iso()
        arn = self._child_machine.replace(":stateMachine:", ":execution:", 1)
        details = {"input": text, "roleArn": self._machine["roleArn"]}
        return {
            "executionArn": f"{arn}:{name}",
            "stateMachineArn": self._child_machine,
            "mapRunArn": self.arn,
            "name": name,
            "status": "RUNNING",
            "startDate": started,
            "stopDate": None,
            "input": text,
            "inputDetails": {"included": True},
            "output": None,
            "outputDetails": {"included": True},
            "testCase": self._execution.get("testCase"),
            "mockAttempts": {},
            "events": [
                {"id": 1, "type": "ExecutionStarted", "timestamp": started, "executionStartedEventDetails": details}
            ],
        }

    def _count(self, place: int, before: str, after: str) -> None:
        for counts, amount in ((self._record["itemCounts"], self._sizes[place]), (self._record["executionCounts"], 1)):
            counts[before] -= amount
            counts[after] += amount

    def _exceeds(self) -> bool:
        """Whether more items failed than tolerated; with both limits, either decides, without any no item may fail."""
        counts = self._record["itemCounts"]
        failed = counts["failed"] + counts["timedOut"]
        count, percentage = self._tolerated_count, self._tolerated_percentage
        if count is None and percentage is None:
            return bool(failed)
        return (count is not None and failed > count) or (
            percentage is not None and failed * 100 > percentage * counts["total"]
        )

    def _stop_children(self) -> None:
        """Start no more children, and stop those that run."""
        with self._lock:
            self._ended.set()
            running = [child for child in self._children if child and child["status"] == "RUNNING"]
        for child in running:
            stepfunctions._stop_execution({"executionArn": child["executionArn"], "cause": "The Map Run has ended."})

    def _results(self) -> JSON:
        children = [child for child in self._children if child]
        writer = self._state.get("ResultWriter")
        if writer and "Resource" in writer:
            parameters = writer.get("Parameters") or writer.get("Arguments") or {}
            resolved = stepfunctions._resolve_params_obj(parameters, self._effective, self._ctx)
            pending = [text for text, child in zip(self._inputs, self._children, strict=True) if child is None]
            result: JSON = result_writer.export(self.arn, children, pending, writer, resolved, self._role)
            for counts in (self._record["itemCounts"], self._record["executionCounts"]):
                counts["resultsWritten"] = counts["total"] - counts["pending"]
            return result
        result = result_writer.as_output(children, writer)
        if len(json.dumps(result).encode()) > MAX_PAYLOAD_BYTES:
            raise _ExecutionError(
                "States.DataLimitExceeded",
                "The state returned a result with a size exceeding the maximum number of bytes service limit.",
            )
        return result

    def _end(self, error: _ExecutionError | None) -> None:
        stopped = current_execution().stopped.is_set()
        status = "SUCCEEDED" if error is None else "ABORTED" if stopped else "FAILED"
        if error is not None:
            if error.error != result_writer.FAILED and "Resource" in self._state.get("ResultWriter", {}):
                self._results()
            for counts in (self._record["itemCounts"], self._record["executionCounts"]):
                counts["aborted"] += counts["pending"]
                counts["pending"] = 0
        self._record.update(status=status, stopDate=stepfunctions.now_iso())
        failure = {"error": error.error, "cause": error.cause} if status == "FAILED" and error else None
        self._event(f"MapRun{status.capitalize()}", failure)
        running = (one for one in stepfunctions._map_runs.values() if one["status"] == "RUNNING")
        if not any(one["_stateMachineArn"] == self._child_machine for one in running):
            stepfunctions._state_machines.pop(self._child_machine, None)

    def _event(self, kind: str, details: dict[str, Any] | None) -> None:
        named = {f"{kind[0].lower()}{kind[1:]}EventDetails": details} if details else {}
        stepfunctions._add_event(self._execution, kind, named)


def install() -> None:
    """Apply the patches of this module."""

    def run(
        state_def: dict[str, Any],
        raw_input: JSON,
        effective: JSON,
        iterator: dict[str, Any],
        execution: dict[str, Any],
        ctx: dict[str, Any],
    ) -> tuple[JSON, str | None]:
        if stepfunctions._state_query_language(state_def, ctx) == "JSONata":
            return original(state_def, raw_input, effective, iterator, execution, ctx)  # type: ignore[no-any-return]
        result = stepfunctions._apply_result_selector(state_def, MapRun(state_def, effective, execution, ctx).run())
        output = stepfunctions._apply_result_path(state_def, raw_input, result)
        return stepfunctions._apply_output_path(state_def, output, ctx), stepfunctions._next_or_end(state_def)

    def list_state_machines(data: dict[str, Any]) -> Any:
        status, headers, body = original_list(data)
        answer = json.loads(body)
        answer["stateMachines"] = [one for one in answer["stateMachines"] if "/" not in one["name"]]
        return status, headers, json.dumps(answer).encode()

    original = patches.replace(
        stepfunctions, "_run_distributed_map", "state_def raw_input effective iterator execution ctx", run
    )
    original_list = patches.replace(stepfunctions, "_list_state_machines", "data", list_state_machines)
    patches.attribute(stepfunctions, "_map_runs", stepfunctions.AccountRegionScopedDict)
