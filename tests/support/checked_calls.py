"""Check every boto3 call of the application in this process against botocore's models of the services.

botocore itself sends values that AWS refuses (patterns, enumerations, upper limits), and emulators return responses
that AWS never sends. A test fails when a call that it causes is such a call. Calls of the tests themselves are not
checked: many are wrong on purpose.
"""

import json
import sys
import threading
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

from botocore import handlers
from botocore.model import OperationModel
from botocore.validate import ParamValidationDecorator

from local.service_models import Problem, constraint_problems, response_problems

ROOT = Path(__file__).parents[2]
# The calls of these folders are checked, and those of libraries that run on threads of their own: moto's Step
# Functions, s3transfer.
APPLICATION = ("functions", "workflows", "training", "container", "events", "deploy", "operate", "console")
OTHERS = ("tests", "local", "benchmarks")
# Service, operation and member that may violate the model, as patterns of fnmatch, with the reason.
KNOWN: dict[tuple[str, str, str], str] = {
    ("cloudformation", "DescribeStackEvents", "stackEvents.*.member.resourceStatus"): (
        "AWS also sends statuses of stacks, such as UPDATE_COMPLETE_CLEANUP_IN_PROGRESS, which the model lacks"
    ),
    (
        "sagemaker",
        "DescribeModel",
        "vpcConfig.*",
    ): "moto sends an empty structure, where AWS sends none; nothing reads it",
    ("sagemaker", "DescribeEndpoint*", "dataCaptureConfig.*"): "the same",
}

_lock = threading.Lock()
_found: list[str] = []
# Files in which embedded AWSs write the violations of Lambda workers, and how much of each was read.
_watched: dict[Path, int] = {}
# Service, operation, file and line of each call.
called: set[tuple[str, str, str, int]] = set()


def install() -> None:
    """Check the requests of every client, and the responses for botocore sessions that are created from now on."""
    original = ParamValidationDecorator.serialize_to_request

    def serialize(self: Any, parameters: dict[str, Any], operation_model: OperationModel) -> Any:
        # botocore's own handlers have converted the parameters.
        serialized = original(self, parameters, operation_model)
        _check_request(parameters, operation_model)
        return serialized

    ParamValidationDecorator.serialize_to_request = serialize
    handlers.BUILTIN_HANDLERS.append(("after-call.*.*", _check_response, handlers.REGISTER_LAST))


def take_problems() -> list[str]:
    """Return what was found since the last call of this function."""
    for file, position in _watched.items():
        if file.exists():
            with file.open() as opened:
                opened.seek(position)
                for line in opened.readlines():
                    _report(**json.loads(line))
                _watched[file] = opened.tell()
    with _lock:
        found = list(_found)
        _found.clear()
    return found


def watch(file: Path | None) -> None:
    """Report what an embedded AWS writes to its file of violations, too."""
    assert file is not None
    _watched[file] = 0


def _check_request(params: dict[str, Any], model: OperationModel) -> None:
    where = _caller()
    if where is None:
        return
    called.add((model.service_model.service_name, model.name, *where))
    if model.input_shape is not None:
        _add(model, "request", where, constraint_problems(params, model.input_shape))


def _check_response(http_response: Any, parsed: dict[str, Any], model: OperationModel, **_: Any) -> None:
    where = _caller()
    if where is not None and http_response.status_code < 300 and model.output_shape is not None:
        _add(model, "response", where, response_problems(parsed, model.output_shape))


def _add(model: OperationModel, what: str, where: tuple[str, int], problems: Iterator[Problem]) -> None:
    service = model.service_model.service_name
    for problem in problems:
        _report(f"{where[0]}:{where[1]}", service, model.name, what, problem.path, problem.constraint)


def _report(where: str, service: str, operation: str, what: str, path: str, constraint: str) -> None:
    """Keep a problem that is not known, without the value: it may be the key of a photo or a task token."""
    violated = (service, operation, path)
    if not any(all(map(fnmatchcase, violated, known)) for known in KNOWN):
        with _lock:
            _found.append(f"{where}: {service} {operation}, {what}, {path}: {constraint}")


def _caller() -> tuple[str, int] | None:
    """The file and the line of this repository that call; None for a test, which is not checked."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        file = _file(frame.f_code.co_filename)
        if file is not None:
            return (file, frame.f_lineno) if file.startswith(APPLICATION) else None
        frame = frame.f_back
    return ("a thread of a library", 0)


@cache
def _file(name: str) -> str | None:
    """The path in this repository; None for a file of a library and of this module."""
    path = Path(name)
    if name == __file__ or not path.is_relative_to(ROOT):
        return None
    relative = path.relative_to(ROOT)
    return relative.as_posix() if relative.parts[0] in (*APPLICATION, *OTHERS) else None
