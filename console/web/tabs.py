"""Which browser tab sits at which seat, and when it has left."""

import re
import threading
import time

from console.desk import Desk, Seat

AWAY_S = 15.0
"""A tab that was not heard of for so long is closed, crashed or cut off: what it held goes back to the queue."""


class Tabs:
    """The seats of the browser tabs."""

    def __init__(self, desk: Desk, away_s: float = AWAY_S) -> None:
        self._desk = desk
        self._away_s = away_s
        self._seats: dict[str, tuple[Seat, float]] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._reaper = threading.Thread(target=self._reap, name="tabs", daemon=True)
        self._reaper.start()

    def seat(self, tab: str, reviewer: str) -> Seat:
        """The seat of a tab, a new one when it has none. Raises ValueError when `tab` is no identifier of ours."""
        if not re.fullmatch(r"[0-9a-f]{32}", tab):
            raise ValueError("a tab is named by 32 hexadecimal digits")
        with self._lock:
            found = self._seats.get(tab)
            seat = found[0] if found else self._desk.sit(reviewer)
            seat.reviewer = reviewer
            self._seats[tab] = (seat, time.monotonic())
            return seat

    def leave(self, tab: str) -> None:
        """The tab is closed or hidden for long."""
        with self._lock:
            found = self._seats.pop(tab, None)
        if found:
            self._desk.stand(found[0])

    def close(self) -> None:
        """End the watch over the tabs."""
        self._closed.set()
        self._reaper.join()

    def _reap(self) -> None:
        while not self._closed.wait(min(1.0, self._away_s / 3)):
            now = time.monotonic()
            with self._lock:
                away = [tab for tab, (_, seen) in self._seats.items() if now - seen > self._away_s]
            for tab in away:
                self.leave(tab)
