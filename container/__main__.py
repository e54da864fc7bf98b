"""Run one program of the image."""

import importlib
import signal
import sys
from types import FrameType

PROCESSING = ("compare", "predict")
PROGRAMS = ("train", *PROCESSING, "serve")


def main(arguments: list[str]) -> int:
    """Run the program that the first argument names with the others; return its exit status."""
    if not arguments or arguments[0] not in PROGRAMS:
        print(f"usage: python -m container {{{','.join(PROGRAMS)}}}", file=sys.stderr)
        return 2
    # The first process of a container gets no signal that it does not handle.
    signal.signal(signal.SIGTERM, _stop)
    # The server is imported without the libraries of training, which would take memory.
    program, *rest = arguments
    if program in PROCESSING:
        status: int = importlib.import_module("container.processing").main(program, rest)
    else:
        status = importlib.import_module(f"container.{program}").main(rest)
    return status


def _stop(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
