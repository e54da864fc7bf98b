"""What botocore's models of AWS services demand beyond what botocore checks itself.

botocore checks the types, the required members and the lower limits of a request, and nothing of a response.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import regex
from botocore.model import Shape

_SURROGATE_PAIRS = r"\uD800\uDC00-\uDBFF\uDFFF"
_TYPES: Mapping[str, tuple[type, ...]] = {
    "structure": (dict,),
    "map": (dict,),
    "list": (list,),
    "string": (str,),
    "character": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "float": (float, int),
    "double": (float, int),
    "timestamp": (datetime,),
}


@dataclass(frozen=True)
class Problem:
    """A value that violates the model: where, and what the model demands."""

    value: Any
    path: str
    constraint: str

    def __str__(self) -> str:
        """Return the sentence of a ValidationException."""
        return f"Value '{self.value}' at '{self.path}' failed to satisfy constraint: {self.constraint}"


def constraint_problems(value: Any, shape: Any, path: str = "") -> Iterator[Problem]:
    """Yield the violations in a request that ParamValidator does not report: upper limits, patterns, enumerations."""
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
        yield from _enumeration(value, shape, path)
        pattern = shape.metadata.get("pattern")
        if pattern and not _matches(pattern, value):
            yield Problem(value, path, f"Member must satisfy regular expression pattern: {pattern}")
    elif shape.type_name in ("integer", "long") and value > shape.metadata.get("max", value):
        yield Problem(value, path, f"Member must have value less than or equal to {shape.metadata['max']}")


def response_problems(value: Any, shape: Any, path: str = "") -> Iterator[Problem]:
    """Yield the violations in a response: missing members, other types, values that an enumeration lacks.

    `value` is what botocore's parser returns. A blob may be bytes or a stream and is not checked.
    """
    expected = _TYPES.get(shape.type_name, ())
    if expected and (not isinstance(value, expected) or (isinstance(value, bool) and bool not in expected)):
        yield Problem(type(value).__name__, path, f"Member must be a {shape.type_name}")
    elif shape.type_name == "structure":
        for name in shape.required_members:
            if value.get(name) is None:
                yield Problem(None, f"{path}.{_camel(name)}".lstrip("."), "Member must not be null")
        for name, item in value.items():
            if item is not None and name in shape.members:
                yield from response_problems(item, shape.members[name], f"{path}.{_camel(name)}".lstrip("."))
    elif shape.type_name == "list":
        for index, item in enumerate(value):
            yield from response_problems(item, shape.member, f"{path}.{index + 1}.member")
    elif shape.type_name == "map":
        for key, item in value.items():
            yield from response_problems(key, shape.key, f"{path}.key")
            yield from response_problems(item, shape.value, f"{path}.{key}.member")
    elif shape.type_name == "string":
        yield from _enumeration(value, shape, path)


def _length(value: Any, shape: Shape, path: str) -> Iterator[Problem]:
    longest = shape.metadata.get("max")
    if longest is not None and len(value) > longest:
        yield Problem(value, path, f"Member must have length less than or equal to {longest}")


def _enumeration(value: str, shape: Shape, path: str) -> Iterator[Problem]:
    enumeration = shape.metadata.get("enum")
    if enumeration and value not in enumeration:
        yield Problem(value, path, f"Member must satisfy enum value set: [{', '.join(enumeration)}]")


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
