"""The environment of a function, read and checked once, when the function starts."""

import os
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, TypeVar

from functions.shared.errors import InvalidSettings

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

S = TypeVar("S", bound="DataclassInstance")


def read(settings: type[S], environment: Mapping[str, str] = os.environ) -> S:
    """Fill a dataclass of strings from the environment variables of the same names in capitals.

    Raises InvalidSettings naming every variable that is missing or empty.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Settings:
    ...     decision_table: str
    >>> read(Settings, {"DECISION_TABLE": "decisions"}).decision_table
    'decisions'
    """
    values = {field.name: environment.get(field.name.upper(), "") for field in fields(settings)}
    if missing := sorted(name.upper() for name, value in values.items() if not value):
        raise InvalidSettings(f"environment variables not set: {', '.join(missing)}; set them on the function")
    return settings(**values)
