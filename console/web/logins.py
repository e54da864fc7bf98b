"""Sign in: a start address that works once, and the sessions of the browsers that opened one.

The console has the AWS credentials of its user, and every account of the computer can reach its port. Only who sees the
terminal of the console knows the start address (as in "Security in the Jupyter Server", Jupyter Server documentation).
"""

import hmac
import secrets
import threading
from collections.abc import Callable, Mapping
from hashlib import sha256

START_PATH = "/start"

SIGN_IN = "This browser is not signed in. Open the newest start address, which is in the terminal of the console."
"""The text for programs and scripts; browsers see the page `sign-in`."""


class Logins:
    """The start token and the sessions of one console, in memory only. Its methods can be called from any thread."""

    def __init__(self, address: str, announce: Callable[[str], None]) -> None:
        """`address` is that of the console, such as `http://127.0.0.1:8080`; `announce` shows a line to its user."""
        self._address = address
        self._announce = announce
        # Cookies belong to a host, not to a port: two consoles on one host need two names.
        port = address.rpartition(":")[2]
        self.session_cookie = f"scones-session-{port}"
        self.name_cookie = f"scones-name-{port}"
        self._lock = threading.Lock()
        self._token = _random()
        self._sessions: set[bytes] = set()  # hashes: a lookup compares no secret

    @property
    def start_address(self) -> str:
        """The address that signs a browser in, once."""
        return f"{self._address}{START_PATH}?token={self._token}"

    def start_session(self, token: str) -> str | None:
        """Return a new session, and announce the next start address; None when `token` is not the current one."""
        with self._lock:
            if not hmac.compare_digest(token.encode(errors="replace"), self._token.encode()):
                return None
            self._token = _random()
            session = _random()
            self._sessions.add(_hash(session))
        self._announce(f"A browser was signed in. For another one, open: {self.start_address}")
        return session

    def has_session(self, cookies: Mapping[str, str]) -> bool:
        """Whether the cookies of a request contain a session."""
        return _hash(cookies.get(self.session_cookie, "")) in self._sessions


def _random() -> str:
    """Return 256 random bits."""
    return secrets.token_urlsafe(32)


def _hash(session: str) -> bytes:
    return sha256(session.encode(errors="replace")).digest()
