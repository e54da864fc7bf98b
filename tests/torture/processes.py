"""The memory of the processes of an embedded AWS, by their kind."""

import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

_INTERVAL_S = 0.1
_KINDS = {
    "training.isolation": "decoder of expensive photos",
    "container serve": "model server",
    "spawn_main": "model server",
    "local/lambdas/worker.py": "Lambda worker",
    "tests.torture.console": "console",
    "supervisor.py": "",
}


@contextmanager
def sampled(pid: int) -> Iterator[dict[str, float]]:
    """Yield the largest resident memory in MB by the kind of process, updated during the block.

    The processes are `pid`, the embedded AWS, those that it started, and those of this process. The embedded AWS keeps
    in memory what happened before the block too, so what it has at the start is subtracted.
    """
    largest: dict[str, float] = {}
    ended = threading.Event()
    server = psutil.Process(pid)
    at_start = server.memory_info().rss

    def sample() -> None:
        this = psutil.Process()
        while not ended.wait(_INTERVAL_S):
            with contextlib.suppress(psutil.Error):
                for process in {server, *server.children(recursive=True), *this.children(recursive=True)}:
                    with contextlib.suppress(psutil.Error):
                        used = process.memory_info().rss
                        if process.pid == pid:
                            kind, used = "embedded AWS, growth", used - at_start
                        else:
                            kind = _kind(process)
                        if kind:
                            largest[kind] = max(largest.get(kind, 0.0), used / 1e6)

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield largest
    finally:
        ended.set()
        thread.join()


def _kind(process: psutil.Process) -> str:
    # A supervisor has the command of its child as arguments.
    command = " ".join(process.cmdline()[:6])
    if "supervisor.py" in command:
        return ""
    return next((kind for part, kind in _KINDS.items() if part in command), "")
