"""Run a command that ends with the server: `python supervisor.py COMMAND...`, standard library only.

Standard input is a pipe from the server. When it is closed, because the server has ended, the supervisor kills the
command's process group. On Linux the kernel kills the command when the supervisor ends. SIGTERM is forwarded to the
command's process group.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading

PR_SET_PDEATHSIG = 1


def set_parent_death_signal() -> None:
    """On Linux, have the kernel kill this process when the thread that started it ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def main() -> int:
    """Run the command; returns its exit status, 128 plus the number for a signal."""
    child = subprocess.Popen(
        sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=set_parent_death_signal
    )

    def signal_group(number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)

    def watch() -> None:
        while os.read(0, 4096):
            pass
        signal_group(signal.SIGKILL)

    signal.signal(signal.SIGTERM, lambda *_: signal_group(signal.SIGTERM))
    threading.Thread(target=watch, daemon=True).start()
    code = child.wait()
    signal_group(signal.SIGKILL)
    return 128 - code if code < 0 else code


if __name__ == "__main__":
    # os._exit does not wait for the thread that reads standard input.
    os._exit(main())
