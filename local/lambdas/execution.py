"""Run one invocation on a worker, with limited concurrency.

Patches in ministack's `lambda_svc`:
- `_execute_function_warm` starts a process for each concurrent call. AWS limits concurrency ("Understanding Lambda
  function scaling"); here the invocations over the limit wait.
- `_inbound_invoke_depth` counts chained invocations by a header that only ministack's own worker sends. AWS counts them
  in the trace header that the SDK forwards ("Use Lambda recursive loop detection").
"""

from __future__ import annotations

import collections
import contextlib
import re
import threading
from collections.abc import Iterator
from typing import Any

from ministack.core import lambda_runtime
from ministack.services import lambda_svc

from local import patches
from local.lambdas import emf, report
from local.lambdas.pool import LambdaWorker
from local.settings import Settings

LINEAGE = re.compile(r"Lineage=[^;]*:(\d+)")


class Slots:
    """Limits concurrent invocations to `count`; the others wait in the order of their arrival."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: collections.deque[threading.Event] = collections.deque()
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def acquired(self) -> Iterator[None]:
        """Hold a slot during the block; waits for a free one."""
        ready = threading.Event()
        with self._lock:
            if self._free > 0:
                self._free -= 1
                ready.set()
            else:
                self._waiting.append(ready)
        ready.wait()
        try:
            yield
        finally:
            with self._lock:
                if self._waiting:
                    self._waiting.popleft().set()
                else:
                    self._free += 1


def _result(answer: dict[str, Any]) -> dict[str, Any]:
    if "error" in answer:
        return {"body": answer["error"], "error": True, "log": answer["log"]}
    return {"body": answer["body"], "log": answer["log"]}


def _end_idle_workers(max_workers: int) -> None:
    """Keep at most `max_workers` worker processes: end those that have been idle for longest."""
    with lambda_runtime._lock:
        idle = [w for pool in lambda_runtime._workers.values() for w in pool if not w.in_use]
        total = sum(len(pool) for pool in lambda_runtime._workers.values())
        ending = sorted(idle, key=lambda worker: worker.last_used)[: max(0, total - max_workers)]
        for key, pool in list(lambda_runtime._workers.items()):
            lambda_runtime._workers[key] = [worker for worker in pool if worker not in ending]
    lambda_runtime.kill_workers(ending)


def _depth_from_trace_header(headers: dict[str, Any]) -> int:
    match = LINEAGE.search(headers.get("x-amzn-trace-id", ""))
    return int(match[1]) if match else 0


def install(settings: Settings) -> None:
    """Apply the patches of this module."""
    slots = Slots(settings.lambda_slots)
    # Idle workers avoid cold starts; more than three per slot only cost memory (57 MB each with boto3).
    max_workers = settings.lambda_slots * 3

    def execute(func: dict[str, Any], event: Any, request_id: str) -> dict[str, Any]:
        config = func.get("config") or func
        if not str(config.get("Runtime", "")).startswith("python"):
            return original(func, event, request_id)  # type: ignore[no-any-return]
        depth = lambda_svc._invoke_depth.get()
        # A function that another function invokes and waits for would deadlock if it had to wait for a slot.
        with contextlib.nullcontext() if depth > 1 else slots.acquired():
            worker, how = lambda_svc.acquire_worker(
                config["FunctionName"], config, func["code_zip"], qualifier=config.get("Version", "$LATEST")
            )
            assert isinstance(worker, LambdaWorker)
            try:
                if how == "spawn":
                    _end_idle_workers(max_workers)
                answer = worker.run(event, request_id, depth)
            finally:
                lambda_svc.release_worker(worker)
                worker.end_if_discarded()
        emf.publish(answer["log"])
        report.set_current(answer["report"])
        report.publish_metrics(config["FunctionName"], answer["report"], "error" in answer)
        return _result(answer)

    original = patches.replace(lambda_svc, "_execute_function_warm", "func event request_id", execute)
    patches.replace(lambda_svc, "_inbound_invoke_depth", "headers", _depth_from_trace_header)
