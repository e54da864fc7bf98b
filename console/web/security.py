"""Protect the console from other sites in the same browser, and from whoever is not signed in.

The console acts with AWS credentials, so any site that a reviewer visits could send requests to it. The check of Host
prevents DNS rebinding, the checks of Origin and token prevent cross-site request forgery, and the
Content-Security-Policy allows only the scripts, styles and images of the console. Everything but the static files and
the routes for anybody needs the admission of `console.web.access`.
"""

import hmac
import secrets
from collections.abc import Set
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

if TYPE_CHECKING:
    from console.web.access import Access

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
STATIC_PATH = "/static/"
HEALTH_PATH = "/health"
"""Where a load balancer asks whether the console runs: without sign-in, the container's address as Host."""


def new_token() -> str:
    """Return a random token for the pages of this process."""
    return secrets.token_urlsafe(32)


class Guard:
    """ASGI middleware that adds security headers to every response.

    It answers 403 to requests from other sites, and what `access` says to people whom it does not admit. The services
    of who is admitted are in the state of the request.
    """

    def __init__(self, app: ASGIApp, *, access: "Access", open_paths: Set[str]) -> None:
        """`open_paths` need no admission, and neither do the static files."""
        self._app = app
        self._access = access
        self._open_paths = open_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI event."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in {**HEADERS, **self._access.headers}.items():
                    headers[name] = value
            await send(message)

        response = await self._refusal(scope)
        await (response or self._app)(scope, receive, send_guarded)

    async def _refusal(self, scope: Scope) -> Response | None:
        """Return the response to a request that is refused; None for one that the application answers."""
        from console.web.access import NotAdmitted

        method, path, headers = scope["method"], scope["path"], Headers(scope=scope)
        if method in _SAFE_METHODS and path == HEALTH_PATH and path in self._open_paths:
            return None
        if reason := self._foreign(method, headers):
            return PlainTextResponse(reason, status_code=403)
        if method in _SAFE_METHODS and (path in self._open_paths or path.startswith(STATIC_PATH)):
            return None
        try:
            services = await self._access.admit(HTTPConnection(scope))
        except NotAdmitted as refusal:
            return refusal.response
        if reason := self._forged(method, headers, services.csrf_token):
            return PlainTextResponse(reason, status_code=403)
        scope.setdefault("state", {})["services"] = services
        return None

    def _foreign(self, method: str, headers: Headers) -> str | None:
        """Why a request is not one of this browser's user to the console, or None."""
        if headers.get("host", "") not in self._access.hosts:
            return "The Host header is not an address of the console."
        # `none`: the user entered the address. For browsers without Sec-Fetch-Site the other checks apply.
        if headers.get("sec-fetch-site", "none") not in {"same-origin", "none"} and not _is_navigation(method, headers):
            return "Cross-site requests are refused."
        return None

    def _forged(self, method: str, headers: Headers, token: str) -> str | None:
        """Why a request that changes something is not sent by a page of the console, or None."""
        if method in _SAFE_METHODS:
            return None
        if headers.get("origin") not in self._access.origins:
            return "The request does not come from a page of the console."
        if not hmac.compare_digest(headers.get(TOKEN_HEADER, "").encode(), token.encode()):
            return "The console was restarted. Reload the page."
        return None


def _is_navigation(method: str, headers: Headers) -> bool:
    """Whether the user followed a link; the linking site cannot read the response."""
    return method == "GET" and headers.get("sec-fetch-mode") == "navigate"
