"""The part of SageMaker's training toolkit that runs before and after a script in script mode.

Source: the environment variables and command line of aws/sagemaker-training-toolkit (ENVIRONMENT_VARIABLES.md).
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

MAX_REASON = 1024


def decode_hyperparameters(hyperparameters: dict[str, str]) -> dict[str, Any]:
    """Return the values decoded from JSON, or unchanged when they are not JSON."""
    values: dict[str, Any] = {}
    for name, text in hyperparameters.items():
        try:
            values[name] = json.loads(text)
        except ValueError:
            values[name] = text
    return values


def arguments(values: dict[str, Any]) -> list[str]:
    """Return the command-line arguments: `--name value` per hyperparameter, `-n value` for one-letter names."""
    result = []
    for name in sorted(values):
        value = values[name]
        if isinstance(value, dict):
            value = ",".join(f"{key}={item}" for key, item in sorted(value.items()))
        result += [f"-{name}" if len(name) == 1 else f"--{name}", value if isinstance(value, str) else str(value)]
    return result


def variables(job: dict[str, Any], values: dict[str, Any], channels: Iterable[str], program: str) -> dict[str, str]:
    """Return the SM_* variables of a job with one instance.

    `job` is the CreateTrainingJob request, `values` the decoded hyperparameters of the user.
    """
    names = sorted(channels)
    instance = job["ResourceConfig"].get("InstanceType", "local")
    values_by_name: dict[str, Any] = {
        "SM_MODEL_DIR": "/opt/ml/model",
        "SM_INPUT_DIR": "/opt/ml/input",
        "SM_INPUT_CONFIG_DIR": "/opt/ml/input/config",
        "SM_OUTPUT_DIR": "/opt/ml/output",
        "SM_OUTPUT_DATA_DIR": "/opt/ml/output/data",
        "SM_OUTPUT_INTERMEDIATE_DIR": "/opt/ml/output/intermediate",
        "SM_MODULE_DIR": "/opt/ml/code",
        "SM_MODULE_NAME": Path(program).stem,
        "SM_USER_ENTRY_POINT": program,
        "SM_CHANNELS": names,
        **{f"SM_CHANNEL_{name.upper()}": f"/opt/ml/input/data/{name}" for name in names},
        "SM_HPS": values,
        **{f"SM_HP_{name.replace('-', '_').upper()}": value for name, value in values.items()},
        "SM_USER_ARGS": arguments(values),
        "SM_NUM_CPUS": os.cpu_count() or 1,
        "SM_NUM_GPUS": 0,
        "SM_NUM_NEURONS": 0,
        "SM_HOSTS": ["algo-1"],
        "SM_CURRENT_HOST": "algo-1",
        "SM_CURRENT_INSTANCE_TYPE": instance,
        "SM_CURRENT_INSTANCE_GROUP": "homogeneousCluster",
        "SM_NETWORK_INTERFACE_NAME": "lo",
        "SM_LOG_LEVEL": 20,
        "SM_RESOURCE_CONFIG": resource_config(instance),
        "SM_INPUT_DATA_CONFIG": input_data_config(job),
        "SM_FRAMEWORK_MODULE": "",
    }
    values_by_name["SM_TRAINING_ENV"] = {name[3:].lower(): value for name, value in values_by_name.items()}
    return {
        **{name: value if isinstance(value, str) else _json(value) for name, value in values_by_name.items()},
        "TRAINING_JOB_NAME": job["TrainingJobName"],
    }


def resource_config(instance: str) -> dict[str, Any]:
    """Return the content of resourceconfig.json."""
    return {
        "current_host": "algo-1",
        "current_instance_type": instance,
        "current_group_name": "homogeneousCluster",
        "hosts": ["algo-1"],
        "network_interface_name": "lo",
    }


def input_data_config(job: dict[str, Any]) -> dict[str, Any]:
    """Return the content of inputdataconfig.json."""
    return {
        channel["ChannelName"]: {
            "TrainingInputMode": channel.get("InputMode", "File"),
            "S3DistributionType": "FullyReplicated",
            "RecordWrapperType": "None",
            **({"ContentType": channel["ContentType"]} if "ContentType" in channel else {}),
        }
        for channel in job.get("InputDataConfig", ())
    }


def command(code: Path, program: str, args: list[str]) -> list[str]:
    """Return the command for an entry point: Python for .py, otherwise the shell."""
    if program.endswith(".py"):
        return [sys.executable, program, *args]
    return ["/bin/sh", "-c", f'./{program} "$@"', program, *args]


def unsatisfied_requirements(requirements: Path) -> list[str]:
    """Return the requirements that this environment does not satisfy, each with the reason.

    A container installs them with pip; here a job runs in the server's environment.
    """
    problems = []
    for raw in requirements.read_text().splitlines():
        line = re.sub(r"(^|\s)#.*$", "", raw).strip()
        if not line or line.startswith("-"):
            continue
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            problems.append(f"{line} (not a requirement)")
            continue
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        try:
            installed = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            problems.append(f"{line} (not installed)")
            continue
        if not requirement.specifier.contains(installed, prereleases=True):
            problems.append(f"{line} (installed: {installed})")
    return problems


def failure_reason(run: list[str], code: int, output: Iterable[str], written: Path) -> str:
    """Return the FailureReason of a failed script: the text in /opt/ml/output/failure, or the end of its output."""
    own = written.read_text(errors="replace").strip() if written.is_file() else ""
    if own:
        return f"AlgorithmError: {own[: MAX_REASON - 40]}, exit code: {code}"
    shown = " ".join(["python3" if part == sys.executable else part for part in run])
    tail = f'"\nCommand "{shown}", exit code: {code}'[:300]
    head = f'AlgorithmError: ExecuteUserScriptError:\nExitCode {code}\nErrorMessage "'
    room = MAX_REASON - len(head) - len(tail)
    return f"{head}{_end_of_output(list(output))[-room:]}{tail}"


def _end_of_output(lines: list[str]) -> str:
    """Return the lines after the last 'Traceback' line, or the last five lines."""
    starts = [index for index, line in enumerate(lines) if line.startswith("Traceback (most recent call last)")]
    return "\n".join(lines[starts[-1] + 1 :] if starts else lines[-5:])


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
