"""The processing jobs, `docker run image compare …` and `docker run image predict …`: one program of training each.

Their inputs are folders of processing/input, whose names are the INPUTS of the program. SageMaker uploads
processing/output, and shows output/message as the job's ExitMessage.
"""

import importlib

from container import ml_root
from container.failures import run_job
from container.privileges import drop_privileges


def main(program: str, arguments: list[str]) -> int:
    """Run `training.{program}` with its folders and `arguments`; return the exit status."""
    root = ml_root()
    processing = root / "processing"
    drop_privileges([processing, root / "output"])
    module = importlib.import_module(f"training.{program}")
    folders = [f"--{name}={processing / 'input' / name}" for name in module.INPUTS]
    command = [*folders, f"--out={processing / 'output'}", *arguments]
    return run_job(lambda: module.main(command), root / "output" / "message")
