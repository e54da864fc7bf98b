"""The folder with the saved state: its files, their size, and the time up to which they are complete."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

SNAPSHOT = "snapshot"
BLOBS = "blobs"
# Exists while the server runs: its time is that of the last save, after which changes are not saved yet.
UNSAVED = "unsaved-since"


@dataclass(frozen=True)
class StateFolder:
    """The folder with the saved state."""

    path: Path

    @property
    def snapshot(self) -> Path:
        """The file with all records."""
        return self.path / SNAPSHOT

    @property
    def blobs(self) -> Path:
        """The folder with object bodies and code."""
        return self.path / BLOBS

    def exists(self) -> bool:
        """Whether a state is saved."""
        return self.snapshot.exists()

    def size_bytes(self) -> int:
        """Return the size of all files."""
        return sum(path.stat().st_size for path in self.path.rglob("*") if path.is_file())

    def mark_saved(self, when: float) -> None:
        """Record that changes after `when` (seconds since the epoch) are not saved."""
        marker = self.path / UNSAVED
        marker.touch()
        os.utime(marker, (when, when))

    def mark_complete(self) -> None:
        """Record that the server has stopped, and every change is saved."""
        (self.path / UNSAVED).unlink(missing_ok=True)

    def unsaved_since(self) -> float | None:
        """Return the time after which changes are missing, or None when the server was stopped cleanly."""
        try:
            return (self.path / UNSAVED).stat().st_mtime
        except FileNotFoundError:
            return None

    def forget(self) -> None:
        """Remove the saved state."""
        shutil.rmtree(self.path, ignore_errors=True)


def size_text(size: int) -> str:
    """Return a size in the largest fitting unit.

    >>> size_text(1_500_000), size_text(900)
    ('1.5 MB', '0.9 kB')
    """
    for unit, factor in (("GB", 1e9), ("MB", 1e6)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size / 1e3:.1f} kB"


def time_text(when: float) -> str:
    """Return a time in the local time zone; with the date unless it is today."""
    moment = datetime.fromtimestamp(when)
    same_day = moment.date() == datetime.fromtimestamp(time.time()).date()
    return f"{moment:%H:%M:%S}" if same_day else f"{moment:%Y-%m-%d %H:%M:%S}"
