"""Protect the console from other sites in the same browser.

The console listens on loopback and uses the AWS credentials of its user, so any site that the user visits could send
requests to it. The check of Host prevents DNS rebinding, the checks of Origin and token prevent cross-site request
forgery, and the Content-Security-Policy allows only the scripts, styles and images of the console.
"""

import hmac
import secrets
from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

TOKEN_HEADER = "x-csrf-token"  # noqa: S105  # a header's name

_SAFE_METHODS = {"GET", "HEAD"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


def new_token() -> str:
    """Return a random token for the pages of this process."""
    return secrets.token_urlsafe(32)


class Guard:
    """ASGI middleware that answers 403 to requests from other sites and adds security headers to every response."""

    def __init__(self, app: ASGIApp, *, hosts: Iterable[str], token: str) -> None:
        """`hosts` are the accepted values of the Host header, such as `127.0.0.1:8080`."""
        self._app = app
        self._hosts = frozenset(hosts)
        self._origins = frozenset(f"http://{host}" for host in self._hosts)
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI event."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refusal = self._refusal(scope["method"], Headers(scope=scope))
        if refusal:
            await PlainTextResponse(refusal, status_code=403)(scope, receive, send_guarded)
            return
        await self._app(scope, receive, send_guarded)

    def _refusal(self, method: str, headers: Headers) -> str | None:
        if headers.get("host", "") not in self._hosts:
            return "The Host header is not an address of the console."
        # `none`: the user entered the address. For browsers without Sec-Fetch-Site the other checks apply.
        if headers.get("sec-fetch-site", "none") not in {"same-origin", "none"} and not _is_navigation(method, headers):
            return "Cross-site requests are refused."
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
