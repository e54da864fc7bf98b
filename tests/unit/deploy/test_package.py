"""The artefacts of a deployment."""

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import botocore
import pytest

from deploy.names import logical_id
from deploy.package import FUNCTIONS, RUNTIME, Artefact, build_artefacts
from deploy.templates import load_template

# Packages of AWS's Python runtimes: boto3 and its dependencies.
RUNTIME_PACKAGES = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six.py")
# Valid values for the settings that are not names.
VALUES = {
    "REVIEW_QUEUE_URL": "http://127.0.0.1:9/queue",
    "UPLOADS_PER_MINUTE": "30",
    "MIN_NEW_LABELS": "25",
    "MAX_LABELS_PER_DRIVER": "200",
    "MAX_LABELS_PER_REVIEWER": "5000",
    "BAKE_SECONDS": "5",
    "ALLOW_DRAWN_TRAINING_DATA": "no",
    "GATE": "{}",
    "ROLLBACK_WINDOW_HOURS": "24",
}


def settings_of(function: str) -> dict[str, str]:
    """Return the environment that the template gives a function."""
    variables = load_template("app")["Resources"][f"{function}Function"]["Properties"]["Environment"]["Variables"]
    return {"AWS_DEFAULT_REGION": "eu-west-1", **{name: VALUES.get(name, "name") for name in variables}}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artefact]:
    return {artefact.parameter: artefact for artefact in build_artefacts(tmp_path_factory.mktemp("artefacts"))}


def test_building_twice_from_scratch_gives_the_same_bytes(built: dict[str, Artefact], tmp_path: Path) -> None:
    again = {artefact.parameter: artefact for artefact in build_artefacts(tmp_path)}
    assert {name: artefact.key for name, artefact in again.items()} == {
        name: artefact.key for name, artefact in built.items()
    }


@pytest.fixture(scope="module")
def runtime(built: dict[str, Artefact], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the unpacked layer in python/, and links to the packages of AWS's runtime."""
    folder = tmp_path_factory.mktemp("runtime")
    zipfile.ZipFile(io.BytesIO(built["LayerKey"].content)).extractall(folder)
    site = Path(botocore.__file__).parent.parent
    (folder / "boto3").mkdir()
    for name in RUNTIME_PACKAGES:
        (folder / "boto3" / name).symlink_to(site / name)
    return folder


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_handler_imports_from_its_own_zip_and_the_layer_only(
    name: str, built: dict[str, Artefact], runtime: Path, tmp_path: Path
) -> None:
    function = logical_id(name)
    zipfile.ZipFile(io.BytesIO(built[f"{function}Key"].content)).extractall(tmp_path)
    paths = [str(tmp_path), str(runtime / "python"), str(runtime / "boto3")]
    script = (
        f"import sys; sys.path[:0] = {paths!r}\n"
        f"from functions.{name}.handler import handler\n"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'numpy', 'PIL', 'events', 'training', 'deploy'}))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script],
        env=settings_of(function),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_the_layer_is_compiled_for_the_runtime_that_the_template_gets(built: dict[str, Artefact]) -> None:
    names = zipfile.ZipFile(io.BytesIO(built["LayerKey"].content)).namelist()
    tag = "cpython-" + RUNTIME.removeprefix("python").replace(".", "")
    assert f"python/aws_lambda_powertools/__pycache__/__init__.{tag}.pyc" in names
    assert not [name for name in names if name.endswith(".so")]


def test_the_state_machines_are_valid_json_with_only_known_placeholders(built: dict[str, Artefact]) -> None:
    resources = load_template("app")["Resources"]
    for workflow, parameter in (
        ("ClassifyPhotoWorkflow", "ClassifyPhotoAslKey"),
        ("RetrainModelWorkflow", "RetrainModelAslKey"),
    ):
        text = built[parameter].content.decode()
        json.loads(text)
        known = set(resources[workflow]["Properties"]["DefinitionSubstitutions"])
        used = {part.split("}", 1)[0] for part in text.split("${")[1:]}
        assert used == known, f"{workflow}: {used ^ known}"
