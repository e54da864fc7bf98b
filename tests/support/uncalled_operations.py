"""Calls of AWS in the application's code that no test makes through botocore.

A call is found by the name of its method, which is that of an operation; `called` has what the tests of a process made.
"""

import ast
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import botocore.session
from botocore import xform_name

from tests.support.checked_calls import ROOT, called

FOLDERS = ("functions", "deploy", "operate", "console")
SERVICES = (
    *("application-autoscaling", "cloudformation", "cloudwatch", "codebuild", "dynamodb", "ecr", "events", "iam"),
    *("lambda", "logs", "s3", "sagemaker", "sagemaker-runtime", "service-quotas", "sns", "sqs", "ssm", "stepfunctions"),
    "sts",
)
# Operations whose names are also those of methods of this project and of the standard library.
AMBIGUOUS = {"search", "publish", "get_template", "start_session"}
# The environment variable with the file to write to, and the paths of a call: file and line.
VARIABLE = "AWS_CALLS_FILE"
Call = tuple[str, int]


def write(file: Path) -> None:
    """Write where the tests of this process called AWS."""
    file.write_text(json.dumps(sorted({(path, line) for _, _, path, line in called})))


def read(files: Iterable[Path]) -> set[Call]:
    """Read what `write` wrote in several processes; one that was killed has written nothing."""
    return {(path, line) for file in files if file.exists() for path, line in json.loads(file.read_text())}


def uncalled(made: set[Call], root: Path = ROOT) -> Iterator[str]:
    """Yield `file:line: operation` for each call in the code that is not among those made."""
    session = botocore.session.get_session()
    models = [session.get_service_model(service) for service in SERVICES]
    names = {xform_name(name) for model in models for name in model.operation_names} - AMBIGUOUS
    for folder in FOLDERS:
        for file in sorted((root / folder).rglob("*.py")):
            path = file.relative_to(root).as_posix()
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                name = _operation(node)
                if name in names and isinstance(node, ast.Call):
                    lines = range(node.lineno, (node.end_lineno or node.lineno) + 1)
                    if not any((path, line) in made for line in lines):
                        yield f"{path}:{node.lineno}: {name}"


def _operation(node: ast.AST) -> str | None:
    """Return the name of the method that is called, or None. A paginator calls where its pages are read."""
    return node.func.attr if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else None
