"""Large byte strings and ended records, a file per content: written once, however often the state is saved."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.persistence.errors import StateRefused, damaged

# Below this a byte string is part of the snapshot: a file of its own would need more space and time.
MIN_BYTES = 4096


def write_durably(path: Path, content: bytes) -> None:
    """Write a file so that after a crash it has its old content, or none, or the new one. Raises OSError."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def sync_folder(folder: Path) -> None:
    """Make renamed files in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@dataclass(frozen=True)
class Stored:
    """A stored value, with its version if it is a record. A reference, so that its identity is not used again."""

    value: Any
    version: Any
    digest: str


class Blobs:
    """Byte strings and pickled records in a folder, in files named by their SHA-256."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[int, Stored] = {}
        self._used: dict[int, Stored] = {}
        self._loaded: dict[str, bytes] = {}

    def put(self, content: bytes) -> str:
        """Store a byte string; returns its SHA-256. Raises OSError."""
        return self._put(content, None, lambda: content)

    def put_record(self, record: Any, version: Any, pickled: Callable[[], bytes]) -> str:
        """Store a pickled record; `pickled` is called only for a new record or version. Raises OSError."""
        return self._put(record, version, pickled)

    def _put(self, value: Any, version: Any, content: Callable[[], bytes]) -> str:
        known = self._known.get(id(value))
        if known is None or known.version != version:
            known = Stored(value, version, self._write(content()))
            self._known[id(value)] = known
        self._used[id(value)] = known
        return known.digest

    def _write(self, content: bytes) -> str:
        digest = hashlib.sha256(content).hexdigest()
        path = self._folder / digest
        if not path.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            write_durably(path, content)
        return digest

    def get(self, digest: str) -> bytes:
        """Return a byte string, the same object for each call. Raises StateRefused when it is missing or damaged."""
        if digest not in self._loaded:
            content = self._read(digest)
            self._loaded[digest] = content
            self._known[id(content)] = Stored(content, None, digest)
        return self._loaded[digest]

    def get_record(self, digest: str, version: Any, unpickle: Callable[[bytes], Any]) -> Any:
        """Return a record. Raises StateRefused when it is missing or damaged."""
        record = unpickle(self._read(digest))
        self._known[id(record)] = Stored(record, version, digest)
        return record

    def _read(self, digest: str) -> bytes:
        path = self._folder / digest
        try:
            content = path.read_bytes()
        except OSError as error:
            raise StateRefused(damaged(path, error.strerror or "not readable")) from error
        if hashlib.sha256(content).hexdigest() != digest:
            raise StateRefused(damaged(path, "its content has another checksum"))
        return content

    def sync(self) -> None:
        """Make the new files durable."""
        if self._folder.exists():
            sync_folder(self._folder)

    def remove_unused(self) -> None:
        """Remove the files of values that were not stored since the last call."""
        self._known, self._used = self._used, {}
        self._loaded = {}
        names = {stored.digest for stored in self._known.values()}
        with contextlib.suppress(FileNotFoundError):
            for path in self._folder.iterdir():
                if path.name not in names:
                    path.unlink(missing_ok=True)
