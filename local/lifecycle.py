"""Starting, finding and stopping the server process."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from local.settings import HOST, REPOSITORY, Settings

STATUS_PATH = "/_local/status"
STOP_GRACE_S = 10.0
# A proxy of the caller's network knows nothing of this machine's loopback.
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class LocalAwsError(RuntimeError):
    """The embedded AWS could not be started or stopped; the message is one sentence for a person."""


@dataclass(frozen=True)
class ServerInfo:
    """A running embedded AWS: its process, address, region and folder."""

    pid: int
    port: int
    region: str
    directory: Path

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"


def running(port: int | None = None) -> ServerInfo | None:
    """The embedded AWS that answers on `port` (default: LOCAL_AWS_PORT), or None."""
    port = Settings.from_environment().port if port is None else port
    try:
        with _direct.open(f"http://{HOST}:{port}{STATUS_PATH}", timeout=5) as response:
            answer = json.load(response)
        if answer.get("server") != "embedded-aws":
            return None
        return ServerInfo(int(answer["pid"]), port, str(answer["region"]), Path(answer["directory"]))
    except (OSError, ValueError, KeyError, AttributeError, urllib.error.URLError):
        return None


def start(settings: Settings | None = None, *, timeout_s: float = 60.0) -> tuple[ServerInfo, bool]:
    """Start the server with a clean state and wait until it answers.

    Returns the server and whether it was started now (False: it was running already).
    Raises LocalAwsError when the port belongs to something else or the server does not come up in `timeout_s`.
    """
    settings = settings or Settings.from_environment()
    settings.directory.mkdir(parents=True, exist_ok=True)
    with _one_at_a_time(settings.directory):
        found = running(settings.port)
        if found is not None:
            if found.directory != settings.directory:
                raise LocalAwsError(
                    f"Port {settings.port} belongs to the embedded AWS of {found.directory}; "
                    "set LOCAL_AWS_PORT to a free port or stop that one first."
                )
            return found, False
        _stop_leftover(settings)
        if _port_in_use(settings.port):
            raise LocalAwsError(
                f"Port {settings.port} is used by something else; stop it or set LOCAL_AWS_PORT to a free port."
            )
        _remove(settings.work)
        return _launch(settings, timeout_s), True


def stop(settings: Settings | None = None) -> bool:
    """Stop the server and every process it started and remove its temporary files; False if none was running.

    Raises LocalAwsError when the port belongs to another folder's server.
    """
    settings = settings or Settings.from_environment()
    if not settings.directory.exists() and running(settings.port) is None:
        return False
    settings.directory.mkdir(parents=True, exist_ok=True)
    with _one_at_a_time(settings.directory):
        found = running(settings.port)
        if found is not None and found.directory != settings.directory:
            raise LocalAwsError(
                f"Port {settings.port} belongs to the embedded AWS of {found.directory}; stop it from there."
            )
        stopped = False
        if found is not None:
            stopped = _end(found.pid)
        stopped = _stop_leftover(settings) or stopped
        _remove(settings.work)
        settings.pid_file.unlink(missing_ok=True)
        return stopped


def _launch(settings: Settings, timeout_s: float) -> ServerInfo:
    environment = {
        **{name: value for name, value in os.environ.items() if not _is_callers_own(name)},
        **settings.as_environment(),
        "PYTHONPATH": str(REPOSITORY),
    }
    with settings.log.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "local.server"],
            cwd=REPOSITORY,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        settings.pid_file.write_text(str(process.pid))
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            found = running(settings.port)
            if found is not None and found.pid == process.pid:
                return found
            if process.poll() is not None:
                break
            time.sleep(0.05)
        raise LocalAwsError(
            f"The embedded AWS did not start on port {settings.port}; the last line of {settings.log} is: "
            f"{_last_line(settings.log)}"
        )
    except BaseException:
        _end(process.pid)
        process.wait()
        raise


def _is_callers_own(name: str) -> bool:
    """Variables that would point the server at somebody's real account, another emulator or a proxy."""
    return name.startswith(("AWS_", "MINISTACK_")) or name.lower().endswith("_proxy")


def _stop_leftover(settings: Settings) -> bool:
    """End a server of this folder that is alive but does not answer, found through its pid file."""
    try:
        pid = int(settings.pid_file.read_text())
        command = psutil.Process(pid).cmdline()
        folder = psutil.Process(pid).environ().get("LOCAL_AWS_DIR")
    except (OSError, ValueError, psutil.Error):
        return False
    if "local.server" not in command or folder != str(settings.directory):
        return False
    return _end(pid)


def _end(pid: int) -> bool:
    """Ask a server to stop, then insist; its children are ended with it."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        process.send_signal(signal.SIGTERM)
    except psutil.Error:
        return False
    _gone, alive = psutil.wait_procs(family, timeout=STOP_GRACE_S)
    for survivor in alive:
        with contextlib.suppress(psutil.Error):
            survivor.kill()
    psutil.wait_procs(alive, timeout=STOP_GRACE_S)
    return True


def _port_in_use(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
    return False


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "(empty)"


@contextlib.contextmanager
def _one_at_a_time(directory: Path) -> Iterator[None]:
    """Two `up` or `down` in the same folder wait for each other."""
    with (directory / "lifecycle.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
