"""A production variant of an endpoint: a model server process that is restarted when it ends."""

from __future__ import annotations

import contextlib
import http.client
import queue
import shutil
import socket
import threading
import time
import uuid
from typing import Any

from local.sagemaker.archive import ArchiveRefused, extract
from local.sagemaker.aws import DataError, LogStream, Storage, start_thread
from local.sagemaker.containers import Container, containers_folder, environment
from local.sagemaker.models import ServedContainer
from local.service_roles import ServiceRole
from local.settings import HOST, Settings

# AWS retries until the start-up health check times out. Three attempts here give the same result sooner.
START_ATTEMPTS = 3
START_TIMEOUT_S = 120.0
FIRST_RESTART_S, LONGEST_RESTART_S = 0.5, 30.0
INVOCATION_TIMEOUT_S = 60.0
DRAIN_S = 60.0


class NotHealthy(Exception):
    """The model server did not respond to /ping; the message is the FailureReason of AWS."""


class Unreachable(Exception):
    """No model server process is running."""


class NoResponse(Exception):
    """The model server ended or timed out during an invocation."""


class Variant:
    """A production variant.

    `start` returns when the model server responds to /ping. A server that ends later is restarted with exponential
    backoff.
    """

    def __init__(
        self,
        endpoint: str,
        variant: dict[str, Any],
        container: ServedContainer,
        settings: Settings,
        storage: Storage,
        role: ServiceRole,
    ) -> None:
        """`storage` and the log act with the role of the model, `role`."""
        self.name: str = variant["VariantName"]
        self.definition = variant
        self.image = container.uri
        self._container = container
        self._settings = settings
        self._storage = storage
        self._home = containers_folder(settings.work) / "endpoints" / f"{endpoint}-{self.name}-{uuid.uuid4().hex[:8]}"
        self._log = LogStream(f"/aws/sagemaker/Endpoints/{endpoint}", f"{self.name}/i-{uuid.uuid4().hex[:17]}", role)
        self._process: Container | None = None
        self._port: int | None = None
        self._stopping = threading.Event()
        self._connections: queue.LifoQueue[http.client.HTTPConnection] = queue.LifoQueue()
        self._busy = 0
        self._lock = threading.Lock()

    def start(self) -> None:
        """Start the model server; raises NotHealthy or DataError."""
        try:
            self._prepare()
            limit = self.definition.get("ContainerStartupHealthCheckTimeoutInSeconds", START_TIMEOUT_S)
            deadline = time.monotonic() + float(limit)
            for attempt in range(START_ATTEMPTS):
                if self._launch(deadline):
                    start_thread(f"variant {self.name}", self._keep_running)
                    return
                if self._stopping.wait(FIRST_RESTART_S * attempt) or time.monotonic() > deadline:
                    break
            raise NotHealthy(
                f"The primary container for production variant {self.name} did not pass the ping health check. "
                "Please check CloudWatch logs for this endpoint."
            )
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the model server after its current invocations."""
        deadline = time.monotonic() + DRAIN_S
        while self._busy and time.monotonic() < deadline:
            time.sleep(0.02)
        self._stopping.set()
        if self._process is not None:
            self._process.stop(2.0)
        shutil.rmtree(self._home, ignore_errors=True)

    def invoke(self, body: bytes, headers: dict[str, str]) -> tuple[int, bytes, str]:
        """Invoke the model; returns status, body and content type. Raises Unreachable or NoResponse."""
        with self._lock:
            self._busy += 1
        try:
            return self._post(body, headers)
        finally:
            with self._lock:
                self._busy -= 1

    def _post(self, body: bytes, headers: dict[str, str]) -> tuple[int, bytes, str]:
        port, process = self._port, self._process
        if port is None or process is None or not process.alive():
            raise Unreachable
        connection = self._connection(port)
        try:
            connection.request("POST", "/invocations", body, headers)
            response = connection.getresponse()
            content = response.read()
        except TimeoutError as error:
            connection.close()
            raise NoResponse(
                "Your invocation timed out while waiting for a response from container primary. Review the latency "
                "metrics for each container in Amazon CloudWatch, resolve the issue, and try again."
            ) from error
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise NoResponse("Connection to the container primary was lost.") from error
        self._connections.put(connection)
        return response.status, content, response.headers.get("Content-Type", "application/octet-stream")

    def _connection(self, port: int) -> http.client.HTTPConnection:
        with contextlib.suppress(queue.Empty):
            while True:
                connection = self._connections.get_nowait()
                if connection.port == port:
                    return connection
                connection.close()
        return http.client.HTTPConnection(HOST, port, timeout=INVOCATION_TIMEOUT_S)

    def _prepare(self) -> None:
        model = self._home / "opt" / "ml" / "model"
        model.mkdir(parents=True, exist_ok=True)
        if url := self._container.data_url:
            archive = self._home / "model.tar.gz"
            self._storage.download(url, archive)
            try:
                extract(archive, model)
            except ArchiveRefused as error:
                raise DataError(f"Failed to extract model data archive from {url}: {error}") from error
            archive.unlink()

    def _launch(self, deadline: float) -> bool:
        """Start the process and wait for /ping; returns False when it ended or did not respond in time."""
        port = _free_port()
        image = self._container.image
        given = {**self._container.environment, "SAGEMAKER_BIND_TO_PORT": str(port)}
        variables = environment(self._settings, self._home, image, given, isolated=self._container.isolated)
        self._process = process = Container([*image.entrypoint, "serve"], variables, image.cwd, self._log)
        while process.alive() and not self._stopping.is_set():
            if time.monotonic() > deadline:
                process.stop(0.5)
                return False
            if _ping(port):
                self._port = port
                return True
            time.sleep(0.02)
        process.wait(1)
        return False

    def _keep_running(self) -> None:
        pause = FIRST_RESTART_S
        while not self._stopping.is_set():
            healthy_since = time.monotonic()
            process = self._process
            while process is not None and process.wait(1.0) is None:
                pass
            self._port = None
            if time.monotonic() - healthy_since > LONGEST_RESTART_S:
                pause = FIRST_RESTART_S
            if self._stopping.is_set() or self._stopping.wait(pause):
                return
            pause = min(pause * 2, LONGEST_RESTART_S)
            self._log.write("Model server ended; restarting it")
            self._launch(time.monotonic() + START_TIMEOUT_S)


def _free_port() -> int:
    """Return a port on which nothing listens. When another process takes it first, the next attempt gets another."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _ping(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/ping")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
