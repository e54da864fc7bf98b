"""Replace private functions of ministack; fail at start-up when they are not as expected."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any, cast


class PatchFailed(RuntimeError):
    """ministack does not have what a patch needs: it is not the version pinned in requirements.txt."""


def replace(module: ModuleType, name: str, parameters: str, new: Callable[..., Any]) -> Callable[..., Any]:
    """Replace `module.name` by `new`; returns the original.

    `parameters` are the original's parameter names, separated by spaces. Raises PatchFailed when they differ.
    """
    original = expect(module, name, parameters)
    setattr(module, name, new)
    return original


def expect(module: ModuleType, name: str, parameters: str) -> Callable[..., Any]:
    """Return the function `module.name`; raises PatchFailed unless it takes `parameters`."""
    original: Any = getattr(module, name, None)
    if not callable(original):
        raise PatchFailed(f"{module.__name__}.{name} does not exist")
    actual = " ".join(inspect.signature(original).parameters)
    if actual != parameters:
        raise PatchFailed(f"{module.__name__}.{name}({actual}) was expected to take ({parameters})")
    return cast(Callable[..., Any], original)


def attribute(module: ModuleType, name: str, kind: type) -> Any:
    """Return `module.name`; raises PatchFailed unless it is a `kind`."""
    value = getattr(module, name, None)
    if not isinstance(value, kind):
        raise PatchFailed(f"{module.__name__}.{name} is {type(value).__name__}, expected {kind.__name__}")
    return value
