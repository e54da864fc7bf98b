"""`up`, `status` and `down`: one server per folder and port, no process or file left after `down`."""

from __future__ import annotations

import dataclasses
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

import local
from tests.local.aws import Aws
from tests.support.network import free_port
from tests.support.waiting import eventually


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[local.Settings]:
    settings = local.Settings(port=free_port(), authorization=False, directory=tmp_path / "aws")
    yield settings
    local.stop(settings)


def command(settings: local.Settings, verb: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "local", verb],
        env={**os.environ, **settings.as_environment()},
        capture_output=True,
        text=True,
        timeout=60,
    )


def alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_up_status_up_down(settings: local.Settings) -> None:
    assert command(settings, "status").returncode == 1
    up = command(settings, "up")
    assert up.returncode == 0
    assert settings.url in up.stdout
    assert "already running" in command(settings, "up").stdout
    assert command(settings, "status").returncode == 0
    assert command(settings, "down").returncode == 0
    assert local.running(settings) is None
    assert not settings.work.exists()
    assert command(settings, "down").returncode == 0


def test_a_start_warns_of_nothing(settings: local.Settings) -> None:
    local.start(settings)
    assert (settings.directory / "server.log").read_text() == ""


def test_a_server_whose_startup_fails_ends_with_the_reason(settings: local.Settings) -> None:
    program = """
from ministack import app
from local import server

async def fail(scope, receive, send):
    raise RuntimeError("no schedules today")

app.app = fail
server.main()
"""
    settings.directory.mkdir()
    failed = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **settings.as_environment()},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert failed.returncode == 1
    assert "RuntimeError: no schedules today" in failed.stderr


def test_a_proxy_is_not_used(settings: local.Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert command(settings, "up").returncode == 0
    assert command(settings, "status").returncode == 0
    monkeypatch.delenv("http_proxy")
    server = local.running(settings)
    assert server is not None
    assert not any(name.lower().endswith("_proxy") for name in psutil.Process(server.pid).environ())


def test_a_port_used_by_something_else_is_refused_in_one_sentence(settings: local.Settings) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", settings.port), http.server.BaseHTTPRequestHandler) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        up = command(settings, "up")
        other.shutdown()
    assert up.returncode == 1
    assert up.stderr.count("\n") == 1
    assert f"Port {settings.port} is used by process {os.getpid()} (" in up.stderr


class OtherServer(http.server.BaseHTTPRequestHandler):
    """A server of another program; its responses contain a process id and a folder."""

    answer = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.answer)))
        self.end_headers()
        self.wfile.write(self.answer)

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_down_does_not_end_a_process_that_another_server_names(settings: local.Settings) -> None:
    settings.directory.mkdir()
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as named:
        status = {"server": "embedded-aws", "pid": named.pid, "region": "eu-west-1"}
        OtherServer.answer = json.dumps({**status, "directory": str(settings.directory)}).encode()
        with http.server.ThreadingHTTPServer(("127.0.0.1", settings.port), OtherServer) as other:
            threading.Thread(target=other.serve_forever, daemon=True).start()
            down = command(settings, "down")
            assert local.running(settings) is None
            other.shutdown()
        assert named.poll() is None
        named.kill()
    assert down.returncode == 1
    assert f"port {settings.port} is used by process {os.getpid()} (" in down.stderr
    assert "was left alone" in down.stderr


def test_down_does_not_end_another_program_whose_id_is_in_the_pid_file(settings: local.Settings) -> None:
    settings.directory.mkdir()
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "-m", "local.server"]) as named:
        settings.pid_file.write_text(str(named.pid))
        down = command(settings, "down")
        assert named.poll() is None
        named.kill()
    assert down.returncode == 0
    assert "was not running" in down.stdout


def test_the_server_of_another_folder_is_left_alone(settings: local.Settings, tmp_path: Path) -> None:
    local.start(settings)
    other = dataclasses.replace(settings, directory=tmp_path / "other")
    for verb in ("up", "down"):
        ran = command(other, verb)
        assert ran.returncode == 1
        assert f"is used by the embedded AWS of {settings.directory}" in ran.stderr
    assert local.running(other) is None
    assert local.running(settings) is not None


def test_a_server_whose_pid_file_is_lost_is_found_by_its_port(settings: local.Settings) -> None:
    server, _started = local.start(settings)
    settings.pid_file.unlink()
    assert local.running(settings) == server
    assert local.stop(settings)
    assert not psutil.pid_exists(server.pid)


def test_the_server_listens_on_loopback_only(aws: Aws) -> None:
    process = psutil.Process(aws.server.pid)
    listening = [c.laddr for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN]
    assert listening == [("127.0.0.1", aws.server.port)]


@pytest.mark.parametrize("end", ["down", "SIGTERM", "SIGKILL"])
def test_processes_and_files_are_removed_with_the_server(settings: local.Settings, end: str) -> None:
    server, started = local.start(settings)
    assert started
    aws = Aws(server)
    aws.invoke(aws.create_function("def handler(e, c): pass"))
    processes = psutil.Process(server.pid).children(recursive=True)
    assert processes
    if end != "down":
        os.kill(server.pid, getattr(signal, end))
        eventually(lambda: not any(alive(process) for process in processes))
    local.stop(settings, forget=True)
    assert not any(alive(process) for process in processes)
    assert not settings.work.exists()
    again, started = local.start(settings)
    assert started
    assert Aws(again).client("lambda").list_functions()["Functions"] == []
