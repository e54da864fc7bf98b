"""Injected faults: AWS calls that are refused, delayed or whose response is lost, for tests of whole systems.

A test writes the faults as a JSON list to the file `Settings.faults`; they apply from the next request on, and end when
the file is removed. AWS has Fault Injection Service for this, which reaches only few API calls.

Only requests over HTTP are affected: those of Lambda functions and clients, not those that services of the embedded AWS
make to one another.
"""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from local.security import Application, Message, Receive, Scope, Send, send_error

_SERVICE = re.compile(rb"Credential=[^/]+/[^/]+/[^/]+/([^/]+)/aws4_request")


@dataclass(frozen=True)
class Fault:
    """What happens to the calls of an operation.

    `service` is the signing name, such as `dynamodb`; `operation` that of a JSON protocol, such as `UpdateItem`, or the
    HTTP method of any other, `*` for all. With a `code` the call is answered with that error and `status`; with a
    `body`, with that text. It happens after `delay_s` seconds, to every call number `every`; with `after`, the call
    takes effect and its response is lost.
    """

    service: str
    operation: str = "*"
    code: str = ""
    status: int = 500
    body: str | None = None
    delay_s: float = 0.0
    every: int = 1
    after: bool = False

    def matches(self, service: str, operation: str) -> bool:
        """Whether the fault applies to a call of an operation."""
        return self.service == service and self.operation in ("*", operation)


class Faults:
    """The faults of the file, read again when it changes."""

    def __init__(self, path: Path) -> None:
        """`path` is the file; it need not exist."""
        self._path = path
        self._read_at = 0
        self._faults: list[Fault] = []
        self._calls: dict[Fault, int] = {}

    def find(self, service: str, operation: str) -> Fault | None:
        """Return the fault of the current call, or None."""
        try:
            changed_at = self._path.stat().st_mtime_ns
        except FileNotFoundError:
            return None
        if changed_at != self._read_at:
            self._faults = [Fault(**fault) for fault in json.loads(self._path.read_text(encoding="utf-8"))]
            self._calls.clear()
            self._read_at = changed_at
        for fault in self._faults:
            if fault.matches(service, operation):
                self._calls[fault] = self._calls.get(fault, 0) + 1
                if self._calls[fault] % fault.every == 0:
                    return fault
        return None


def write(path: Path, *faults: Fault) -> None:
    """Let these faults apply from the next request on, instead of those before; none removes the file."""
    if not faults:
        path.unlink(missing_ok=True)
        return
    new = path.with_suffix(".new")
    content = [{field.name: getattr(fault, field.name) for field in fields(fault)} for fault in faults]
    new.write_text(json.dumps(content), encoding="utf-8")
    new.replace(path)


def with_faults(application: Application, path: Path) -> Application:
    """Wrap `application`: calls meet the faults of the file `path`."""
    faults = Faults(path)

    async def inject(scope: Scope, receive: Receive, send: Send) -> None:
        fault = faults.find(*_call(scope)) if scope["type"] == "http" else None
        if fault is None:
            await application(scope, receive, send)
            return
        await asyncio.sleep(fault.delay_s)
        if fault.after:
            await application(scope, receive, _discard)
        if fault.body is not None:
            await _send_body(fault, send)
        elif fault.code:
            await send_error(scope, fault.code, "an injected fault", fault.status, send)
        else:
            await application(scope, receive, send)

    return inject


def _call(scope: Scope) -> tuple[str, str]:
    """Return the signing name of the service and the operation of a request."""
    headers: dict[bytes, bytes] = {name.lower(): value for name, value in scope["headers"]}
    found = _SERVICE.search(headers.get(b"authorization", b""))
    target = headers.get(b"x-amz-target", b"").rpartition(b".")[2].decode("latin-1")
    return found[1].decode("latin-1") if found else "", target or str(scope["method"])


async def _discard(message: Message) -> None:
    """Take a response that never reaches its client."""


async def _send_body(fault: Fault, send: Send) -> None:
    content = (fault.body or "").encode()
    headers: Any = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": fault.status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
