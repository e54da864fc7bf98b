"""The artefacts of a deployment."""

import io
import json
import subprocess
import sys
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import botocore
import pytest

from deploy import package
from deploy.names import logical_id
from deploy.package import FUNCTIONS, THIS_RUNTIME, Artefact, build_artefacts, build_layer, find_python
from deploy.templates import load_template

# Packages of AWS's Python runtimes: boto3 and its dependencies.
RUNTIME_PACKAGES = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six.py")
# Valid values for the settings that are not names.
VALUES = {
    **dict.fromkeys(("AUDIT_SHARE", "SECOND_OPINION_SHARE", "DRIFT_AUDIT_SHARE", "DRIFT_PSI_LIMIT"), "0.05"),
    **dict.fromkeys(("DRIFT_PERIOD_HOURS", "DRIFT_WINDOW_PERIODS", "DRIFT_MIN_PHOTOS", "DRIFT_LABELS"), "7"),
    "OPENING_HOURS": "06:00-22:00",
    "TIME_ZONE": "Europe/Dublin",
    "REVIEW_QUEUE_URL": "http://127.0.0.1:9/queue",
    "UPLOADS_PER_MINUTE": "30",
    **dict.fromkeys(("BATCH_CONCURRENCY", "BATCH_TOLERATED_FAILURES", "BATCH_REVIEWS"), "5"),
    "MIN_NEW_LABELS": "25",
    "MAX_LABELS_PER_DRIVER": "200",
    "MAX_LABELS_PER_REVIEWER": "5000",
    **dict.fromkeys(("BAKE_SECONDS", "CANARY_PERCENT", "ROLLOUT_SECONDS", "ENDPOINT_MIN_INSTANCES"), "5"),
    "ALLOW_DRAWN_TRAINING_DATA": "no",
    "GATE": "{}",
    "ROLLBACK_WINDOW_HOURS": "24",
}


def settings_of(function: str) -> dict[str, str]:
    """Return the environment that the template gives a function."""
    variables = load_template("app")["Resources"][f"{function}Function"]["Properties"]["Environment"]["Variables"]
    return {"AWS_DEFAULT_REGION": "eu-west-1", **{name: VALUES.get(name, "name") for name in variables}}


def artefacts_in(build: Path) -> list[Artefact]:
    return build_artefacts(build, THIS_RUNTIME)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artefact]:
    return {artefact.parameter: artefact for artefact in artefacts_in(tmp_path_factory.mktemp("artefacts"))}


def test_building_twice_from_scratch_gives_the_same_bytes(built: dict[str, Artefact], tmp_path: Path) -> None:
    again = {artefact.parameter: artefact for artefact in artefacts_in(tmp_path)}
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


def test_processes_that_build_at_the_same_time_do_not_disturb_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = threading.Barrier(2, timeout=60)

    def install(lock: Path, folder: Path) -> None:
        folder.mkdir()
        together.wait()
        (folder / "package.py").write_text("installed = True\n")
        together.wait()

    monkeypatch.setattr(package, "_install", install)
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(lambda _: build_layer(tmp_path, THIS_RUNTIME), range(2))
    assert first == second
    assert "python/package.py" in names_in(first.artefact)
    assert len(list(tmp_path.iterdir())) == 1, "nothing unfinished is left"


def names_in(artefact: Artefact) -> list[str]:
    return zipfile.ZipFile(io.BytesIO(artefact.content)).namelist()


def test_the_layer_is_compiled_for_its_runtime(built: dict[str, Artefact]) -> None:
    names = names_in(built["LayerKey"])
    tag = "cpython-" + THIS_RUNTIME.removeprefix("python").replace(".", "")
    assert f"python/aws_lambda_powertools/__pycache__/__init__.{tag}.pyc" in names
    assert not [name for name in names if name.endswith(".so")]


def test_the_compiled_layer_names_its_files_as_lambda_has_them(built: dict[str, Artefact]) -> None:
    """Tracebacks and unchecked bytecode have paths of Lambda, not of the machine that built it."""
    with zipfile.ZipFile(io.BytesIO(built["LayerKey"].content)) as layer:
        (name,) = [name for name in layer.namelist() if name.startswith("python/__pycache__/typing_extensions.")]
        assert b"/opt/python/typing_extensions.py" in layer.read(name)
        assert layer.read(name)[4:8] == b"\x01\0\0\0", "a hash that Python does not check"


@pytest.fixture
def no_other_python(monkeypatch: pytest.MonkeyPatch) -> str:
    """A runtime of which no Python is installed."""
    monkeypatch.setenv("PATH", "/nonexistent")
    return "python3.99"


def test_without_a_python_of_the_runtime_the_layer_has_the_sources_only(no_other_python: str, tmp_path: Path) -> None:
    layer = build_layer(tmp_path, no_other_python)
    names = names_in(layer.artefact)
    assert "python/aws_lambda_powertools/__init__.py" in names
    assert not [name for name in names if name.endswith(".pyc")]
    assert not layer.is_compiled


def test_a_command_without_its_python_is_no_interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pyenv has a command for each version that it knows, which fails for those that are not active."""
    for name, script in (("python3.98", "exit 127"), ("python3.99", "echo python3.12")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_python("python3.98") is None
    assert find_python("python3.99") is None
    assert find_python(THIS_RUNTIME) == sys.executable


def test_a_compiled_layer_is_not_replaced_by_one_without_bytecode(no_other_python: str, tmp_path: Path) -> None:
    """Two people, of whom one has the Python of the runtime, would otherwise replace it in turns."""
    own = build_layer(tmp_path, no_other_python).artefact
    compiled_elsewhere = own.key.replace(own.key.split("-")[-1], "0123456789abcdef0123.zip")
    parameters = {one.parameter for one in build_artefacts(tmp_path, no_other_python, compiled_elsewhere)}
    assert "LayerKey" not in parameters
    other_dependencies = "layer-python399-00000000-0123456789abcdef0123.zip"
    assert "LayerKey" in {one.parameter for one in build_artefacts(tmp_path, no_other_python, other_dependencies)}
    with_python = {one.parameter for one in build_artefacts(tmp_path, THIS_RUNTIME, compiled_elsewhere)}
    assert "LayerKey" in with_python


@pytest.mark.parametrize("folder", ["bin", ".lock"])
def test_the_layer_is_complete_wherever_the_checkout_is(
    folder: str, built: dict[str, Artefact], tmp_path: Path
) -> None:
    elsewhere = build_layer(tmp_path / folder / "artefacts", THIS_RUNTIME).artefact
    assert elsewhere.content == built["LayerKey"].content


def test_the_state_machines_are_valid_json_with_only_known_placeholders(built: dict[str, Artefact]) -> None:
    resources = load_template("app")["Resources"]
    for workflow, parameter in (
        ("ClassifyPhotoWorkflow", "ClassifyPhotoAslKey"),
        ("RetrainModelWorkflow", "RetrainModelAslKey"),
        ("ClassifyBatchWorkflow", "ClassifyBatchAslKey"),
    ):
        text = built[parameter].content.decode()
        json.loads(text)
        known = set(resources[workflow]["Properties"]["DefinitionSubstitutions"])
        used = {part.split("}", 1)[0] for part in text.split("${")[1:]}
        assert used == known, f"{workflow}: {used ^ known}"
