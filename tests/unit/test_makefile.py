"""The Makefile on GNU make 3.81, which ignores .SHELLFLAGS, and in a checkout whose path contains a space."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYTHON = """#!/bin/sh
# `python -m venv FOLDER` makes FOLDER/bin/python; `python -m pip` ends with status $PIP_STATUS.
case "$*" in
  "-m venv"*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
  "-m pip"*) echo "Collecting boto3"; echo "ERROR: no such version" >&2; exit "$PIP_STATUS" ;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with a Python that installs nothing."""
    folder = tmp_path / "a checkout"
    folder.mkdir()
    for name in ("Makefile", "requirements.lock"):
        shutil.copy(ROOT / name, folder / name)
    python = folder / "python"
    python.write_text(PYTHON)
    python.chmod(0o755)
    return folder


def make(checkout: Path, *arguments: str, pip_status: int = 0) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *arguments, "PYTHON=./python"],
        cwd=checkout,
        env={"PATH": os.environ["PATH"], "PIP_STATUS": str(pip_status)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_failed_installation_fails_and_is_not_marked_as_done(checkout: Path) -> None:
    result = make(checkout, "setup", pip_status=1)
    assert result.returncode != 0
    assert "ERROR: no such version" in result.stdout
    assert not (checkout / ".venv" / ".ready").exists()


def test_an_installation_is_done_once(checkout: Path) -> None:
    assert make(checkout, "setup").returncode == 0
    assert (checkout / ".venv" / ".ready").exists()
    assert make(checkout, "setup", pip_status=1).returncode == 0


def test_no_recipe_relies_on_what_make_3_81_ignores() -> None:
    rules = [line for line in (ROOT / "Makefile").read_text().splitlines() if not line.startswith("#")]
    assert not [line for line in rules if line.startswith((".SHELLFLAGS", ".ONESHELL"))]


def test_help_lists_every_command_in_a_path_with_a_space(checkout: Path) -> None:
    result = make(checkout, "help")
    assert result.returncode == 0
    for command in ("demo", "test", "format", "lint", "bench"):
        assert f"make {command}" in result.stdout
