"""Runs a program of the image: as a process, or in a container of the image that CONTAINER_IMAGE names.

Both get a folder in place of /opt/ml. `docker` or `podman` runs the container, without a network except for its port.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from deploy.image import build_context
from tests.support.network import free_port

IMAGE = os.environ.get("CONTAINER_IMAGE")
LIMIT_S = 120


class Runner:
    """Runs programs with `root` in place of /opt/ml; `work` is a folder for the files of the image."""

    def __init__(self, root: Path, work: Path) -> None:
        self.root = root
        self._work = work

    def run(self, *arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a program to its end; its output is standard output and error together."""
        command, variables, cwd = self._command(arguments, environment or {}, ["--network=none"])
        return subprocess.run(
            command,
            env=variables,
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )

    @contextmanager
    def started(self, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
        """Start a program that serves; yields the process and its port, and ends it."""
        port = free_port()
        options = ["--publish", f"127.0.0.1:{port}:{port}"]
        command, variables, cwd = self._command(arguments, {"SAGEMAKER_BIND_TO_PORT": str(port)}, options)
        process = subprocess.Popen(command, env=variables, cwd=cwd)
        try:
            yield process, port
        finally:
            process.terminate()
            process.wait(LIMIT_S)

    def _command(
        self, arguments: tuple[str, ...], environment: Mapping[str, str], options: list[str]
    ) -> tuple[list[str], dict[str, str], Path]:
        if IMAGE:
            engine = shutil.which("docker") or shutil.which("podman") or "docker"
            given = [word for name, value in environment.items() for word in ("--env", f"{name}={value}")]
            mount = ["--volume", f"{self.root}:/opt/ml"]
            # The engine forwards SIGTERM to the container.
            return [engine, "run", "--rm", *options, *mount, *given, IMAGE, *arguments], dict(os.environ), self._work
        # The files of the build context alone: a module that is missing there is missing in the image.
        program = self._work / "program"
        if not program.exists():
            for name, content in build_context().items():
                (program / name).parent.mkdir(parents=True, exist_ok=True)
                (program / name).write_bytes(content)
        variables = {
            "PATH": os.environ["PATH"],
            "HOME": str(self._work),
            "PYTHONPATH": str(program),
            "PYTHONUNBUFFERED": "1",
            "OMP_NUM_THREADS": "1",
            "ML_ROOT": str(self.root),
            "BIND_HOST": "127.0.0.1",
            **environment,
        }
        return [sys.executable, "-m", "container", *arguments], variables, program
