"""CONTRIBUTING.md holds: its files exist, and its instructions work on a copy of the repository."""

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from console.answers import choices
from functions.shared.vehicles import load_vehicles
from training.vehicles import configured_vehicles, imagenet_classes

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
COPIED = ("functions", "workflows", "events", "deploy", "docs/workflows")


def section(title: str) -> str:
    """The text of the section `title`."""
    return PAGE.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def follow(title: str, checkout: Path) -> None:
    """Apply the blocks of a section: make or extend the file that the first line names, or apply a diff to it."""
    for language, path, body in re.findall(r"```(\w+)\n# (\S+)\n(.*?)```", section(title), flags=re.DOTALL):
        file = checkout / path
        if language == "diff":
            removed, added = (_lines(body, sign) for sign in "-+")
            text = file.read_text(encoding="utf-8")
            assert text.count(removed) == 1, f"{path} does not contain the lines of the diff once"
            file.write_text(text.replace(removed, added), encoding="utf-8")
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("a", encoding="utf-8") as out:
                out.write(body)


def _lines(diff: str, sign: str) -> str:
    return "".join(line[1:] for line in diff.splitlines(keepends=True) if line.startswith(sign))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what the instructions change."""
    for name in COPIED:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "vehicles.toml", tmp_path)
    return tmp_path


def run(checkout: Path, *command: str) -> str:
    """Run Python in a copy; returns its output."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", "/"),
        "STAGE": "test",
        "ML_BUCKET": "scones-test-ml",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(
        [sys.executable, *command], cwd=checkout, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def files(text: str) -> list[str]:
    """The paths in code spans that contain no placeholder."""
    spans = re.findall(r"`([^`\s]+)`", text)
    return [span for span in spans if ("/" in span or span.endswith(".toml")) and "<" not in span]


@pytest.mark.parametrize("title", ["Add a vehicle", "Add a Lambda", "Add a state"])
def test_the_files_of_an_instruction_exist(title: str) -> None:
    named = files(section(title))
    assert named
    assert not [path for path in named if not (ROOT / path).exists()]


def test_the_table_has_ten_changes_and_names_files_that_exist_now() -> None:
    rows = [row.strip("|").split("|") for row in section("Ten changes").splitlines() if row.startswith("| ")][1:]
    assert len(rows) == 10
    named = [path for row in rows for path in files(row[2])]
    assert not [path for path in named if not (ROOT / path).exists()]
    folders = {Path(path).parent for row in rows for path in re.findall(r"`([^`\s]*<x>[^`\s]*)`", row[2])}
    assert not [folder for folder in folders if not (ROOT / folder).is_dir()]


def test_a_vehicle_is_added_in_one_file(checkout: Path) -> None:
    follow("Add a vehicle", checkout)
    configuration = checkout / "vehicles.toml"
    assert configured_vehicles(configuration) == ("bicycle", "motorcycle", "bus")
    assert imagenet_classes(configuration)["bus"] == (779, 874, 654)
    assert load_vehicles(configuration).bay("bus").loading_bay == "Bay C"
    keys = {choice.vehicle: choice.key for choice in choices(configuration)}
    assert keys["bicycle"] == "b"
    assert len(set(keys.values())) == len(keys) == 6


def test_a_lambda_is_added_in_two_places(checkout: Path) -> None:
    follow("Add a Lambda", checkout)
    program = """
        import io, json, zipfile
        from deploy.package import build_function
        from deploy.templates import load_template
        from functions.describe_photo import handler
        app = load_template("app")
        names = zipfile.ZipFile(io.BytesIO(build_function("describe_photo"))).namelist()
        print(json.dumps([app["Parameters"], app["Resources"], names, handler.settings.ml_bucket]))
    """
    parameters, resources, packaged, bucket = json.loads(run(checkout, "-c", textwrap.dedent(program)))
    assert "DescribePhotoKey" in parameters
    assert {"DescribePhotoLogs", "DescribePhotoRole", "DescribePhotoFunction"} <= set(resources)
    assert "functions/describe_photo/handler.py" in packaged
    assert bucket == "scones-test-ml"


def test_a_state_is_added_in_the_workflow_and_rendered(checkout: Path) -> None:
    follow("Add a state", checkout)
    run(checkout, "-m", "workflows")
    definition = json.loads((checkout / "workflows" / "asl" / "classify-photo.asl.json").read_text(encoding="utf-8"))
    assert definition["States"]["MarkReviewed"]["Next"] == "AssignBay"
    assert "MarkReviewed" in (checkout / "docs" / "workflows" / "classify-photo.md").read_text(encoding="utf-8")
