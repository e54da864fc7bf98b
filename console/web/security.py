"""Protect the console from other sites in the same browser, and from other accounts of the computer.

The console listens on loopback and uses the AWS credentials of its user, so any site that the user visits could send
requests to it. The check of Host prevents DNS rebinding, the checks of Origin and token prevent cross-site request
forgery, and the Content-Security-Policy allows only the scripts, styles and images of the console. Other accounts can
send any header, so everything but the start address, the icon and the static files needs a session (`logins`).
"""

import hmac
import secrets
from collections.abc import Callable, Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from console.web.logins import START_PATH, Logins

TOKEN_HEADER = "x-csrf-token"  # noqa: S105  # a header's name

_SAFE_METHODS = {"GET", "HEAD"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    # Photos show drivers. Nothing of the console stays in the cache of a browser.
    "Cache-Control": "no-store",
}
_WITHOUT_SESSION = (START_PATH, "/favicon.ico")
_STATIC = "/static/"


def new_token() -> str:
    """Return a random token for the pages of this process."""
    return secrets.token_urlsafe(32)


class Guard:
    """ASGI middleware that adds security headers to every response.

    It answers 403 to requests from other sites, and 401 to requests without a session.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: Iterable[str],
        token: str,
        logins: Logins,
        not_signed_in: Callable[[str], Response],
    ) -> None:
        """`hosts` are the accepted values of the Host header, such as `127.0.0.1:8080`.

        `not_signed_in` returns the response to a request without a session for a path.
        """
        self._app = app
        self._hosts = frozenset(hosts)
        self._origins = frozenset(f"http://{host}" for host in self._hosts)
        self._token = token
        self._logins = logins
        self._not_signed_in = not_signed_in

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI event."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        method, headers = scope["method"], Headers(scope=scope)
        if refusal := self._foreign(method, headers):
            await PlainTextResponse(refusal, status_code=403)(scope, receive, send_guarded)
        elif not self._is_open(scope):
            await self._not_signed_in(scope["path"])(scope, receive, send_guarded)
        elif refusal := self._forged(method, headers):
            await PlainTextResponse(refusal, status_code=403)(scope, receive, send_guarded)
        else:
            await self._app(scope, receive, send_guarded)

    def _is_open(self, scope: Scope) -> bool:
        """Whether the request has a session or needs none."""
        path = scope["path"]
        if path in _WITHOUT_SESSION or path.startswith(_STATIC):
            return True
        return self._logins.has_session(HTTPConnection(scope).cookies)

    def _foreign(self, method: str, headers: Headers) -> str | None:
        """Why a request is not one of this browser's user to the console, or None."""
        if headers.get("host", "") not in self._hosts:
            return "The Host header is not an address of the console."
        # `none`: the user entered the address. For browsers without Sec-Fetch-Site the other checks apply.
        if headers.get("sec-fetch-site", "none") not in {"same-origin", "none"} and not _is_navigation(method, headers):
            return "Cross-site requests are refused."
        return None

    def _forged(self, method: str, headers: Headers) -> str | None:
        """Why a request that changes something is not sent by a page of the console, or None."""
        if method in _SAFE_METHODS:
            return None
        if headers.get("origin") not in self._origins:
            return "The request does not come from a page of the console."
        if not hmac.compare_digest(headers.get(TOKEN_HEADER, "").encode(), self._token.encode()):
            return "The console was restarted. Reload the page."
        return None


def _is_navigation(method: str, headers: Headers) -> bool:
    """Whether the user followed a link; the linking site cannot read the response."""
    return method == "GET" and headers.get("sec-fetch-mode") == "navigate"
