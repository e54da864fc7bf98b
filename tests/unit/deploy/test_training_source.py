"""The archive of the training code for SageMaker's jobs."""

import ast
import tarfile
from pathlib import Path

from deploy import training_source

# The training job, the processing job, and the inference code, which the training job adds to the model.
ENTRY_POINTS = ("train", "compare", "inference")


def archived_names(folder: Path) -> set[str]:
    training_source.build(folder / "source.tar.gz")
    with tarfile.open(folder / "source.tar.gz") as tar:
        return set(tar.getnames())


def imported_modules(name: str) -> set[str]:
    """Return the modules of the package `training` that one of them imports, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse((training_source.PACKAGE / f"{name}.py").read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "training":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("training."):
            found.add(str(node.module).removeprefix("training."))
        elif isinstance(node, ast.Import):
            found |= {
                alias.name.removeprefix("training.") for alias in node.names if alias.name.startswith("training.")
            }
    return found


def needed_modules() -> set[str]:
    """Return the entry points and all modules of the package that they import, directly or indirectly."""
    needed, waiting = set(), {"__init__", *ENTRY_POINTS}
    while waiting:
        needed |= waiting
        waiting = {module for name in waiting for module in imported_modules(name)} - needed
    return needed


def test_the_same_code_gives_the_same_bytes(tmp_path: Path) -> None:
    assert training_source.build(tmp_path / "a.tar.gz") == training_source.build(tmp_path / "b.tar.gz")
    assert (tmp_path / "a.tar.gz").read_bytes() == (tmp_path / "b.tar.gz").read_bytes()


def test_the_archive_holds_exactly_the_modules_that_the_jobs_and_the_endpoint_import(tmp_path: Path) -> None:
    archived = {name for name in archived_names(tmp_path) if name.endswith(".py")}
    assert archived == {f"training/{name}.py" for name in needed_modules()}


def test_the_archive_holds_the_files_that_the_modules_read(tmp_path: Path) -> None:
    others = {name for name in archived_names(tmp_path) if not name.endswith(".py")}
    assert others == {"training/backbone.onnx", "training/initial_head.npz", "vehicles.toml", "requirements.txt"}
