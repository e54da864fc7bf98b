"""The environment of a Lambda worker: code, layers, boto3 and environment variables.

On AWS a function can import its zip, its layers and the boto3 of the runtime, not the packages of the machine that
deployed it. Therefore a worker runs without site-packages and gets a folder with links to boto3 and its dependencies.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import sys
import tempfile
import threading
import uuid
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local.settings import CLIENT_VARIABLES, HOST

SDK_DISTRIBUTIONS = ("boto3", "botocore", "s3transfer", "jmespath", "python-dateutil", "urllib3", "six")
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
RESERVED = frozenset(
    {
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "LAMBDA_TASK_ROOT",
    }
)
_extraction = threading.Lock()


def create_sdk_folder(parent: Path) -> Path:
    """A folder under `parent` with links to boto3 and its dependencies only."""
    folder = parent / "sdk"
    with _extraction:
        if folder.exists():
            return folder
        staging = Path(tempfile.mkdtemp(dir=parent))
        for name in SDK_DISTRIBUTIONS:
            distribution = importlib.metadata.distribution(name)
            top_levels = {
                file.parts[0] for file in distribution.files or () if not file.parts[0].startswith(("..", "__"))
            }
            for top in top_levels:
                os.symlink(str(distribution.locate_file(top)), staging / top)
        staging.rename(folder)
    return folder


def extract_archives(archives: list[bytes], parent: Path) -> Path:
    """Extract archives into one folder, once per content; returns the folder. Raises zipfile.BadZipFile."""
    digest = hashlib.sha256()
    for archive in archives:
        digest.update(hashlib.sha256(archive).digest())
    folder = parent / digest.hexdigest()[:32]
    with _extraction:
        if folder.exists():
            return folder
        parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(dir=parent))
        for archive in archives:
            source = staging / ".archive"
            source.write_bytes(archive)
            with zipfile.ZipFile(source) as opened:
                opened.extractall(staging)
            source.unlink()
        staging.rename(folder)
    return folder


def code_path(code: Path, layers: Path | None) -> list[str]:
    """The entries of `sys.path` before the SDK, in AWS's order: the function, then /opt/python of the layers."""
    path = [str(code)]
    if layers is not None:
        packages = layers / "python"
        path += [str(folder) for folder in sorted(packages.glob("lib/python*/site-packages"))]
        path += [str(packages)]
    return path


def variables(
    config: dict[str, Any], code: Path, credentials: dict[str, str], port: int, region: str
) -> dict[str, str]:
    """All environment variables of a worker: those of AWS and those of the function."""
    version = config.get("Version", "$LATEST")
    name = config.get("FunctionName", "")
    chosen = (config.get("Environment") or {}).get("Variables") or {}
    return {
        "AWS_ENDPOINT_URL": f"http://{HOST}:{port}",
        **CLIENT_VARIABLES,
        "PATH": "/usr/local/bin:/usr/bin:/bin:/opt/bin",
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "TMPDIR": os.environ.get("TMPDIR", tempfile.gettempdir()),
        **{key: str(value) for key, value in chosen.items() if key not in RESERVED},
        **credentials,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{config.get('Runtime', PYTHON)}",
        "AWS_LAMBDA_FUNCTION_NAME": name,
        "AWS_LAMBDA_FUNCTION_VERSION": version,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(config.get("MemorySize", 128)),
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": (config.get("LoggingConfig") or {}).get("LogGroup") or f"/aws/lambda/{name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": f"{datetime.now(UTC):%Y/%m/%d}/[{version}]{uuid.uuid4().hex}",
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        "LAMBDA_TASK_ROOT": str(code),
        "_HANDLER": str(config.get("Handler", "")),
    }
