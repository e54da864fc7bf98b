"""Find the server process of a folder, and the process that listens on a port."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psutil

from local.settings import HOST, Settings

COMMAND = ["-m", "local.server"]
SHOWN_CHARACTERS = 80


def find_server(settings: Settings) -> psutil.Process | None:
    """Return the server of this folder: the process in its pid file, or the one that listens on the port, or None.

    The process must belong to this user, run `local.server`, and have been started for this folder.
    """
    for pid in _candidate_pids(settings):
        if pid is not None and _folder_served_by(pid) == settings.directory:
            return psutil.Process(pid)
    return None


def listens(process: psutil.Process, port: int) -> bool:
    """Whether the process listens on the port of the loopback interface."""
    try:
        sockets = process.net_connections("tcp")
    except psutil.Error:
        return False
    return any(found.status == psutil.CONN_LISTEN and found.laddr == (HOST, port) for found in sockets)


def describe_listener(port: int) -> str:
    """Return a description of the process that listens on the port, for an error message."""
    pid = _find_listener(port)
    if pid is None:
        return "a process of another user"
    folder = _folder_served_by(pid)
    if folder is not None:
        return f"the embedded AWS of {folder}"
    try:
        command = " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        command = ""
    return f"process {pid} ({command[:SHOWN_CHARACTERS]})" if command else f"process {pid}"


def _candidate_pids(settings: Settings) -> Iterator[int | None]:
    yield _read_pid(settings.pid_file)
    yield _find_listener(settings.port)


def _read_pid(pid_file: Path) -> int | None:
    try:
        return int(pid_file.read_text())
    except (OSError, ValueError):
        return None


def _find_listener(port: int) -> int | None:
    """Return the process that listens on the port; None when this user has no access to it."""
    try:
        sockets = psutil.net_connections("tcp")
    except psutil.AccessDenied:
        # On macOS a user can list only the sockets of their own processes, one process at a time.
        return next((process.pid for process in psutil.process_iter() if listens(process, port)), None)
    found = [item for item in sockets if item.status == psutil.CONN_LISTEN and item.laddr.port == port]
    return next((item.pid for item in found if item.laddr.ip in (HOST, "0.0.0.0", "::")), None)  # noqa: S104


def _folder_served_by(pid: int) -> Path | None:
    """Return the folder of the embedded AWS that this user runs as process `pid`; None for another program."""
    try:
        process = psutil.Process(pid)
        if process.uids().real != os.getuid() or process.cmdline()[-2:] != COMMAND:
            return None
        folder = process.environ().get("LOCAL_AWS_DIR")
    except psutil.Error:
        return None
    return Path(folder) if folder else None
