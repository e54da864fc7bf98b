"""The time to initialise each handler, compared with a handler that does nothing."""

import re
import statistics
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import boto3

from benchmarks.stack import ColdStart
from operate.errors import CommandError

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_logs import CloudWatchLogsClient

REPEATS = 3
LOG_TIMEOUT_S = 90.0
_INIT = re.compile(r"^REPORT .*Init Duration: ([\d.]+) ms")


def measure(functions: list[ColdStart], repeats: int = REPEATS) -> dict[str, dict[str, float]]:
    """Return the median initialisation of each measured handler in milliseconds, by the folder of the handler.

    `init_ms` is the handler's, `empty_ms` that of an empty handler with the same memory size, `above_empty_ms` the
    difference. A cold start is forced by an update of the function's configuration. Raises CommandError when the log
    lacks a REPORT line.
    """
    client: LambdaClient = boto3.client("lambda")
    for number in range(repeats):
        for function in functions:
            _start_cold(client, function.function, number)
    init_ms = {
        function.function: statistics.median(_init_durations(function.function, repeats)) for function in functions
    }
    empty = {one.memory_mb: init_ms[one.function] for one in functions if not one.measured}
    return {one.measured: _figures(init_ms[one.function], empty[one.memory_mb]) for one in functions if one.measured}


def _figures(init_ms: float, empty_ms: float) -> dict[str, float]:
    figures = {"init_ms": init_ms, "empty_ms": empty_ms, "above_empty_ms": init_ms - empty_ms}
    return {name: round(value, 1) for name, value in figures.items()}


def _start_cold(client: "LambdaClient", function: str, number: int) -> None:
    variables: Mapping[str, str] = (
        client.get_function_configuration(FunctionName=function).get("Environment", {}).get("Variables", {})
    )
    client.update_function_configuration(
        FunctionName=function, Environment={"Variables": {**variables, "COLD_START": str(number)}}
    )
    client.get_waiter("function_updated_v2").wait(FunctionName=function, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    answer = client.invoke(FunctionName=function, Payload=b"{}")
    if answer.get("FunctionError"):
        raise CommandError(f"{function} failed to start: {answer['Payload'].read().decode()}")


def _init_durations(function: str, repeats: int) -> list[float]:
    """Return the "Init Duration" of each cold start in milliseconds, from the REPORT lines in the log."""
    logs: CloudWatchLogsClient = boto3.client("logs")
    deadline = time.monotonic() + LOG_TIMEOUT_S
    while True:
        pages: Any = logs.get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{function}")
        lines = [event["message"] for page in pages for event in page["events"]]
        found = [float(match[1]) for line in lines if (match := _INIT.search(line))]
        if len(found) >= repeats:
            return found
        if time.monotonic() > deadline:
            raise CommandError(f"The log of {function} has {len(found)} cold starts, not {repeats}.")
        time.sleep(1)
