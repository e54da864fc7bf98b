"""Start, find and stop the server process."""

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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from local import credentials, processes
from local.credentials import AccessKey
from local.persistence.folder import StateFolder
from local.settings import HOST, REPOSITORY, Settings

STATUS_PATH = "/_local/status"
# The exit status of a server that does not start with the saved state.
STATE_REFUSED = 3
# Saving the state takes some seconds when many photos are new.
STOP_GRACE_S, KILL_GRACE_S = 60.0, 10.0
_launched: list[subprocess.Popen[bytes]] = []
# A proxy cannot reach the loopback interface of this machine.
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class LocalAwsError(RuntimeError):
    """The embedded AWS could not be started or stopped; the message is one sentence for the user."""


@dataclass(frozen=True)
class ServerInfo:
    """A running embedded AWS: its process, address, region and folder.

    `starting`: an endpoint is not in service yet. `restored`: the number of restored resources by kind, or None.
    `unsaved_since`: the time (seconds since the epoch) after which changes were lost because the server was killed.
    """

    pid: int
    port: int
    region: str
    directory: Path
    starting: bool = field(default=False, compare=False)
    restored: dict[str, int] | None = field(default=None, compare=False)
    unsaved_since: float | None = field(default=None, compare=False)

    @property
    def url(self) -> str:
        """The endpoint URL."""
        return f"http://{HOST}:{self.port}"

    def access_key(self) -> AccessKey:
        """Read the access key of this start of the server."""
        return credentials.read(self.directory)


def running(settings: Settings | None = None) -> ServerInfo | None:
    """Return the embedded AWS of this folder (LOCAL_AWS_DIR) if it responds on its port (LOCAL_AWS_PORT), or None.

    Checks the process first, because another server may listen on the port.
    """
    settings = settings or Settings.from_environment()
    process = processes.find_server(settings)
    if process is None or not processes.listens(process, settings.port):
        return None
    try:
        answer = _status(settings)
        details = (answer["starting"], answer["restored"], answer["unsaved_since"])
        return ServerInfo(process.pid, settings.port, str(answer["region"]), settings.directory, *details)
    except (OSError, ValueError, KeyError, TypeError, urllib.error.URLError):
        return None


def _status(settings: Settings) -> dict[str, Any]:
    key = credentials.read(settings.directory)
    url = f"{settings.url}{STATUS_PATH}"
    request = AWSRequest("GET", url)
    SigV4Auth(Credentials(key.access_key_id, key.secret_access_key), "local", settings.region).add_auth(request)
    headers = dict(request.headers.items())
    with _direct.open(urllib.request.Request(url, headers=headers), timeout=5) as response:  # noqa: S310  # http
        answer: dict[str, Any] = json.load(response)
    return answer


def start(settings: Settings | None = None, *, timeout_s: float = 60.0) -> tuple[ServerInfo, bool]:
    """Start the server with the saved state, or an empty one, and wait until it responds and its endpoints do.

    Returns the server and whether it was started now (False: it was running already).
    Raises LocalAwsError when another process uses the port or the server does not respond within `timeout_s`,
    or the saved state is refused.
    """
    settings = settings or Settings.from_environment()
    with locked(_create_private_folder(settings.directory)):
        found = running(settings)
        if found is not None:
            return found, False
        _stop_own(settings)
        if _port_in_use(settings.port):
            raise LocalAwsError(
                f"Port {settings.port} is used by {processes.describe_listener(settings.port)}; "
                "stop it or set LOCAL_AWS_PORT to a free port."
            )
        _remove(settings.work)
        return _launch(settings, timeout_s), True


def stop(settings: Settings | None = None, *, forget: bool = False) -> bool:
    """Stop the server and every process it started and remove its temporary files; False if none was running.

    The server saves its state; with `forget` the saved state is removed.
    Raises LocalAwsError when none was running and another process uses the port; that process is not stopped.
    """
    settings = settings or Settings.from_environment()
    stopped = False
    if settings.directory.exists():
        with locked(_create_private_folder(settings.directory)):
            stopped = _stop_own(settings)
            _remove(settings.work)
            if forget:
                StateFolder(settings.state).forget()
                _remove(settings.users)
                _remove(settings.images)
            settings.pid_file.unlink(missing_ok=True)
            credentials.remove(settings.directory)
    if not stopped and _port_in_use(settings.port):
        raise LocalAwsError(
            f"The embedded AWS of {settings.directory} was not running; port {settings.port} is used by "
            f"{processes.describe_listener(settings.port)}, which was left alone."
        )
    return stopped


def _launch(settings: Settings, timeout_s: float) -> ServerInfo:
    environment = {
        **{name: value for name, value in os.environ.items() if not _is_excluded(name)},
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
    # Kept, because Popen warns when it is deleted while its process runs, and this process outlives the command.
    _launched.append(process)
    try:
        settings.pid_file.write_text(str(process.pid))
        deadline = time.monotonic() + timeout_s
        found = None
        while time.monotonic() < deadline and process.poll() is None:
            found = running(settings)
            if found is not None and found.pid == process.pid and not found.starting:
                return found
            time.sleep(0.05)
        if found is not None and process.poll() is None:
            return found  # An endpoint needs longer; its status is Creating.
        if process.poll() == STATE_REFUSED:
            raise LocalAwsError(_last_line(settings.log))
        raise LocalAwsError(
            f"The embedded AWS did not start on port {settings.port}; the last line of {settings.log} is: "
            f"{_last_line(settings.log)}"
        )
    except BaseException:
        _end_process(process.pid)
        process.wait()
        raise


def _is_excluded(name: str) -> bool:
    """Whether a variable would direct the server to a real account, another emulator or a proxy."""
    return name.startswith(("AWS_", "MINISTACK_")) or name.lower().endswith("_proxy")


def _stop_own(settings: Settings) -> bool:
    """End the server of this folder, even if it does not respond."""
    process = processes.find_server(settings)
    return process is not None and _end_process(process.pid)


def _create_private_folder(directory: Path) -> Path:
    """Create the folder for this user only; raises LocalAwsError when it belongs to another user."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if directory.stat().st_uid != os.getuid():
        raise LocalAwsError(f"The folder {directory} belongs to another user; set LOCAL_AWS_DIR to one of your own.")
    directory.chmod(0o700)
    return directory


def _end_process(pid: int) -> bool:
    """Send SIGTERM to the server, then SIGKILL to it and its children; returns whether the process existed."""
    try:
        process = psutil.Process(pid)
        tree = [process, *process.children(recursive=True)]
        process.send_signal(signal.SIGTERM)
    except psutil.Error:
        return False
    for remaining in _wait_for_end(tree, STOP_GRACE_S):
        with contextlib.suppress(psutil.Error):
            remaining.kill()
    _wait_for_end(tree, KILL_GRACE_S)
    psutil.wait_procs(tree, timeout=0)  # takes the exit status of child processes
    return True


def _wait_for_end(processes: list[psutil.Process], timeout_s: float) -> list[psutil.Process]:
    """Wait until the processes have ended; returns those that have not after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while (alive := [process for process in processes if _is_alive(process)]) and time.monotonic() < deadline:
        time.sleep(0.02)
    return alive


def _is_alive(process: psutil.Process) -> bool:
    """Whether the process or one of its threads runs.

    A process that has ended remains as a zombie until the one that started it takes its exit status. A process whose
    other threads are still ending is a zombie, too.
    """
    try:
        return bool(process.is_running() and (process.status() != psutil.STATUS_ZOMBIE or process.num_threads() > 1))
    except psutil.NoSuchProcess:
        return False


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
def locked(directory: Path) -> Iterator[None]:
    """Lock the folder, so that concurrent commands that change it wait for each other."""
    with (directory / "lifecycle.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
