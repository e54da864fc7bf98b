"""The shape of JSON values that a function reads: fields that are missing or malformed are named in one error.

A shape is a function of a value and its path that raises InvalidInput; `object_with` and `list_of` combine shapes.
"""

import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from functions.shared.errors import InvalidInput

Shape = Callable[[Any, str], None]

# DynamoDB accepts 32 levels in an item; the deepest attribute is a level below the value.
DEEPEST = 24
# A number of DynamoDB has at most 38 digits, and JSON readers keep whole numbers exactly up to here.
LARGEST_NUMBER = 2**53
_LONGEST_SHOWN = 200
_EARLIEST_YEAR, _LATEST_YEAR = 1970, 9000


def read_event(event: Any) -> dict[str, Any]:
    """Return the event of a function. Raises InvalidInput when it is no JSON object."""
    if not isinstance(event, dict):
        raise InvalidInput(f"the event is {shown(event)}; pass a JSON object")
    return event


def read_execution(event: Mapping[str, Any]) -> str:
    """Return the execution in an event. Raises InvalidInput."""
    text(event.get("execution"), "execution")
    return str(event["execution"])


def shown(value: Any) -> str:
    """Return a value as an error message shows it."""
    try:
        whole = repr(value)
    except RecursionError:  # only its shape fits in a message
        return f"a deeply nested {type(value).__name__}"
    return whole if len(whole) <= _LONGEST_SHOWN else f"{whole[:_LONGEST_SHOWN]}…"


def is_text(value: Any) -> bool:
    """Whether a value is a text that UTF-8 can encode."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can contain
        return False
    return True


def text(value: Any, path: str) -> None:
    """A text that is not blank."""
    if not is_text(value) or not value.strip():
        raise InvalidInput(f"{path} is {shown(value)}; pass a text")


def any_text(value: Any, path: str) -> None:
    """A text, which may be empty."""
    if not is_text(value):
        raise InvalidInput(f"{path} is {shown(value)}; pass a text")


def matching(pattern: str) -> Shape:
    """A text that matches a regular expression as a whole; its classes contain ASCII characters only."""
    compiled = re.compile(pattern, re.ASCII)

    def check(value: Any, path: str) -> None:
        any_text(value, path)
        if not compiled.fullmatch(value):
            raise InvalidInput(f"{path} is {shown(value)}; pass a text that matches {pattern}")

    return check


def address(value: Any, path: str) -> None:
    """An `s3://` address."""
    text(value, path)
    if not value.startswith("s3://") or not value.removeprefix("s3://").partition("/")[0]:
        raise InvalidInput(f"{path} is {shown(value)}; pass an s3:// address")


def time(value: Any, path: str) -> None:
    """A time in ISO 8601 with an offset, from the years that every conversion to UTC can represent."""
    try:
        at = datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{path} is {shown(value)}; pass a time in ISO 8601") from error
    if at.tzinfo is None:
        raise InvalidInput(f"{path} is {shown(value)}, without a time zone; add an offset such as +00:00")
    if not _EARLIEST_YEAR <= at.year <= _LATEST_YEAR:
        raise InvalidInput(f"{path} is {shown(value)}; pass a time from {_EARLIEST_YEAR} to {_LATEST_YEAR}")


def flag(value: Any, path: str) -> None:
    """True or false."""
    if not isinstance(value, bool):
        raise InvalidInput(f"{path} is {shown(value)}; pass true or false")


def number(low: float = -LARGEST_NUMBER, high: float = LARGEST_NUMBER) -> Shape:
    """A finite number from `low` to `high`."""

    def check(value: Any, path: str) -> None:
        # `true` is an int to Python, and its JSON parser accepts NaN.
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not (low <= value <= high and math.isfinite(value))
        ):
            raise InvalidInput(f"{path} is {shown(value)}; pass a number from {low:g} to {high:g}")

    return check


def count(value: Any, path: str) -> None:
    """A whole number from 0 on."""
    number(0)(value, path)
    if not isinstance(value, int):
        raise InvalidInput(f"{path} is {shown(value)}; pass a whole number")


fraction = number(0, 1)


def one_of(*known: str) -> Shape:
    """One of these texts."""

    def check(value: Any, path: str) -> None:
        if value not in known:
            raise InvalidInput(f"{path} is {shown(value)}; pass {' or '.join(known)}")

    return check


def optional(shape: Shape) -> Shape:
    """None, or a value of this shape."""

    def check(value: Any, path: str) -> None:
        if value is not None:
            shape(value, path)

    return check


def object_with(
    required: Mapping[str, Shape], others: Mapping[str, Shape] | None = None, *, closed: bool = False
) -> Shape:
    """An object with these fields; those in `others` may be missing.

    Any further field is not checked; there may be none when `closed`.
    """
    known = {**required, **(others or {})}

    def check(value: Any, path: str) -> None:
        if not isinstance(value, dict):
            raise InvalidInput(f"{path} is {shown(value)}; pass an object")
        if missing := [name for name in required if name not in value]:
            raise InvalidInput(f"{path} lacks {', '.join(missing)}")
        if closed and (unknown := [name for name in value if name not in known]):
            raise InvalidInput(f"{path} has {shown(unknown[0])}; leave it out")
        for name, shape in known.items():
            if name in value:
                shape(value[name], f"{path}.{name}")

    return check


def values(shape: Shape) -> Shape:
    """An object whose names are texts and whose values all have this shape."""

    def check(value: Any, path: str) -> None:
        object_with({})(value, path)
        for name, inner in value.items():
            any_text(name, f"a name in {path}")
            shape(inner, f"{path}.{name}")

    return check


def all_of(*shapes: Shape) -> Shape:
    """A value that has every one of these shapes."""

    def check(value: Any, path: str) -> None:
        for shape in shapes:
            shape(value, path)

    return check


def list_of(shape: Shape) -> Shape:
    """A list whose items all have this shape."""

    def check(value: Any, path: str) -> None:
        if not isinstance(value, list):
            raise InvalidInput(f"{path} is {shown(value)}; pass a list")
        for position, inner in enumerate(value):
            shape(inner, f"{path}[{position}]")

    return check


def anything(value: Any, path: str, depth: int = 0) -> None:
    """A JSON value that DynamoDB and the next state can store: finite numbers, texts of UTF-8, few levels."""
    if depth > DEEPEST:
        raise InvalidInput(f"{path} has more than {DEEPEST} levels")
    if isinstance(value, dict):
        for name, inner in value.items():
            any_text(name, f"a name in {path}")
            anything(inner, path, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            anything(inner, path, depth + 1)
    elif isinstance(value, str):
        any_text(value, path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        number()(value, path)
