"""The memory and the CPU time of the embedded AWS and of its Lambda workers."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psutil

from local import running

SAMPLE_INTERVAL_S = 1.0
_WORKER_SCRIPT = "lambdas/worker.py"


@dataclass(frozen=True)
class Usage:
    """Unique set sizes in bytes and CPU times in seconds: of the server with its endpoints, and of Lambda workers."""

    server: int
    workers: int
    server_cpu_s: float = 0.0
    workers_cpu_s: float = 0.0

    def megabytes(self) -> dict[str, int]:
        """Return the memory in MB of each part, and the total."""
        parts = {"server": self.server, "workers": self.workers, "total": self.server + self.workers}
        return {name: round(value / 1e6) for name, value in parts.items()}


@dataclass
class Samples:
    """The usage before, after and at the peak of the memory of a block; None for a real account."""

    before: Usage | None = None
    after: Usage | None = None
    peak: Usage | None = None

    def figures(self, photos: int) -> dict[str, Any] | None:
        """Return MB before, after and at the peak, the slopes per 1,000 photos, and CPU milliseconds per photo.

        The CPU time of workers is None when it fell, because workers ended during the block.
        """
        if self.before is None or self.after is None or self.peak is None:
            return None
        workers_cpu_s = self.after.workers_cpu_s - self.before.workers_cpu_s
        return {
            "before_mb": self.before.megabytes(),
            "after_mb": self.after.megabytes(),
            "peak_mb": self.peak.megabytes(),
            "server_mb_per_1000_photos": round((self.after.server - self.before.server) / 1e3 / photos, 1),
            "workers_mb_per_1000_photos": round((self.after.workers - self.before.workers) / 1e3 / photos, 1),
            "server_cpu_ms_per_photo": round((self.after.server_cpu_s - self.before.server_cpu_s) * 1e3 / photos, 1),
            "workers_cpu_ms_per_photo": round(workers_cpu_s * 1e3 / photos, 1) if workers_cpu_s >= 0 else None,
        }


def read(pid: int) -> Usage:
    """Return the usage of a process, the embedded AWS, and of all its descendants."""
    root = psutil.Process(pid)
    memory = {"server": 0, "workers": 0}
    cpu_s = {"server": 0.0, "workers": 0.0}
    for process in [root, *root.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            part = "workers" if any(_WORKER_SCRIPT in argument for argument in process.cmdline()) else "server"
            memory[part] += process.memory_full_info().uss
            times = process.cpu_times()
            cpu_s[part] += times.user + times.system
    return Usage(memory["server"], memory["workers"], cpu_s["server"], cpu_s["workers"])


@contextmanager
def sampled(is_local: bool) -> Iterator[Samples]:
    """Sample the usage of the embedded AWS of this checkout during the block; the samples are complete at its end."""
    samples = Samples()
    server = running() if is_local else None
    if server is None:
        yield samples
        return
    pid, done = server.pid, threading.Event()
    collected = [read(pid)]

    def sample() -> None:
        while not done.wait(SAMPLE_INTERVAL_S):
            with suppress(psutil.NoSuchProcess):
                collected.append(read(pid))

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        done.set()
        thread.join()
        collected.append(read(pid))
        samples.before, samples.after = collected[0], collected[-1]
        samples.peak = max(collected, key=lambda usage: usage.server + usage.workers)
