"""Refuse requests from web pages and requests without a valid signature.

A web page can reach a port of the loopback interface: a form or a `text/plain` POST needs no preflight, and with DNS
rebinding (a name that resolves to 127.0.0.1) the page has the same origin. AWS clients send the expected Host
and neither Origin nor Sec-Fetch-Site.
"""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from xml.sax.saxutils import escape

from local import signatures
from local.settings import HOST, Settings
from local.signatures import Refused, Request

logger = logging.getLogger("local.security")
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class ClientDisconnected(Exception):
    """The client closed the connection before the end of its request."""


def protected(application: Application, settings: Settings) -> Application:
    """Wrap `application`: respond with 403 unless an AWS client sent and signed the request; remove CORS headers."""
    hosts = {f"{name}:{settings.port}".encode() for name in (HOST, "localhost")}

    async def protect(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await application(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            await _http(application, hosts, scope, receive, send)

    return protect


async def _http(application: Application, hosts: set[bytes], scope: Scope, receive: Receive, send: Send) -> None:
    body = _Body(receive)
    try:
        _refuse_browsers(scope, hosts)
        await signatures.verify(Request.from_scope(scope), body.read)
    except ClientDisconnected:
        return
    except Refused as refused:
        logger.warning("Refused %s %r: %s", scope["method"], scope["path"], refused.message)
        await send_error(scope, refused.code, refused.message, 403, send)
        return
    await application(scope, body.receive, _without_cors(send))


def _refuse_browsers(scope: Scope, hosts: set[bytes]) -> None:
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    values = {name.lower(): value for name, value in headers}
    if [value for name, value in headers if name.lower() == b"host"] != [values.get(b"host")]:
        raise Refused("AccessDenied", "The request must have exactly one Host header.")
    if values[b"host"].lower() not in hosts:
        names = " or ".join(sorted(host.decode() for host in hosts))
        raise Refused("AccessDenied", f"The Host header must be {names}.")
    # Browsers send "none" for an address that the user entered, for example a presigned URL.
    if b"origin" in values or values.get(b"sec-fetch-site", b"none") != b"none" or scope["method"] == "OPTIONS":
        raise Refused("AccessDenied", "The embedded AWS refuses requests from web pages.")


class _Body:
    """A request's body: read once to verify the signature, then passed on to the application."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._parts: deque[bytes] = deque()

    async def read(self) -> list[bytes]:
        more = True
        while more:
            message = await self._receive()
            if message["type"] != "http.request":
                raise ClientDisconnected
            self._parts.append(message.get("body", b""))
            more = message.get("more_body", False)
        return list(self._parts)

    async def receive(self) -> Message:
        """The next message for the application: the parts that were read, then those of the connection."""
        if not self._parts:
            return await self._receive()
        return {"type": "http.request", "body": self._parts.popleft(), "more_body": bool(self._parts)}


def _without_cors(send: Send) -> Send:
    async def send_without_cors(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [pair for pair in message["headers"] if not pair[0].lower().startswith(b"access-control-")]
            message = {**message, "headers": headers}
        await send(message)

    return send_without_cors


async def send_error(scope: Scope, code: str, message: str, status: int, send: Send) -> None:
    """Send an error in the format of the caller's protocol: XML for S3 and the Query protocol, otherwise JSON."""
    headers = dict(scope["headers"])
    kind, body = "application/json", json.dumps({"__type": code, "message": message})
    authorization = headers.get(b"authorization", b"")
    if b"/s3/aws4_request" in authorization or not authorization:
        kind, body = "application/xml", _xml(code, message)
    elif headers.get(b"content-type", b"").startswith(b"application/x-www-form-urlencoded"):
        kind, body = "text/xml", f"<ErrorResponse>{_xml(code, message)}</ErrorResponse>"
    content = body.encode()
    fields = [
        (b"content-type", kind.encode()),
        (b"content-length", str(len(content)).encode()),
        (b"x-amzn-errortype", code.encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else content})


def _xml(code: str, message: str) -> str:
    return f"<Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error>"
