"""A process in place of a SageMaker container.

It runs a program of an image (local.images), which has to take two things from its environment that are fixed in a
container: `ML_ROOT`, the folder in place of /opt/ml, and `BIND_HOST`, the only address on which it may listen. The
output is sent to CloudWatch Logs while the process runs. The process ends with the server.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from ministack.core.responses import get_account_id, get_region

from local.images.registry import Image
from local.sagemaker.aws import LogStream, root_access_key, start_thread
from local.settings import CLIENT_VARIABLES, HOST, Settings

SUPERVISOR = Path(__file__).resolve().parent.parent / "supervisor.py"
KEPT_LINES = 200


def containers_folder(work: Path) -> Path:
    """Return the parent of the home folders of all containers."""
    return work / "sagemaker"


class Container:
    """One started process. `tail` holds its last lines of output."""

    _running: ClassVar[set[Container]] = set()
    _lock = threading.Lock()

    def __init__(
        self,
        command: list[str],
        environment: dict[str, str],
        cwd: Path,
        log: LogStream,
        on_line: Callable[[str], None] | None = None,
    ) -> None:
        self.tail: deque[str] = deque(maxlen=KEPT_LINES)
        self._log = log
        self._on_line = on_line
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(SUPERVISOR), *command],
            cwd=cwd,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._drained = threading.Event()
        with self._lock:
            self._running.add(self)
        start_thread("container output", self._read_output)

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Wait until the process has ended and its output is logged; returns the exit code, None after `timeout_s`."""
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None
        self._drained.wait(5)
        self._log.flush()
        self.kill()
        with self._lock:
            self._running.discard(self)
        return code

    def alive(self) -> bool:
        """Return whether the process has not ended."""
        return self._process.poll() is None

    def terminate(self) -> None:
        """Send SIGTERM to the process group."""
        if self.alive():
            self._process.terminate()

    def kill(self) -> None:
        """Send SIGKILL to the process group, by closing the pipe to the supervisor."""
        if self._process.stdin is not None:
            self._process.stdin.close()

    def stop(self, grace_s: float) -> int:
        """Send SIGTERM, and SIGKILL after `grace_s` seconds; returns the exit code."""
        self.terminate()
        code = self.wait(grace_s)
        if code is None:
            self.kill()
            code = self.wait(10)
        return -9 if code is None else code

    def _read_output(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for raw in output:
                line = raw.decode(errors="replace").rstrip("\r\n")
                self.tail.append(line)
                self._log.write(line)
                if self._on_line is not None:
                    self._on_line(line)
        self._drained.set()

    @classmethod
    def kill_all(cls) -> None:
        """Kill all containers, when the server stops. Their last lines are not logged: no event loop runs any more."""
        with cls._lock:
            running = list(cls._running)
            cls._running.clear()
        for container in running:
            container.kill()
        deadline = time.monotonic() + 2
        for container in running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                container._process.wait(max(0.0, deadline - time.monotonic()))


def environment(
    settings: Settings, home: Path, image: Image, given: dict[str, str], *, isolated: bool
) -> dict[str, str]:
    """Return the environment of a process of `image`: AWS's variables, those of the image, then `given`.

    A container with network isolation gets no credentials ("Run Training and Inference Containers in Internet-Free
    Mode", Amazon SageMaker AI Developer Guide), and here no address of this server either.
    """
    temporary = home / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    region, key = get_region(), root_access_key(get_account_id())
    access = {
        "AWS_ACCESS_KEY_ID": key.access_key_id,
        "AWS_SECRET_ACCESS_KEY": key.secret_access_key,
        "AWS_ENDPOINT_URL": settings.url,
        **CLIENT_VARIABLES,
    }
    variables = image.variables()
    return {
        "LANG": "C.UTF-8",
        "PYTHONIOENCODING": "UTF-8",
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        **({} if isolated else access),
        **variables,
        **given,
        # What RUN instructions have installed is in this Python.
        "PATH": f"{Path(sys.executable).parent}:{variables['PATH']}",
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "ML_ROOT": str(home / "opt" / "ml"),
        "BIND_HOST": HOST,
        **{name: os.environ[name] for name in ("OMP_NUM_THREADS", "LD_LIBRARY_PATH") if name in os.environ},
    }
