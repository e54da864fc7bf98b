"""The processing jobs, `docker run image compare …` and `docker run image predict …`: one program of training each.

Their inputs are folders of processing/input, whose names are the INPUTS of the program. SageMaker uploads
processing/output, and shows output/message as the job's ExitMessage.
"""

from container import ml_root
from container.failures import run_job
from container.privileges import drop_privileges
from training import compare, predict

PROGRAMS = {"compare": compare, "predict": predict}


def main(program: str, arguments: list[str]) -> int:
    """Run one of the PROGRAMS with its folders and `arguments`; return the exit status."""
    root = ml_root()
    processing = root / "processing"
    drop_privileges([processing, root / "output"])
    module = PROGRAMS[program]
    folders = [f"--{name}={processing / 'input' / name}" for name in module.INPUTS]
    command = [*folders, f"--out={processing / 'output'}", *arguments]
    return run_job(lambda: module.main(command), root / "output" / "message")
