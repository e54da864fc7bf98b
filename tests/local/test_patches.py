"""A patch for a function with other parameters fails when it is applied."""

from __future__ import annotations

from types import ModuleType

import pytest

from local import patches


@pytest.fixture
def module() -> ModuleType:
    module = ModuleType("example")
    module.call = lambda name, event: (name, event)  # type: ignore[attr-defined]
    module.table = {}  # type: ignore[attr-defined]
    return module


def test_the_original_is_returned(module: ModuleType) -> None:
    original = patches.replace(module, "call", "name event", lambda name, event: "new")
    assert original("a", 1) == ("a", 1)
    assert module.call("a", 1) == "new"
    assert patches.attribute(module, "table", dict) is module.table


def test_a_changed_or_missing_function_is_refused(module: ModuleType) -> None:
    with pytest.raises(patches.PatchFailed, match=r"example.call\(name event\) was expected to take \(name\)"):
        patches.replace(module, "call", "name", lambda name: None)
    with pytest.raises(patches.PatchFailed, match="does not exist"):
        patches.replace(module, "gone", "", lambda: None)
    with pytest.raises(patches.PatchFailed, match="is dict, expected list"):
        patches.attribute(module, "table", list)
