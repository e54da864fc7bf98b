"""The lock files: what is installed, with the hashes of all files."""

import base64
import hashlib
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deploy import package
from deploy.errors import DeployError

ROOT = Path(__file__).resolve().parents[2]
LOCKED = (
    *("requirements", "requirements-pretrain", "requirements-tools", "requirements-checkov"),
    *("functions/requirements", "container/requirements", "console/requirements"),
)
WHEEL = "freight-1.0-py3-none-any.whl"
INSTALL = ("-m", "pip", "install", "--disable-pip-version-check", "--no-deps", "--quiet")


def requirements_of(path: Path) -> list[Requirement]:
    """The requirements in a requirements file, without options and comments."""
    lines = (re.sub(r"(^|\s)#.*", "", line).strip() for line in path.read_text().splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("-")]


def locked(text: str) -> dict[str, tuple[str, list[str]]]:
    """The version and the hashes of each package of a lock file."""
    entries = re.findall(
        r"^([\w.-]+)(?:\[[^\]]*\])?==([^\s;\\]+)[^\\\n]*((?:\\\n\s+--hash=\S+\s?)*)", text, re.MULTILINE
    )
    return {
        canonicalize_name(name): (version, re.findall(r"--hash=sha256:([0-9a-f]{64})\b", hashes))
        for name, version, hashes in entries
    }


@pytest.mark.parametrize("name", LOCKED)
def test_a_lock_file_has_each_requirement_and_a_hash_of_each_package(name: str) -> None:
    text = (ROOT / f"{name}.lock").read_text()
    found = locked(text)
    for requirement in requirements_of(ROOT / f"{name}.txt"):
        pinned = found.get(canonicalize_name(requirement.name), ("nothing", []))[0]
        assert str(requirement.specifier) == f"=={pinned}", f"{name}.lock is out of date, run: make lock"
    assert [package for package, (_, hashes) in found.items() if not hashes] == []
    assert len(found) == sum(1 for line in text.splitlines() if line[:1].isalnum())


@pytest.mark.parametrize("folder", ["container", "console"])
def test_the_images_have_the_versions_that_the_tests_run_with(folder: str) -> None:
    tested = locked((ROOT / "requirements.lock").read_text())
    in_image = locked((ROOT / folder / "requirements.lock").read_text())
    assert len(in_image) > len(requirements_of(ROOT / folder / "requirements.txt"))
    assert {name: tested[name][0] for name in in_image} == {name: version for name, (version, _) in in_image.items()}


def test_no_lock_file_names_an_index() -> None:
    for name in LOCKED:
        assert not re.search(r"://|^--", (ROOT / f"{name}.lock").read_text(), re.MULTILINE), name


def test_all_lock_files_of_the_project_have_the_same_versions() -> None:
    project = locked((ROOT / "requirements.lock").read_text())
    for name in ("requirements-pretrain", "functions/requirements"):
        for package_name, entry in locked((ROOT / f"{name}.lock").read_text()).items():
            assert project.get(package_name, entry) == entry, f"{package_name} in {name}.lock"


def write_wheel(folder: Path, code: str) -> str:
    """Write a wheel with one module to `folder`; return its SHA-256."""
    about = "freight-1.0.dist-info"
    files = {
        "freight.py": code.encode(),
        f"{about}/METADATA": b"Metadata-Version: 2.1\nName: freight\nVersion: 1.0\n",
        f"{about}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = []
    for name, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        rows.append(f"{name},sha256={digest},{len(content)}\n")
    files[f"{about}/RECORD"] = ("".join(rows) + f"{about}/RECORD,,\n").encode()
    with zipfile.ZipFile(folder / WHEEL, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return hashlib.sha256((folder / WHEEL).read_bytes()).hexdigest()


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder that pip finds packages in."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return folder


def write_lock(tmp_path: Path, digest: str) -> Path:
    lock = tmp_path / "requirements.lock"
    lock.write_text(f"freight==1.0 \\\n    --hash=sha256:{digest}\n")
    return lock


def test_the_layer_refuses_a_wheel_with_another_hash(
    tmp_path: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(package, "LAYER_LOCK", write_lock(tmp_path, write_wheel(wheels, "weight = 1\n")))
    assert package.build_layer(tmp_path / "build", package.THIS_RUNTIME)
    write_wheel(wheels, "weight = 1\nprint('tampered')\n")
    assert package.build_layer(tmp_path / "build", package.THIS_RUNTIME), "what was installed before is still there"
    with pytest.raises(DeployError, match="DO NOT MATCH THE HASHES"):
        package.build_layer(tmp_path / "another build", package.THIS_RUNTIME)


def test_the_layer_holds_the_packages_of_its_lock_file(tmp_path: Path) -> None:
    (tmp_path / "build").mkdir()
    package.build_layer(tmp_path / "build", package.THIS_RUNTIME)
    (installed,) = (tmp_path / "build").iterdir()
    names = {
        canonicalize_name(folder.name.split("-")[0]): folder.name.removesuffix(".dist-info").split("-")[1]
        for folder in installed.glob("*.dist-info")
    }
    assert names == {name: version for name, (version, _) in locked(package.LAYER_LOCK.read_text()).items()}


def test_make_setup_installs_nothing_whose_hash_is_not_in_the_lock_file(tmp_path: Path, wheels: Path) -> None:
    """The options are those of the Makefile."""
    (options,) = re.findall(r"^INSTALL_LOCKED := -m pip install (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    recipe = (ROOT / "Makefile").read_text().split("$(READY): requirements.lock", 1)[1].split("\n\n", 1)[0]
    assert recipe.count("pip install") == 0
    assert recipe.count("$(INSTALL_LOCKED)") == 2

    def install(lock: Path) -> subprocess.CompletedProcess[str]:
        target = tmp_path / "target"
        command = [sys.executable, *INSTALL, *options.split(), "--target", str(target), "-r", str(lock)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    lock = write_lock(tmp_path, write_wheel(wheels, "weight = 1\n"))
    write_wheel(wheels, "weight = 2\n")
    refused = install(lock)
    assert refused.returncode != 0
    assert "DO NOT MATCH THE HASHES" in refused.stderr
    lock.write_text("freight==1.0\n")
    assert "Hashes are required" in install(lock).stderr
    write_lock(tmp_path, hashlib.sha256((wheels / WHEEL).read_bytes()).hexdigest())
    assert install(lock).returncode == 0
