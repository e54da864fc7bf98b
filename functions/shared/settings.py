"""Environment variables of a function, read and checked once, when the function starts."""

import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

from functions.shared.errors import InvalidSettings

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

S = TypeVar("S", bound="DataclassInstance")


def read_settings(settings: type[S], environment: Mapping[str, str] = os.environ) -> S:
    """Fill a dataclass from the environment variables of the same names in capitals, each read as its field's type.

    A field is a `str`, an `int`, a finite `float`, a `bool` (`yes` or `no`), or a dataclass of numbers: a JSON object
    of those that differ from its defaults. Raises InvalidSettings naming every variable that is missing or malformed.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Settings:
    ...     photo_table: str
    ...     bake_seconds: int
    >>> read_settings(Settings, {"PHOTO_TABLE": "photos", "BAKE_SECONDS": "300"})
    Settings(photo_table='photos', bake_seconds=300)
    """
    values: dict[str, Any] = {}
    mistakes = []
    for name, kind in get_type_hints(settings).items():
        variable = name.upper()
        text = environment.get(variable, "")
        if not text:
            mistakes.append(f"{variable} is not set")
            continue
        try:
            values[name] = read_object(kind, text) if is_dataclass(kind) else _PARSERS[kind](text)
        except ValueError as error:
            mistakes.append(f"{variable} is {text!r}: {error}")
    if mistakes:
        raise InvalidSettings(f"environment variables of the function: {'; '.join(sorted(mistakes))}")
    return settings(**values)


def _read_int(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise ValueError("pass a whole number") from error


def _read_float(text: str) -> float:
    try:
        value = float(text)
    except ValueError:  # refused below, with the text
        value = math.nan
    if not math.isfinite(value):
        raise ValueError("pass a number")
    return value


def _read_bool(text: str) -> bool:
    if text not in ("yes", "no"):
        raise ValueError("pass yes or no")
    return text == "yes"


_PARSERS: Mapping[type, Callable[[str], Any]] = {str: str, int: _read_int, float: _read_float, bool: _read_bool}


def read_object(kind: Any, text: str) -> Any:
    """Return a dataclass of numbers from a JSON object of those that differ from its defaults.

    Raises ValueError with what to pass instead.
    """
    try:
        given = json.loads(text)
    except ValueError as error:
        raise ValueError("pass a JSON object such as {}") from error
    if not isinstance(given, dict):
        raise ValueError("pass a JSON object such as {}")
    types = get_type_hints(kind)
    known = {field.name: types[field.name] for field in fields(kind)}
    if unknown := sorted(set(given) - set(known)):
        raise ValueError(f"it names {', '.join(unknown)}, but only {', '.join(sorted(known))} are known")
    # JSON writes whole numbers of either type without a point; `true` is an int to Python.
    accepted = {int: (int,), float: (int, float)}
    wrong = [
        name
        for name, value in given.items()
        if isinstance(value, bool) or not isinstance(value, accepted[known[name]]) or not math.isfinite(value)
    ]
    if wrong:
        raise ValueError(f"pass a number for {', '.join(sorted(wrong))}, a whole one for a count")
    return kind(**given)
