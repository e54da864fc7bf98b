"""The artefacts of a deployment: one zip per function, the layer with their dependencies, the state machines.

Builds are reproducible. The key of an artefact contains a hash of its content, so an unchanged one deploys nothing.
"""

import errno
import hashlib
import io
import json
import shutil
import subprocess
import sys
import tempfile
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
THIS_RUNTIME = f"python3.{sys.version_info.minor}"
"""The runtime whose Python runs this program."""
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


def build_artefacts(build: Path, runtime: str, deployed_layer: str = "") -> list[Artefact]:
    """Build the artefacts of the app stack for a Lambda runtime such as `python3.12`.

    The folder `build` keeps the installed dependencies between calls. Where no Python of the runtime is installed, the
    layer is not compiled; `deployed_layer`, the key of the present one, is kept then if it has the same dependencies:
    there is no artefact of the layer. Otherwise two people with different Pythons would replace it in turns.
    """
    layer = build_layer(build, runtime)
    return [
        *([] if _keeps(deployed_layer, layer) else [layer.artefact]),
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
    return zip_files((file.relative_to(ROOT).as_posix(), file.read_bytes()) for file in files)


@dataclass(frozen=True)
class Layer:
    """The layer of a runtime; `is_compiled`: with the bytecode of that runtime."""

    artefact: Artefact
    is_compiled: bool


def build_layer(build: Path, runtime: str) -> Layer:
    """Build the layer: the packages in functions/requirements.lock, compiled if a Python of `runtime` is installed."""
    interpreter = find_python(runtime)
    dependencies = hashlib.sha256(LAYER_LOCK.read_bytes()).hexdigest()[:8]
    stem = f"layer-{runtime.replace('.', '')}-{dependencies}"
    installed = build / (stem if interpreter else f"{stem}-sources")
    if not installed.exists():
        _build_packages(installed, interpreter)
    files = ((file.relative_to(installed), file) for file in installed.rglob("*") if file.is_file())
    kept = ((name, file) for name, file in files if not _is_skipped(name))
    content = zip_files((f"python/{name.as_posix()}", file.read_bytes()) for name, file in kept)
    return Layer(Artefact("LayerKey", f"{stem}.zip", content), is_compiled=interpreter is not None)


def _build_packages(installed: Path, interpreter: str | None) -> None:
    """Make the folder `installed`, at once and whole, also when several processes do so at the same time."""
    installed.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=installed.parent, prefix=f"{installed.name}.unfinished-") as unfinished:
        packages = Path(unfinished, "packages")
        _install(LAYER_LOCK, packages)
        if interpreter:
            _compile(interpreter, packages)
        try:
            packages.rename(installed)
        except OSError as error:
            # Another process was first; a folder that is not empty is never replaced.
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise


def find_python(runtime: str) -> str | None:
    """Return the path of a Python of a Lambda runtime, None where there is none that runs.

    A command of that name can exist without the Python: pyenv has one for every version that it knows.
    """
    if runtime == THIS_RUNTIME:
        return sys.executable
    if (found := shutil.which(runtime)) is None:
        return None
    asked = [found, "-I", "-c", "import sys; print('python%d.%d' % sys.version_info[:2])"]
    answer = subprocess.run(asked, capture_output=True, text=True, timeout=60)
    return found if answer.returncode == 0 and answer.stdout.strip() == runtime else None


def _keeps(deployed: str, layer: Layer) -> bool:
    stem = layer.artefact.name.removesuffix(".zip")
    return not layer.is_compiled and deployed.startswith(f"{stem}-")


def _is_skipped(name: Path) -> bool:
    """Whether a file of the installed packages is left out; `name` is relative, so that no folder above counts."""
    return bool(_SKIPPED & set(name.parts))


def _install(lock: Path, folder: Path) -> None:
    """Install pure Python packages, which run on every architecture and version of Python.

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


def _compile(interpreter: str, folder: Path) -> None:
    """Compile the packages, which halves the import time. Raises DeployError."""
    command = [interpreter, "-I", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
    command += ["-s", str(folder), "-p", "/opt/python", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise DeployError(f"The functions' dependencies could not be compiled:\n{done.stdout}{done.stderr}".strip())


def zip_files(files: Iterable[tuple[str, bytes]]) -> bytes:
    """Return a zip of files by name, the same bytes for the same files."""
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
