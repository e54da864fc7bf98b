"""Where the time of one warm photo goes: `python -m benchmarks.trace` prints it by state and by AWS call.

By state: the photos go through classify-photo; the times are those of the histories of the executions and of the
REPORT lines in the logs of the functions. By AWS call: the handlers run in this process with the variables of the
deployed functions, and botocore's events time each call.
"""

import argparse
import importlib
import io
import os
import re
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from rich import box
from rich.table import Table

from benchmarks import photos
from benchmarks.designs import OURS, Design, Uploader
from benchmarks.executions import Execution, ExecutionListener
from deploy import system
from deploy.outputs import Deployed
from deploy.target import connect
from operate.errors import CommandError
from operate.terminal import console
from operate.uploads import Source

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_stepfunctions import SFNClient

HANDLERS = {"ClassifyPhoto": "classify_photo"}
"""The states of a confident photo that invoke a Lambda, and the folders of the Lambdas."""

WARM_UP = 5
_DURATION = re.compile(r"^REPORT .*?\bDuration: ([\d.]+) ms")


@dataclass
class CallTimes:
    """The times of AWS calls in milliseconds, by `service.Operation`: before the request is sent, and from there on.

    `cpu` is the CPU time of the caller, which other load on the machine changes less.
    """

    prepared: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    requested: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    cpu: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    _started: float = 0.0
    _cpu_started: float = 0.0
    _sent: float = 0.0

    def register(self, events: Any) -> None:
        """Register for the events of a botocore session, before its clients are created."""
        events.register_first("before-parameter-build", self._start)
        events.register_last("before-send", self._send)
        events.register_first("after-call", self._end)

    def clear(self) -> None:
        """Forget all times."""
        self.prepared.clear()
        self.requested.clear()
        self.cpu.clear()

    def _start(self, **_named: Any) -> None:
        self._started, self._cpu_started = time.perf_counter(), time.thread_time()

    def _send(self, **_named: Any) -> None:
        self._sent = time.perf_counter()

    def _end(self, model: Any, **_named: Any) -> None:
        name = f"{model.service_model.endpoint_prefix.removeprefix('runtime.')}.{model.name}"
        self.prepared[name].append((self._sent - self._started) * 1000)
        self.requested[name].append((time.perf_counter() - self._sent) * 1000)
        self.cpu[name].append((time.thread_time() - self._cpu_started) * 1000)


def by_state(deployed: Deployed, chosen: list[Source]) -> dict[str, dict[str, float]]:
    """Return medians in milliseconds: `state` is from a state to the next one, `function` the REPORT line's duration.

    The row `start` is from the start of the execution to its first state.
    """
    prefix = f"uploads/trace-{datetime.now(UTC):%Y%m%dt%H%M%S}-"
    design = Design(OURS, deployed.classify_photo_arn, deployed.uploads_bucket, prefix)
    uploader = Uploader()
    entered: dict[str, list[float]] = defaultdict(list)
    began_ms = 0
    with ExecutionListener([design.state_machine]) as listener:
        for number, photo in enumerate([*chosen[:WARM_UP], *chosen]):
            found = listener.collect({uploader.put(design, photo)}, timeout_s=60)
            if not found:
                raise CommandError(f"The upload of {photo.name} has no execution that ended.")
            if number == WARM_UP - 1:
                began_ms = int(time.time() * 1000)
            if number >= WARM_UP:
                for state, duration_ms in _state_durations(found[0]):
                    entered[state].append(duration_ms)
    rows = {state: {"state": statistics.median(values)} for state, values in entered.items()}
    for state, folder in HANDLERS.items():
        durations = _reported(deployed.log_group(folder.replace("_", "-")), began_ms)
        rows[state]["function"] = statistics.median(durations)
    return rows


def _state_durations(execution: Execution) -> Iterator[tuple[str, float]]:
    """Yield (state, milliseconds until the next state or the end) of an execution."""
    states: SFNClient = boto3.client("stepfunctions")
    history = states.get_execution_history(executionArn=execution.arn)["events"]
    last, since = "start", history[0]["timestamp"]
    for event in history:
        name = event.get("stateEnteredEventDetails", {}).get("name")
        if name or event["type"] == "ExecutionSucceeded":
            yield last, (event["timestamp"] - since).total_seconds() * 1000
            last, since = name or "", event["timestamp"]


def _reported(group: str, began_ms: int) -> list[float]:
    logs: CloudWatchLogsClient = boto3.client("logs")
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group, startTime=began_ms)
    lines = [event["message"] for page in pages for event in page["events"]]
    return [float(match[1]) for line in lines if (match := _DURATION.search(line))]


@contextmanager
def imported_handlers(deployed: Deployed) -> Iterator[tuple[dict[str, Any], CallTimes]]:
    """Import the handlers with the variables of the deployed functions, and time the calls of their clients.

    Yields the modules by folder, and the times. In this process each handler is imported once, so this is used once.
    """
    boto3.setup_default_session()
    times = CallTimes()
    times.register(boto3._get_default_session().events)
    # Powertools writes logs and metrics to the stdout of the time of the import and of the call.
    with _function_variables(deployed), redirect_stdout(io.StringIO()):
        modules = {folder: importlib.import_module(f"functions.{folder}.handler") for folder in HANDLERS.values()}
    yield modules, times


def by_call(
    deployed: Deployed, modules: dict[str, Any], times: CallTimes, chosen: list[Source]
) -> dict[str, dict[str, float]]:
    """Return medians in milliseconds of each call and of each handler, called in this process one after the other.

    The photos get decisions and events, as uploaded ones do.
    """
    _run_handlers(deployed, modules, chosen[:WARM_UP], times)
    return _run_handlers(deployed, modules, chosen, times)


def _run_handlers(
    deployed: Deployed, modules: dict[str, Any], chosen: list[Source], times: CallTimes
) -> dict[str, dict[str, float]]:
    """Run ClassifyPhoto and AssignBay with photos outside of the prefix that starts executions."""
    s3 = boto3.client("s3")
    run = f"{datetime.now(UTC):%H%M%S%f}"
    rows: dict[str, dict[str, float]] = {}
    keys = [f"trace/{run}/{number:03}-{photo.name}" for number, photo in enumerate(chosen)]
    inputs: list[dict[str, Any]] = []
    began = datetime.now(UTC)
    for number, (key, photo) in enumerate(zip(keys, chosen, strict=True)):
        etag = s3.put_object(Bucket=deployed.uploads_bucket, Key=key, Body=photo.content)["ETag"].strip('"')
        state = {"bucket": deployed.uploads_bucket, "key": key, "etag": etag, "size": len(photo.content)}
        # All are photos of the driver `unknown`: in one minute they would be too many.
        started_at = (began + timedelta(minutes=number)).isoformat()
        inputs.append({"photo": state, "execution": f"arn:trace:{key}", "started_at": started_at})
    try:
        for folder, module in modules.items():
            times.clear()
            durations, cpu, inputs = _invoke_all(module, inputs)
            rows[folder] = {"total": statistics.median(durations), "cpu": statistics.median(cpu)}
            for name, prepared in times.prepared.items():
                rows[f"  {name}"] = {
                    "prepare": statistics.median(prepared),
                    "request": statistics.median(times.requested[name]),
                    "cpu": statistics.median(times.cpu[name]),
                    "calls": len(prepared) / len(keys),
                }
    finally:
        for key in keys:
            s3.delete_object(Bucket=deployed.uploads_bucket, Key=key)
    return rows


def _invoke_all(module: Any, inputs: list[dict[str, Any]]) -> tuple[list[float], list[float], list[dict[str, Any]]]:
    """Return durations and CPU times in milliseconds, and the inputs of AssignBay from the results of ClassifyPhoto."""
    durations, cpu, results = [], [], []
    for given in inputs:
        started, cpu_started = time.perf_counter(), time.thread_time()
        with redirect_stdout(io.StringIO()):
            answer = module.handler(given, _Context())
        durations.append((time.perf_counter() - started) * 1000)
        cpu.append((time.thread_time() - cpu_started) * 1000)
        results.append({**given, **(answer.get("classification") or {}), "decided_by": "model"})
    return durations, cpu, results


class _Context:
    """What Powertools reads of the context of an invocation."""

    function_name = "trace"
    function_version = "$LATEST"
    memory_limit_in_mb = 256
    invoked_function_arn = "arn:aws:lambda:eu-west-1:000000000000:function:trace"
    aws_request_id = "trace"


@contextmanager
def _function_variables(deployed: Deployed) -> Iterator[None]:
    """Set the variables of the deployed functions during the block."""
    before = dict(os.environ)
    functions = boto3.client("lambda")
    for folder in HANDLERS.values():
        name = f"{deployed.app_name}-{folder.replace('_', '-')}"
        os.environ |= functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _print(title: str, rows: dict[str, dict[str, float]], columns: tuple[str, ...]) -> None:
    grid = Table(title=title, title_justify="left", box=box.SIMPLE, pad_edge=False)
    grid.add_column("")
    for column in columns:
        grid.add_column(column, justify="right")
    for name, row in rows.items():
        grid.add_row(name, *(f"{row[column]:.1f}" if column in row else "" for column in columns))
    console.print(grid)


def main() -> int:
    """Print both tables for a deployed stage; returns the exit status."""
    parser = argparse.ArgumentParser(description="Show where the time of one warm photo goes.")
    parser.add_argument("--count", type=int, default=30, help="the number of photos of each kind")
    parser.add_argument("--photos", type=Path, help="a folder with JPEG photos of vehicles; by default drawings")
    arguments = parser.parse_args()
    target = connect()
    deployed = Deployed.of(system.outputs(target))
    try:
        model = photos.choose(deployed, arguments.count, arguments.photos, Path("build/data/photos"))
        with imported_handlers(deployed) as (modules, times):
            for kind, chosen in (("small PNG", model.tiny), ("JPEG", model.jpeg)):
                _print(f"{kind}, by state, ms", by_state(deployed, chosen), ("state", "function"))
                calls = by_call(deployed, modules, times, chosen)
                _print(f"{kind}, by AWS call, ms", calls, ("total", "prepare", "request", "cpu", "calls"))
    except CommandError as error:
        print(f"trace failed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
