"""Validate requests against botocore's service model, with SageMaker's error messages."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, cast

import regex
from botocore.model import OperationModel, ServiceModel, Shape
from botocore.validate import ParamValidator
from ministack.core.responses import _service_model

from local.sagemaker.errors import validation_error

_SURROGATE_PAIRS = r"\uD800\uDC00-\uDBFF\uDFFF"


def service_model() -> ServiceModel:
    """Return botocore's model of SageMaker; ministack uses the same object for `aws-sdk:sagemaker` tasks."""
    return cast(ServiceModel, _service_model("sagemaker"))


def validate(operation: OperationModel, request: dict[str, Any]) -> None:
    """Raise ValidationException when `request` violates types, required members, lengths, patterns or enums."""
    shape = operation.input_shape
    if shape is None:
        return
    report = ParamValidator().validate(request, shape)
    if report.has_errors():
        raise validation_error(str(report.generate_report()))
    problems = list(constraint_problems(request, shape))
    if problems:
        plural = "error" if len(problems) == 1 else "errors"
        raise validation_error(f"{len(problems)} validation {plural} detected: {'; '.join(problems)}")


def constraint_problems(value: Any, shape: Any, path: str = "") -> Iterator[str]:
    """Yield the violations that ParamValidator does not report: upper limits, patterns and enumerations."""
    if shape.type_name == "structure":
        for name, item in value.items():
            if item is not None and name in shape.members:
                yield from constraint_problems(item, shape.members[name], f"{path}.{_camel(name)}".lstrip("."))
    elif shape.type_name == "list":
        yield from _length(value, shape, path)
        for index, item in enumerate(value):
            yield from constraint_problems(item, shape.member, f"{path}.{index + 1}.member")
    elif shape.type_name == "map":
        yield from _length(value, shape, path)
        for key, item in value.items():
            yield from constraint_problems(key, shape.key, f"{path}.key")
            yield from constraint_problems(item, shape.value, f"{path}.{key}.member")
    elif shape.type_name == "string":
        yield from _length(value, shape, path)
        enumeration, pattern = shape.metadata.get("enum"), shape.metadata.get("pattern")
        if enumeration and value not in enumeration:
            yield _failed(value, path, f"Member must satisfy enum value set: [{', '.join(enumeration)}]")
        if pattern and not _matches(pattern, value):
            yield _failed(value, path, f"Member must satisfy regular expression pattern: {pattern}")
    elif shape.type_name in ("integer", "long") and value > shape.metadata.get("max", value):
        yield _failed(value, path, f"Member must have value less than or equal to {shape.metadata['max']}")


def _length(value: Any, shape: Shape, path: str) -> Iterator[str]:
    longest = shape.metadata.get("max")
    if longest is not None and len(value) > longest:
        yield _failed(value, path, f"Member must have length less than or equal to {longest}")


def _failed(value: Any, path: str, constraint: str) -> str:
    return f"Value '{value}' at '{path}' failed to satisfy constraint: {constraint}"


def _matches(pattern: str, value: str) -> bool:
    return compiled(pattern).fullmatch(value) is not None


@cache
def compiled(pattern: str) -> regex.Pattern[str]:
    """Compile a pattern of a service model, which has the syntax of Java. Raises regex.error.

    Java writes characters above U+FFFF as surrogate pairs.
    """
    return regex.compile(pattern.replace(_SURROGATE_PAIRS, r"\U00010000-\U0010FFFF"), regex.DOTALL)


def _camel(name: str) -> str:
    return name[:1].lower() + name[1:]
