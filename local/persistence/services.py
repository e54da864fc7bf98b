"""What is saved of each service, and how it is restored.

The services of ministack return their state from `get_state` and restore it in `load_persisted_state`, which also
marks running executions as failed. Patches for saving while the server runs, in little memory:
- `copy` of the modules in MODULES: `get_state` copies the whole state. During `read_entries`, it returns the stores
  themselves, and each record is pickled on its own. Only modules whose `get_state` does not change the copy.
- `lambda_svc._externalize_code_zip` and `_prune_orphan_code_blobs` write code to files of their own.
- `s3.get_state` returns buckets without objects and versions. All scoped stores of the module are saved.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from ministack import app
from ministack.core.responses import AccountRegionScopedDict, AccountScopedDict, request_scope
from ministack.services import (
    cloudformation,
    cloudwatch,
    cloudwatch_logs,
    codebuild,
    dynamodb,
    ecr,
    eventbridge,
    iam,
    lambda_svc,
    s3,
    scheduler,
    sns,
    sqs,
    ssm,
    stepfunctions,
)

from local import patches
from local.persistence.snapshot import Ended, Entry

MODULES: tuple[ModuleType, ...] = (
    cloudformation,
    cloudwatch,
    cloudwatch_logs,
    codebuild,
    dynamodb,
    ecr,
    eventbridge,
    iam,
    lambda_svc,
    scheduler,
    sns,
    sqs,
    ssm,
    stepfunctions,
)
SCOPED_BY_REGION = AccountRegionScopedDict.__name__
SCOPED: dict[str, type] = {kind.__name__: kind for kind in (AccountScopedDict, AccountRegionScopedDict)}
BLOB_SERVICES = ("s3", "lambda")
OBJECTS = "objects"
# Data points are not kept; alarms are. Executions are most of the state, and each is written once, when it has ended.
NOT_SAVED = {"cloudwatch": ("metrics",), "stepfunctions": ("executions",)}
# get_state is called again when another thread has added to a dictionary that it reads.
ATTEMPTS = 20
_reading = threading.local()


@dataclass(frozen=True)
class Counts:
    """What was restored, for the user."""

    stacks: int
    objects: int
    items: int
    messages: int
    endpoints: int


class _CopyModule:
    """The `copy` module, except that `deepcopy` returns its argument to a thread that reads the entries."""

    def __getattr__(self, name: str) -> Any:
        return getattr(copy, name)

    @staticmethod
    def deepcopy(value: Any, memo: Any = None) -> Any:
        return value if getattr(_reading, "active", False) else copy.deepcopy(value, memo)


def install() -> None:
    """Apply the patches of this module."""
    for module in MODULES:
        if patches.attribute(module, "copy", ModuleType) is not copy:
            raise patches.PatchFailed(f"{module.__name__}.copy is not the module copy")
        patches.expect(module, "get_state", "")
        patches.expect(module, "load_persisted_state", "data")
        module.copy = _CopyModule()  # type: ignore[attr-defined]
    patches.replace(lambda_svc, "_externalize_code_zip", "func referenced", lambda func, referenced: None)
    patches.replace(lambda_svc, "_prune_orphan_code_blobs", "referenced", lambda referenced: None)
    for name in ("_buckets", "_object_versions", "_object_tags"):
        patches.attribute(s3, name, AccountScopedDict)
    patches.attribute(stepfunctions, "_executions", AccountRegionScopedDict)
    patches.attribute(app, "_state_map", dict)
    patches.expect(app, "_build_persistence_save_dict", "")
    patches.expect(app, "_get_module", "name")


def read_entries() -> Iterator[Entry]:
    """Yield every record. The values belong to the services: pickle them and keep no reference.

    S3 is last: an object that another service refers to was written before the reference was.
    """
    for service, get_state in app._build_persistence_save_dict().items():
        if service == "s3":
            continue
        state = _state_of(get_state) or {}
        for store, value in state.items():
            if store not in NOT_SAVED.get(service, ()):
                yield from _store_entries(service, store, value)
    for key, execution in _items(stepfunctions._executions._data):
        yield Entry("stepfunctions", "executions", SCOPED_BY_REGION, key, _ended(execution))
    yield Entry("eventbridge", "rule_last_fired", "", None, eventbridge._rule_last_fired)
    yield from _s3_entries()


def _state_of(get_state: Callable[[], dict[str, Any] | None]) -> dict[str, Any] | None:
    for attempt in range(ATTEMPTS):
        _reading.active = True
        try:
            return get_state()
        except RuntimeError:  # A dictionary changed its size while it was read.
            if attempt + 1 == ATTEMPTS:
                raise
        finally:
            _reading.active = False
    return None


def _ended(execution: dict[str, Any]) -> dict[str, Any] | Ended:
    """Return an execution, as Ended when it has ended. A redrive changes its version."""
    if execution["status"] == "RUNNING":
        return execution
    return Ended(execution, (execution["status"], execution.get("stopDate"), len(execution["events"])))


def _items(store: dict[Any, Any]) -> list[tuple[Any, Any]]:
    """Return the entries of a store that other threads change.

    Listing them directly allocates a tuple for each. An allocation may collect garbage, and then another thread may
    run and change the store: RuntimeError. A copy of a dictionary allocates once.
    """
    return list(store.copy().items())


def _store_entries(service: str, store: str, value: Any) -> Iterator[Entry]:
    kind = type(value).__name__
    if kind in SCOPED:
        for key, record in _items(value._data):
            yield Entry(service, store, kind, key, record)
    else:
        yield Entry(service, store, "", None, value)


def _s3_entries() -> Iterator[Entry]:
    for name, store in _items(vars(s3)):
        if name == "_buckets":
            for key, bucket in _items(store._data):
                described = {field: value for field, value in bucket.items() if field != "objects"}
                yield Entry("s3", name, type(store).__name__, key, described)
                for object_key, record in _items(bucket["objects"]):
                    yield Entry("s3", OBJECTS, "", (key, object_key), record)
        elif type(store).__name__ in SCOPED:
            yield from _store_entries("s3", name, store)


def restore(entries: Iterator[Entry]) -> Counts:
    """Restore the state of all services; returns what was restored."""
    states: dict[str, dict[str, Any]] = {}
    objects = []
    for entry in entries:
        if entry.store == OBJECTS and entry.service == "s3":
            objects.append(entry)
            continue
        state = states.setdefault(entry.service, {})
        if entry.kind:
            state.setdefault(entry.store, SCOPED[entry.kind]())._data[entry.key] = entry.value
        else:
            state[entry.store] = entry.value
    _restore_s3(states.pop("s3", {}), objects)
    eventbridge._rule_last_fired.update(states.get("eventbridge", {}).pop("rule_last_fired", {}))
    running = _running_executions(states)
    for service, state in states.items():
        app._get_module(app._state_map[service]).load_persisted_state(state)
    _end_executions(running)
    _end_map_runs()
    return _count(len(objects), states)


def _restore_s3(state: dict[str, Any], objects: list[Entry]) -> None:
    for name, store in state.items():
        getattr(s3, name)._data.update(store._data)
    for bucket in s3._buckets._data.values():
        bucket["objects"] = {}
    for entry in objects:
        bucket_key, object_key = entry.key
        s3._buckets._data[bucket_key]["objects"][object_key] = entry.value


def _running_executions(states: dict[str, dict[str, Any]]) -> list[Any]:
    executions = states.get("stepfunctions", {}).get("executions")
    records = executions._data.items() if executions is not None else ()
    return [key for key, execution in records if execution["status"] == "RUNNING"]


def _end_executions(keys: list[Any]) -> None:
    """Add the last event to the history of executions that `load_persisted_state` has marked as failed."""
    for key in keys:
        execution = stepfunctions._executions._data[key]
        details = {"error": execution["error"], "cause": execution["cause"]}
        with request_scope(key[0], key[1]):
            stepfunctions._add_event(execution, "ExecutionFailed", {"executionFailedEventDetails": details})


def _end_map_runs() -> None:
    """End the Map Runs of executions that `load_persisted_state` has marked as failed, as AWS does with its parent."""
    for (account, region, _), run in stepfunctions._map_runs._data.items():
        if run["status"] != "RUNNING":
            continue
        run.update(status="FAILED", stopDate=stepfunctions.now_iso())
        for counts in (run["itemCounts"], run["executionCounts"]):
            counts["failed"] += counts.pop("running")
            counts["aborted"] += counts.pop("pending")
            counts.update(running=0, pending=0)
        # The state machine of the children exists while the run does.
        stepfunctions._state_machines._data.pop((account, region, run["_stateMachineArn"]), None)


def _count(objects: int, states: dict[str, dict[str, Any]]) -> Counts:
    def records(service: str, store: str) -> list[Any]:
        found = states.get(service, {}).get(store)
        return [] if found is None else list(found._data.values())

    stacks = [stack for stack in records("cloudformation", "stacks") if stack.get("StackStatus") != "DELETE_COMPLETE"]
    return Counts(
        stacks=len(stacks),
        objects=objects,
        items=sum(len(part) for table in records("dynamodb", "tables") for part in table.get("items", {}).values()),
        messages=sum(len(queue["messages"]) for queue in records("sqs", "queues")),
        endpoints=len(states.get("sagemaker", {}).get("endpoints", {})),
    )
