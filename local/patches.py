"""How this package takes hold of ministack's private attributes: by name, once, and loudly when they have changed."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any, cast


class PatchFailed(RuntimeError):
    """ministack no longer has what a seam relies on; the pinned version in requirements.txt was changed."""


def replace(module: ModuleType, name: str, parameters: str, new: Callable[..., Any]) -> Callable[..., Any]:
    """Put `new` in the place of `module.name` and return the original.

    `parameters` are the original's parameter names, separated by spaces. Raises PatchFailed when they differ, because a
    call with other arguments would fail far from here.
    """
    original = expect(module, name, parameters)
    setattr(module, name, new)
    return original


def expect(module: ModuleType, name: str, parameters: str) -> Callable[..., Any]:
    """The function `module.name`, which has to take `parameters`; raises PatchFailed otherwise."""
    original: Any = getattr(module, name, None)
    if not callable(original):
        raise PatchFailed(f"{module.__name__}.{name} is gone")
    actual = " ".join(inspect.signature(original).parameters)
    if actual != parameters:
        raise PatchFailed(f"{module.__name__}.{name}({actual}) was expected to take ({parameters})")
    return cast(Callable[..., Any], original)


def attribute(module: ModuleType, name: str, kind: type) -> Any:
    """`module.name`, which has to be a `kind`; raises PatchFailed otherwise."""
    value = getattr(module, name, None)
    if not isinstance(value, kind):
        raise PatchFailed(f"{module.__name__}.{name} is {type(value).__name__}, expected {kind.__name__}")
    return value
