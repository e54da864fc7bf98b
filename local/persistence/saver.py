"""When the state is saved: every `save_interval_s` while the server runs, and when it stops."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from local.persistence import services, snapshot
from local.persistence.blobs import Blobs
from local.persistence.folder import StateFolder
from local.persistence.services import Counts
from local.persistence.snapshot import Entry
from local.settings import Settings

# A thread that needs the interpreter waits for up to 5 ms for one that does not pause (sys.getswitchinterval), several
# times in a request. With 1,000 objects of 300 kB and 1,000 executions the slowest of 979 PutObject calls during
# five saves took 41 ms with pauses and 88 ms without them.
WORK_S, PAUSE_S = 0.002, 0.001
logger = logging.getLogger("local.persistence")


class Saver:
    """Restores the state of the server process, and saves it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._enabled = settings.save_interval_s > 0
        self._folder = StateFolder(settings.state)
        self._blobs = Blobs(self._folder.blobs)
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self.restored: Counts | None = None
        self.unsaved_since: float | None = None

    def describe(self) -> dict[str, Any]:
        """Return what was restored, and the time (seconds since the epoch) after which changes were lost, or None."""
        return {"restored": self.restored and asdict(self.restored), "unsaved_since": self.unsaved_since}

    def restore(self) -> None:
        """Restore the saved state, if there is one. Raises StateRefused."""
        if not self._enabled or not self._folder.exists():
            return
        self.unsaved_since = self._folder.unsaved_since()
        self.restored = services.restore(snapshot.read(self._folder.snapshot, self._settings.port, self._blobs))

    def start(self) -> None:
        """Save periodically from now on."""
        if not self._enabled:
            return
        self._folder.path.mkdir(parents=True, exist_ok=True)
        self._folder.mark_saved(time.time())
        threading.Thread(target=self._save_periodically, name="save state", daemon=True).start()

    def stop(self) -> None:
        """Save a last time. Raises OSError or NotSaved; the previous snapshot remains then."""
        self._stopping.set()
        if not self._enabled:
            return
        self._save(services.read_entries())
        self._folder.mark_complete()

    def _save_periodically(self) -> None:
        interval = pause = self._settings.save_interval_s
        while not self._stopping.wait(pause):
            began = time.monotonic()
            try:
                self._save(_with_pauses(services.read_entries()))
            except Exception:
                logger.exception("The state was not saved; the previous one is kept.")
            # From start to start, so that a change is saved after the interval and the duration of one save.
            pause = max(interval / 4, interval - (time.monotonic() - began))

    def _save(self, entries: Iterator[Entry]) -> None:
        with self._lock:
            began = time.time()
            path, port = self._folder.snapshot, self._settings.port
            snapshot.write(path, port, entries, self._blobs, services.BLOB_SERVICES)
            self._blobs.remove_unused()
            self._folder.mark_saved(began)
            logger.info("State saved in %.3f s", time.time() - began)


def _with_pauses(entries: Iterator[Entry]) -> Iterator[Entry]:
    """Let other threads run while the entries are saved."""
    resumed = time.monotonic()
    for entry in entries:
        yield entry
        if time.monotonic() - resumed > WORK_S:
            time.sleep(PAUSE_S)
            resumed = time.monotonic()
