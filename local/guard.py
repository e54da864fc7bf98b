"""Runs a command that must not outlive the server: `python guard.py COMMAND...`, standard library only.

The guard's standard input is a pipe that only the server holds. When it closes, because the server ended in whatever
way, the command's whole process group is killed. On Linux the kernel also kills the command when the guard dies.
SIGTERM to the guard is passed on to the command's group.
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


def die_with_parent() -> None:
    """Ask Linux to kill this process when the thread that started it ends; elsewhere do nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def main() -> int:
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=die_with_parent)

    def end_group(number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)

    def watch() -> None:
        while os.read(0, 4096):
            pass
        end_group(signal.SIGKILL)

    signal.signal(signal.SIGTERM, lambda *_: end_group(signal.SIGTERM))
    threading.Thread(target=watch, daemon=True).start()
    code = child.wait()
    end_group(signal.SIGKILL)
    return 128 - code if code < 0 else code


if __name__ == "__main__":
    # os._exit: the watching thread must not hold up the end of a command that is done.
    os._exit(main())
