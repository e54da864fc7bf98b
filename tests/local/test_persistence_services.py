"""The state is read without a copy of it; a ministack that copies it in another way is refused."""

from __future__ import annotations

import copy
import gc
import threading
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace

import pytest

from local.patches import PatchFailed
from local.persistence import services


@pytest.fixture
def unpatched() -> Iterator[None]:
    """Undo the patches of `services.install`."""
    names = ("_externalize_code_zip", "_prune_orphan_code_blobs")
    functions = {name: getattr(services.lambda_svc, name) for name in names}
    yield
    for module in services.MODULES:
        module.copy = copy  # type: ignore[attr-defined]
    for name, function in functions.items():
        setattr(services.lambda_svc, name, function)


@pytest.mark.usefixtures("unpatched")
def test_only_the_thread_that_reads_the_state_gets_no_copy() -> None:
    services.install()
    record = {"messages": ["a"]}
    copies = []

    def get_state() -> dict[str, object]:
        other = threading.Thread(target=lambda: copies.append(services.sqs.copy.deepcopy(record)))
        other.start()
        other.join()
        return {"queues": services.sqs.copy.deepcopy(record)}

    state = services._state_of(get_state)
    assert state is not None
    assert state["queues"] is record
    assert copies == [record]
    assert copies[0] is not record
    assert services.sqs.copy.deepcopy(record) is not record


def test_a_state_that_changes_while_it_is_read_is_read_again() -> None:
    failures = [RuntimeError("dictionary changed size during iteration")] * 3

    def get_state() -> dict[str, object]:
        if failures:
            raise failures.pop()
        return {"topics": {}}

    assert services._state_of(get_state) == {"topics": {}}


@pytest.mark.usefixtures("unpatched")
@pytest.mark.parametrize("value", [SimpleNamespace(), ModuleType("copy"), None])
def test_a_module_that_does_not_use_the_copy_module_is_refused(monkeypatch: pytest.MonkeyPatch, value: object) -> None:
    monkeypatch.setattr(services.dynamodb, "copy", value)
    with pytest.raises(PatchFailed, match=r"dynamodb\.copy is"):
        services.install()


def test_objects_that_are_added_while_they_are_listed_do_not_stop_a_save(monkeypatch: pytest.MonkeyPatch) -> None:
    """A collection of garbage runs at any allocation, and other threads meanwhile."""
    objects: dict[str, object] = {f"{number}.jpg": {"etag": number} for number in range(1000)}
    buckets = {("123456789012", "uploads"): {"objects": objects}}
    monkeypatch.setattr(services.s3, "_buckets", SimpleNamespace(_data=buckets))
    monkeypatch.setattr(services.app, "_build_persistence_save_dict", dict)
    added: list[str] = []

    def add(phase: str, info: dict[str, int]) -> None:
        added.append(f"{len(added)}.png")
        objects[added[-1]] = {"etag": "new"}

    threshold = gc.get_threshold()
    gc.callbacks.append(add)
    gc.set_threshold(5)
    try:
        entries = [entry for entry in services.read_entries() if entry.store == services.OBJECTS]
    finally:
        gc.set_threshold(*threshold)
        gc.callbacks.remove(add)
    assert added
    assert len(entries) >= 1000
