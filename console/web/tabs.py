"""The sessions of browser tabs, which are closed with the tab, or when it stops sending requests."""

import re
import threading
import time

from console.desk import Desk
from console.identity import Reviewer
from console.session import Session

TAB_TIMEOUT_S = 15.0
"""Seconds without a request after which a tab counts as closed; its leases are given back to the queue."""


class Tabs:
    """The session of each browser tab."""

    def __init__(self, desk: Desk, timeout_s: float = TAB_TIMEOUT_S) -> None:
        """Start a thread that closes sessions after `timeout_s` without a request."""
        self._desk = desk
        self._timeout_s = timeout_s
        # The session and the time of the last request. A closed one stays: requests that were sent before may follow.
        self._sessions: dict[str, tuple[Session, float]] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._close_timed_out, name="tabs", daemon=True)
        self._thread.start()

    def session(self, tab: str, reviewer: Reviewer) -> Session:
        """Return the session of a tab, a new one for a new tab, a closed one for a tab that was just closed.

        Raises ValueError when `tab` is not an identifier.
        """
        if not re.fullmatch(r"[0-9a-f]{32}", tab):
            raise ValueError("a tab is identified by 32 hexadecimal digits")
        with self._lock:
            found = self._sessions.get(tab)
            session = found[0] if found else self._desk.open_session(reviewer)
            session.reviewer = reviewer
            self._sessions[tab] = (session, time.monotonic())
            return session

    def close_session(self, tab: str, reviewer: Reviewer) -> None:
        """Close the session of a tab."""
        self._desk.close_session(self.session(tab, reviewer))

    def close(self) -> None:
        """Stop the thread."""
        self._closed.set()
        self._thread.join()

    def _close_timed_out(self) -> None:
        while not self._closed.wait(min(1.0, self._timeout_s / 3)):
            now = time.monotonic()
            with self._lock:
                timed_out = [tab for tab, (_, seen) in self._sessions.items() if now - seen > self._timeout_s]
                sessions = [self._sessions.pop(tab)[0] for tab in timed_out]
            for session in sessions:
                self._desk.close_session(session)
