"""The comparison, a processing job: `docker run image compare --champion-version … --challenger-version …`.

Its inputs are folders of processing/input: challenger, champion, reference, base, snapshot, labelled. SageMaker uploads
processing/output, and shows output/message as the job's ExitMessage.
"""

from container import ml_root
from container.failures import run_job
from container.privileges import drop_privileges
from training import compare


def main(arguments: list[str]) -> int:
    """Compare the models with the versions in `arguments`; return the exit status."""
    root = ml_root()
    processing = root / "processing"
    drop_privileges([processing, root / "output"])
    folders = [f"--{name}={processing / 'input' / name}" for name in compare.INPUTS]
    command = [*folders, f"--out={processing / 'output'}", *arguments]
    return run_job(lambda: compare.main(command), root / "output" / "message")
