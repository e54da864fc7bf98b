"""The predictions of a backtest, a processing job: `docker run image predict`.

Its inputs are folders of processing/input: model, photos. SageMaker uploads processing/output, and shows
output/message as the job's ExitMessage.
"""

from container import ml_root
from container.failures import run_job
from container.privileges import drop_privileges
from training import predict


def main(arguments: list[str]) -> int:
    """Predict; return the exit status."""
    root = ml_root()
    processing = root / "processing"
    drop_privileges([processing, root / "output"])
    folders = [f"--{name}={processing / 'input' / name}" for name in predict.INPUTS]
    command = [*folders, f"--out={processing / 'output'}", *arguments]
    return run_job(lambda: predict.main(command), root / "output" / "message")
