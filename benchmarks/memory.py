"""The memory of the embedded AWS and of its Lambda workers."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any

import psutil

from local import running

SAMPLE_INTERVAL_S = 1.0
_WORKER_SCRIPT = "lambdas/worker.py"


@dataclass(frozen=True)
class Memory:
    """Unique set sizes in bytes: of the server with its endpoints, and of the Lambda workers."""

    server: int
    workers: int

    @property
    def total(self) -> int:
        """The sum in bytes."""
        return self.server + self.workers


@dataclass
class Samples:
    """The memory before, during and after a block; None for a real account."""

    before: Memory | None = None
    after: Memory | None = None
    peak: Memory | None = None

    def figures(self, photos: int) -> dict[str, Any] | None:
        """Return MB before, after and at the peak, and the slopes of the server's and the workers' per 1,000 photos."""
        if self.before is None or self.after is None or self.peak is None:
            return None
        return {
            "before_mb": _megabytes(self.before),
            "after_mb": _megabytes(self.after),
            "peak_mb": _megabytes(self.peak),
            "server_mb_per_1000_photos": round((self.after.server - self.before.server) / 1e3 / photos, 1),
            "workers_mb_per_1000_photos": round((self.after.workers - self.before.workers) / 1e3 / photos, 1),
        }


def read(pid: int) -> Memory:
    """Return the memory of a process, the embedded AWS, and of all its descendants."""
    root = psutil.Process(pid)
    server = workers = 0
    for process in [root, *root.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            size = process.memory_full_info().uss
            if any(_WORKER_SCRIPT in argument for argument in process.cmdline()):
                workers += size
            else:
                server += size
    return Memory(server, workers)


@contextmanager
def sampled(is_local: bool) -> Iterator[Samples]:
    """Sample the memory of the embedded AWS of this checkout during the block; the samples are complete at its end."""
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
        samples.peak = max(collected, key=lambda memory: memory.total)


def _megabytes(memory: Memory) -> dict[str, int]:
    return {name: round(value / 1e6) for name, value in {**asdict(memory), "total": memory.total}.items()}
