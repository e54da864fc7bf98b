"""Run a job, and write the reason of its failure to the file that SageMaker reads."""

import traceback
from collections.abc import Callable
from pathlib import Path

LONGEST_REASON = 1024
"""SageMaker shows this many characters."""


def run_job(job: Callable[[], None], reason_file: Path) -> int:
    """Run `job` and return the exit status: 0, or 1 after an exception, whose text is written to `reason_file`."""
    try:
        job()
    except Exception as error:
        traceback.print_exc()
        reason = str(error) if isinstance(error, ValueError | OSError) else f"{type(error).__name__}: {error}"
        reason_file.parent.mkdir(parents=True, exist_ok=True)
        reason_file.write_text(reason[:LONGEST_REASON], encoding="utf-8")
        return 1
    return 0
