"""The processes of jobs and endpoints."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any, cast

from local.sagemaker.containers import Container


class BlockingLog:
    """A log whose flush() waits for a server that has stopped."""

    def __init__(self) -> None:
        self.written = threading.Event()
        self.server = threading.Event()

    def write(self, line: str) -> None:
        self.written.set()

    def flush(self) -> None:
        self.server.wait()


def test_all_containers_are_killed_without_waiting_for_their_logs(tmp_path: Path) -> None:
    log = BlockingLog()
    command = [sys.executable, "-c", "import time; print('started', flush=True); time.sleep(600)"]
    container = Container(command, {"PATH": "/usr/bin:/bin"}, tmp_path, cast(Any, log))
    assert log.written.wait(30)
    killing = threading.Thread(target=Container.kill_all, daemon=True)
    killing.start()
    killing.join(30)
    assert not killing.is_alive()
    assert not container.alive()
