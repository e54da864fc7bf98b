"""What stands between the console and every other page in the same browser.

The console listens on loopback and acts with its user's AWS credentials, so any site the user visits could try to
reach it. Host is checked against DNS rebinding, Origin and a token against requests forged by other pages, and the
content policy lets nothing run or load that the console does not serve itself.
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
    """A token that only pages of this process know."""
    return secrets.token_urlsafe(32)


class Guard:
    """ASGI middleware that refuses what does not come from the console's own pages."""

    def __init__(self, app: ASGIApp, *, hosts: Iterable[str], token: str) -> None:
        """`hosts` are the values of Host that the console answers to, such as `127.0.0.1:8080`."""
        self._app = app
        self._hosts = frozenset(hosts)
        self._origins = frozenset(f"http://{host}" for host in self._hosts)
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
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
            return "The console answers only to its own address."
        # Browsers that send it tell every page's kinship; `none` is the address bar.
        if headers.get("sec-fetch-site", "none") not in {"same-origin", "none"} and not _navigates(method, headers):
            return "The console answers only its own pages."
        if method in _SAFE_METHODS:
            return None
        if headers.get("origin") not in self._origins:
            return "The request does not come from the console's own pages."
        if not hmac.compare_digest(headers.get(TOKEN_HEADER, "").encode(), self._token.encode()):
            return "The page is older than the console: reload it."
        return None


def _navigates(method: str, headers: Headers) -> bool:
    """A link on another page that leads here; it reads nothing of the answer."""
    return method == "GET" and headers.get("sec-fetch-mode") == "navigate"
