"""Show the progress of a deployment on one line of a terminal."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from deploy.stack import Progress

_COLUMNS = 72


@contextmanager
def one_line(what: str, *, details: bool) -> Iterator[Progress]:
    """Yield a function that shows the current step; at the end, one line with the duration remains.

    With `details` every step is printed and remains. After an error, the steps until then are printed to stderr.
    """
    if details:
        yield print
        return
    console, steps, started = Console(highlight=False), [f"{what} …"], time.monotonic()
    with console.status(steps[0]) as status:

        def show(step: str) -> None:
            steps.append(step)
            # Not markup: a step can contain names of resources.
            status.update(step.replace("[", r"\[")[:_COLUMNS])

        try:
            yield show
        except BaseException:
            status.stop()
            print("\n".join(steps), file=sys.stderr)
            raise
    console.print(f"{steps[-1]} ({time.monotonic() - started:.0f} s)", markup=False, soft_wrap=True)
