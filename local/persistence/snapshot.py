"""The snapshot file: a header line in JSON, pickled entries, and the SHA-256 of all of it.

Pickle keeps what JSON loses: bytes, tuples, sets, and dictionaries whose keys are not strings. A file is complete or
absent: it is written under another name and renamed. Only classes of CLASSES are restored.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import pickle
from collections.abc import Collection, Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any, NamedTuple

from local.persistence.blobs import MIN_BYTES, Blobs, sync_folder
from local.persistence.errors import FORGET, StateRefused, damaged

logger = logging.getLogger("local.persistence")
# Raise it when the entries change: a state of another format is refused, not converted.
FORMAT = 1
CLASSES = {
    "builtins": {"set", "frozenset", "bytearray", "complex", "list", "dict", "int", "str"},
    "collections": {"OrderedDict", "defaultdict", "deque", "Counter"},
    "datetime": {"date", "datetime", "time", "timedelta", "timezone"},
    "decimal": {"Decimal"},
    "uuid": {"UUID", "SafeUUID"},
    "ministack.core.responses": {"AccountScopedDict", "AccountRegionScopedDict"},
}
DIGEST_BYTES = hashlib.sha256().digest_size
READ_BYTES = 1 << 20
# A record that changes while it is pickled is pickled again.
ATTEMPTS = 20


class Entry(NamedTuple):
    """One record: its service, its store there, the class of a scoped store or "", its key, and its value."""

    service: str
    store: str
    kind: str
    key: Any
    value: Any


class Ended(NamedTuple):
    """A record that does not change any more while it has this version: stored as a blob."""

    record: Any
    version: Any


class NotSaved(RuntimeError):
    """A record was changed by other threads again and again while it was pickled."""


class _Pickler(pickle.Pickler):
    """Stores large byte strings and ended records as blobs."""

    def __init__(self, file: IO[bytes], blobs: Blobs) -> None:
        super().__init__(file, protocol=5)
        self._blobs = blobs

    def persistent_id(self, value: Any) -> tuple[str, Any] | None:
        if type(value) is bytes and len(value) >= MIN_BYTES:
            return self._blobs.put(value), None
        if type(value) is Ended:
            digest = self._blobs.put_record(*value, lambda: pickle.dumps(value.record, protocol=5))
            return digest, value.version
        return None


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: IO[bytes], blobs: Blobs) -> None:
        super().__init__(file)
        self._blobs = blobs

    def persistent_load(self, reference: tuple[str, Any]) -> Any:
        digest, version = reference
        if version is None:
            return self._blobs.get(digest)
        return self._blobs.get_record(
            digest, version, lambda content: _Unpickler(io.BytesIO(content), self._blobs).load()
        )

    def find_class(self, module: str, name: str) -> Any:
        if name not in CLASSES.get(module, ()):
            raise pickle.UnpicklingError(f"{module}.{name} is not restored")
        return super().find_class(module, name)


def header(port: int) -> dict[str, Any]:
    """Return what must be equal in a snapshot and in the server that restores it."""
    return {"format": FORMAT, "ministack": version("ministack"), "port": port}


def write(path: Path, port: int, entries: Iterable[Entry], blobs: Blobs, blob_services: Collection[str]) -> None:
    """Write a snapshot in place of the previous one. Raises OSError or NotSaved; the previous one remains then."""
    temporary = path.with_name(path.name + ".tmp")
    digest = hashlib.sha256()
    with temporary.open("wb") as file:

        def append(content: bytes) -> None:
            digest.update(content)
            file.write(content)

        append(json.dumps(header(port)).encode() + b"\n")
        for entry in entries:
            try:
                with_blobs = entry.service in blob_services or type(entry.value) is Ended
                append(_pickled(entry, blobs if with_blobs else None))
            except (TypeError, AttributeError, pickle.PicklingError) as error:
                # Without this record the rest is still worth keeping.
                logger.error("Not saved: %s, %s, %r: %s", entry.service, entry.store, entry.key, error)
        append(pickle.dumps(None))
        file.write(digest.digest())
        file.flush()
        os.fsync(file.fileno())
    blobs.sync()
    temporary.replace(path)
    sync_folder(path.parent)


def _pickled(entry: Entry, blobs: Blobs | None) -> bytes:
    """Return a pickled entry. Raises NotSaved, and TypeError, AttributeError or PicklingError for other objects.

    Without blobs `pickle.dumps` runs no Python code, so that no other thread changes the record meanwhile.
    """
    for _attempt in range(ATTEMPTS):
        try:
            if blobs is None:
                return pickle.dumps(tuple(entry), protocol=5)
            buffer = io.BytesIO()
            _Pickler(buffer, blobs).dump(tuple(entry))
            return buffer.getvalue()
        except RuntimeError as error:
            changed = error
    raise NotSaved(f"{entry.service}, {entry.store}, {entry.key!r}: {changed}")


def read(path: Path, port: int, blobs: Blobs) -> Iterator[Entry]:
    """Yield the entries of a snapshot. Raises StateRefused, before the first entry when the file is damaged."""
    with path.open("rb") as file:
        _check_header(path, file.readline(), header(port))
        _check_digest(path, file)
        file.seek(0)
        file.readline()
        while True:
            try:
                values = _Unpickler(file, blobs).load()
            except StateRefused:
                raise
            except Exception as error:
                raise StateRefused(damaged(path, str(error))) from error
            if values is None:
                return
            yield Entry(*values)


def _check_header(path: Path, line: bytes, expected: dict[str, Any]) -> None:
    try:
        found = json.loads(line)
        differing = [name for name in expected if found[name] != expected[name]]
    except (ValueError, KeyError, TypeError) as error:
        raise StateRefused(damaged(path, "its header is not readable")) from error
    if differing == ["port"]:
        raise StateRefused(
            f"The saved state in {path.parent} belongs to port {found['port']}, which its queue URLs contain; "
            f"set LOCAL_AWS_PORT={found['port']}, or forget the state with: {FORGET}"
        )
    if differing:
        raise StateRefused(
            f"The saved state in {path.parent} is of {_version_text(found)}, and this is {_version_text(expected)}; "
            f"start it with the version that saved it, or forget the state with: {FORGET}"
        )


def _version_text(found: dict[str, Any]) -> str:
    return f"ministack {found['ministack']}, format {found['format']}"


def _check_digest(path: Path, file: IO[bytes]) -> None:
    """Compare the digest at the end of the file with its content."""
    file.seek(0)
    digest = hashlib.sha256()
    remaining = path.stat().st_size - DIGEST_BYTES
    while remaining > 0 and (part := file.read(min(READ_BYTES, remaining))):
        digest.update(part)
        remaining -= len(part)
    if digest.digest() != file.read():
        raise StateRefused(damaged(path, "its content has another checksum"))
