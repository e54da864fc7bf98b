"""The modules that functions may import."""

import ast
import sys
from pathlib import Path

import pytest

FUNCTIONS = Path(__file__).parents[3] / "functions"
FOLDERS = sorted(handler.parent.name for handler in FUNCTIONS.glob("*/handler.py"))
ALLOWED = {"functions", "aws_lambda_powertools", "boto3", "botocore", *sys.stdlib_module_names}
# Packages of types, which only mypy imports; tests/unit/deploy/test_package.py starts every handler without them.
TYPES = ("mypy_boto3_", "_typeshed")


def imports(path: Path) -> set[str]:
    """Return the modules that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(str(node.module))
    return names


def test_functions_import_only_allowed_packages() -> None:
    for path in FUNCTIONS.rglob("*.py"):
        packages = {name.split(".")[0] for name in imports(path) if not name.startswith(TYPES)}
        assert not packages - ALLOWED, f"{path.name} imports {packages - ALLOWED}"


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_function_imports_nothing_of_another_one(folder: str) -> None:
    for path in (FUNCTIONS / folder).glob("*.py"):
        others = {
            name
            for name in imports(path)
            if name.startswith("functions.") and name.split(".")[1] not in (folder, "shared")
        }
        assert not others, f"{path.name} imports {others}"
