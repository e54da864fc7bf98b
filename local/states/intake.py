"""S3: hold uploads while as many executions run as this machine can.

Patch: ministack's `s3.handle_request` accepts uploads faster than the executions that they start can run. AWS runs each
execution and invocation on a machine of its own; here they share a few cores and one interpreter. Without a limit, a
thousand uploads at once are a thousand threads that wait for each other, and one more photo waits for all of them. So
the response to an upload that an event announces waits its turn, in the order of arrival. An execution that waits (for
a time, a callback or a job) does not count.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

from ministack.services import s3

from local import patches
from local.settings import Settings

EXECUTIONS_PER_SLOT = 3


class Intake:
    """Counts the executions that run; admits an upload when there are fewer than `limit`."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._running = 0
        self._held: collections.deque[asyncio.Future[None]] = collections.deque()
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Count an execution as running during the block."""
        self._add(1)
        try:
            yield
        finally:
            self._add(-1)

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Do not count a running execution during the block."""
        self._add(-1)
        try:
            yield
        finally:
            self._add(1)

    @contextlib.asynccontextmanager
    async def admitted(self) -> AsyncIterator[None]:
        """Wait until an upload may start another execution; the block is the upload."""
        held = None
        with self._lock:
            if self._held or self._running >= self.limit:
                held = asyncio.get_running_loop().create_future()
                self._held.append(held)
        try:
            if held is not None:
                await held
            yield
        finally:
            # An upload that has started no execution would leave the next one waiting.
            self._release()

    def _add(self, change: int) -> None:
        with self._lock:
            self._running += change
        if change < 0:
            self._release()

    def _release(self) -> None:
        with self._lock:
            if not self._held or self._running >= self.limit:
                return
            held = self._held.popleft()
        held.get_loop().call_soon_threadsafe(self._admit, held)

    def _admit(self, held: asyncio.Future[None]) -> None:
        # The client of a cancelled upload has closed its connection.
        if held.cancelled():
            self._release()
        else:
            held.set_result(None)


# `install` sets the limit of the server.
intake = Intake(limit=Settings.lambda_slots * EXECUTIONS_PER_SLOT)


def _is_announced(method: str, path: str) -> bool:
    bucket, _, key = path.lstrip("/").partition("/")
    return bool(method in ("PUT", "POST") and key) and (
        "EventBridgeConfiguration" in s3._bucket_notifications.get(bucket, "")
    )


def install(settings: Settings) -> None:
    """Apply the patch of this module."""
    intake.limit = settings.lambda_slots * EXECUTIONS_PER_SLOT

    async def handle_request(
        method: str, path: str, headers: Any, body: Any, query_params: Any, *more: Any, **named: Any
    ) -> Any:
        async with intake.admitted() if _is_announced(method, path) else contextlib.nullcontext():
            return await original(method, path, headers, body, query_params, *more, **named)

    original = patches.replace(
        s3,
        "handle_request",
        "method path headers body query_params signed_path enforce_bucket_region internal access_point_region "
        "access_point",
        handle_request,
    )
