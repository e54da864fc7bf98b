"""The artefacts of a deployment: one zip per function, the layer with their dependencies, the state machines.

Builds are reproducible. The key of an artefact contains a hash of its content, so an unchanged one deploys nothing.
"""

import hashlib
import io
import json
import py_compile
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import workflows
from deploy.errors import DeployError
from deploy.names import logical_id

ROOT = Path(__file__).resolve().parent.parent
FUNCTIONS = tuple(sorted(handler.parent.name for handler in (ROOT / "functions").glob("*/handler.py")))
RUNTIME = f"python3.{sys.version_info.minor}"
LAYER_LOCK = ROOT / "functions" / "requirements.lock"
"""The packages of the layer, with the hashes of their files; `make lock` writes it from requirements.txt beside it."""

# A fixed date, the earliest that zip supports, so that the archive depends on the content only.
_DATE = (1980, 1, 1, 0, 0, 0)
_SKIPPED = {"bin", ".lock"}


@dataclass(frozen=True)
class Artefact:
    """A file for S3. `parameter` is the template parameter that takes its key."""

    parameter: str
    name: str
    content: bytes

    @property
    def key(self) -> str:
        """The S3 key, which contains a hash of the content."""
        digest = hashlib.sha256(self.content).hexdigest()[:20]
        stem, suffix = self.name.split(".", 1)
        return f"{stem}-{digest}.{suffix}"


def build_artefacts(build: Path) -> list[Artefact]:
    """Build all artefacts of the app stack. The folder `build` keeps the installed dependencies between calls."""
    return [
        Artefact("LayerKey", "layer.zip", build_layer(build)),
        *(Artefact(f"{logical_id(name)}Key", f"{name}.zip", build_function(name)) for name in FUNCTIONS),
        *(
            Artefact(f"{logical_id(name)}AslKey", f"{name}.asl.json", _json(workflows.load_definition(name)))
            for name in workflows.NAMES
        ),
    ]


def build_function(name: str) -> bytes:
    """Return the zip of one function: its folder, functions/shared and vehicles.toml."""
    folders = (ROOT / "functions" / "shared", ROOT / "functions" / name)
    files = [ROOT / "vehicles.toml", ROOT / "functions" / "__init__.py"]
    files += [file for folder in folders for file in folder.rglob("*.py")]
    return _zip((file.relative_to(ROOT).as_posix(), file.read_bytes()) for file in files)


def build_layer(build: Path) -> bytes:
    """Return the zip of the packages in functions/requirements.lock, compiled for RUNTIME."""
    stamp = hashlib.sha256(LAYER_LOCK.read_bytes() + RUNTIME.encode()).hexdigest()[:16]
    installed = build / f"layer-{stamp}"
    if not installed.exists():
        unfinished = build / f"layer-{stamp}.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        _install(LAYER_LOCK, unfinished)
        unfinished.rename(installed)
    files = [file for file in installed.rglob("*") if file.is_file() and not _SKIPPED & set(file.parts)]
    return _zip((f"python/{file.relative_to(installed).as_posix()}", file.read_bytes()) for file in files)


def _install(lock: Path, folder: Path) -> None:
    """Install pure Python packages, for every architecture, and compile them, which halves the import time.

    Raises DeployError when a package cannot be installed, or when its file has another hash than in `lock`.
    """
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--only-binary=:all:"]
    command += ["--disable-pip-version-check", "--require-hashes", "--target", str(folder), "--requirement", str(lock)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise DeployError(f"The functions' dependencies could not be installed:\n{done.stderr.strip()}")
    if native := [file.name for file in folder.rglob("*.so")]:
        raise DeployError(
            f"The layer must be pure Python, but has {', '.join(native)}; see functions/requirements.txt."
        )
    for source in folder.rglob("*.py"):
        py_compile.compile(
            str(source),
            cfile=str(source.with_suffix(".pyc")),
            dfile=f"/opt/python/{source.relative_to(folder).as_posix()}",
            doraise=True,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )
        compiled = source.parent / "__pycache__" / f"{source.stem}.{sys.implementation.cache_tag}.pyc"
        compiled.parent.mkdir(exist_ok=True)
        source.with_suffix(".pyc").rename(compiled)


def _zip(files: Iterable[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(files):
            entry = zipfile.ZipInfo(name, _DATE)
            entry.external_attr = 0o644 << 16
            entry.create_system = 3
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return buffer.getvalue()


def _json(definition: dict[str, Any]) -> bytes:
    return json.dumps(definition, indent=1, sort_keys=True).encode()
