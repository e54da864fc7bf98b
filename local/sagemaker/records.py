"""The records of SageMaker's resources: by kind, account, region and name."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from ministack.core.responses import get_account_id, get_region

from local.sagemaker.errors import validation_error

T = TypeVar("T")


class Records(Generic[T]):
    """Records of one kind by name, in the account and region of the calling thread."""

    def __init__(self) -> None:
        self._records: dict[tuple[str, str, str], T] = {}
        self._lock = threading.Lock()

    def add(self, name: str, record: T, taken: Callable[[], Exception]) -> None:
        """Add a record; raises the exception that `taken` returns when the name is in use."""
        with self._lock:
            if self._key(name) in self._records:
                raise taken()
            self._records[self._key(name)] = record

    def get(self, name: str) -> T | None:
        """Return the record with this name, or None."""
        return self._records.get(self._key(name))

    def require(self, name: str, missing: Exception) -> T:
        """Return the record with this name; raises `missing` when there is none."""
        record = self.get(name)
        if record is None:
            raise missing
        return record

    def remove(self, name: str) -> None:
        """Remove the record with this name, if there is one."""
        with self._lock:
            self._records.pop(self._key(name), None)

    def all_items(self) -> dict[tuple[str, str, str], T]:
        """Return a copy of the records of all accounts and regions, by account, region and name."""
        return dict(self._records)

    def restore(self, records: dict[tuple[str, str, str], T]) -> None:
        """Add records of any account and region."""
        self._records.update(records)

    def __iter__(self) -> Iterator[T]:
        scope = (get_account_id(), get_region())
        return iter([record for key, record in list(self._records.items()) if key[:2] == scope])

    @staticmethod
    def _key(name: str) -> tuple[str, str, str]:
        return get_account_id(), get_region(), name


def page(
    request: dict[str, Any], items: list[dict[str, Any]], name_key: str, status_key: str | None = None
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Return one page of a List operation, filtered and sorted by the parameters that all List operations have.

    Returns the items, and {"NextToken": ...} or {}. Raises ValidationException for a bad token.
    """
    contains = request.get("NameContains", "").lower()
    status = request.get("StatusEquals")
    after = _seconds(request.get("CreationTimeAfter"), 0.0)
    before = _seconds(request.get("CreationTimeBefore"), time.time() + 1e9)
    chosen = [
        item
        for item in items
        if contains in item[name_key].lower()
        and (status is None or status_key is None or item[status_key] == status)
        and after <= item["CreationTime"] <= before
    ]
    by_name = request.get("SortBy") == "Name"
    chosen.sort(key=lambda item: item[name_key] if by_name else item["CreationTime"])
    if request.get("SortOrder", "Descending") == "Descending":
        chosen.reverse()
    token = request.get("NextToken", "0")
    if not token.isdigit():
        raise validation_error("Invalid NextToken.")
    start, size = int(token), int(request.get("MaxResults", 100))
    more = {"NextToken": str(start + size)} if start + size < len(chosen) else {}
    return chosen[start : start + size], more


def _seconds(value: Any, default: float) -> float:
    return float(value) if isinstance(value, int | float) else default
