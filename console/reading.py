"""What a page shows of AWS when reading it takes longer than a person waits: the last reading, renewed meanwhile."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Generic, TypeVar

from functions.shared.times import now

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Taken(Generic[T]):
    """What was read, and the time at which the reading began."""

    value: T
    at: datetime


class Reading(Generic[T]):
    """The last result of a slow reading. Its methods can be called from any thread; close it at the end.

    Nothing is read before the first call. One reading runs at a time.
    """

    def __init__(
        self,
        name: str,
        read: Callable[[], T],
        *,
        fresh_s: float,
        usable_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`fresh_s`: how old a result may be without being renewed. `usable_s`: how old one may be to be shown.

        `name` is what is read, for the log. `clock` returns seconds.
        """
        self._name = name
        self._read = read
        self._fresh_s = fresh_s
        self._usable_s = usable_s
        self._clock = clock
        self._lock = threading.Lock()  # of the fields below
        self._reads = threading.Lock()  # held while one reads
        self._last: Taken[T] | None = None
        self._began = 0.0
        self._changes = 0
        self._thread: threading.Thread | None = None

    def get(self) -> Taken[T]:
        """Return the last result at once when it is usable, and renew it in the background when it is not fresh.

        Otherwise read now, as after a failure in the background. Raises what the reading raises.
        """
        asked = self._clock()
        with self._lock:
            if self._last is not None:
                age_s = asked - self._began
                if self._fresh_s < age_s <= self._usable_s:
                    self._renew_in_background()
                if age_s <= self._usable_s:
                    return self._last
        return self._renew(asked - self._fresh_s)

    def renew(self) -> Taken[T]:
        """Return a result whose reading began after this call. Raises what the reading raises."""
        return self._renew(self._clock())

    def change(self, change: Callable[[T], T]) -> None:
        """Apply what the caller has just changed in AWS to the last result. One that is being read is discarded."""
        with self._lock:
            self._changes += 1
            if self._last is not None:
                self._last = replace(self._last, value=change(self._last.value))

    def close(self) -> None:
        """Wait for the end of a reading in the background."""
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join()

    def _renew_in_background(self) -> None:
        """Start a reading unless one runs. The caller holds the lock."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._try_renew, name=f"read {self._name}", daemon=True)
            self._thread.start()

    def _try_renew(self) -> None:
        try:
            self.renew()
        except Exception as error:  # the next caller reads again, and gets the error
            log.warning("%s could not be read in the background: %s", self._name, type(error).__name__)
            with self._lock:
                self._last = None

    def _renew(self, since: float) -> Taken[T]:
        """Return a result whose reading began at `since` or later, on the clock."""
        with self._reads:
            with self._lock:
                if self._last is not None and self._began >= since:
                    return self._last  # somebody else read it meanwhile
                changes = self._changes
            began, at = self._clock(), now()
            taken = Taken(self._read(), at)
            with self._lock:
                if changes == self._changes:
                    self._last, self._began = taken, began
            return taken
