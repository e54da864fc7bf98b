"""The training job, `docker run image train`.

SageMaker writes the hyperparameters to input/config/hyperparameters.json, all as strings, and each channel to a folder
of input/data. It uploads model/ as model.tar.gz and output/data/ as output.tar.gz, and shows output/failure as the
job's FailureReason.
"""

import json
from typing import Any

from container import ml_root
from container.failures import run_job
from container.privileges import drop_privileges
from training import train


def main(_arguments: list[str]) -> int:
    """Train; return the exit status. The job has no arguments but those in its files."""
    root = ml_root()
    drop_privileges([root / "input", root / "model", root / "output"])
    return run_job(lambda: train.main(job_arguments()), root / "output" / "failure")


def job_arguments() -> list[str]:
    """Return the command line of training.train: the hyperparameters, a folder for each channel, and the outputs."""
    root = ml_root()
    hyperparameters, channels = (_read_config(name) for name in ("hyperparameters", "inputdataconfig"))
    options = {
        **hyperparameters,
        **{channel: root / "input" / "data" / channel for channel in channels},
        "model-dir": root / "model",
        "features-out": root / "output" / "data",
    }
    return [f"--{name}={value}" for name, value in options.items()]


def _read_config(name: str) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((ml_root() / "input" / "config" / f"{name}.json").read_text(encoding="utf-8"))
    return config
