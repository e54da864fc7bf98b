"""Pack the training code for SageMaker's jobs: `python -m deploy.training_source build/source.tar.gz`."""

import argparse
import gzip
import hashlib
import io
import tarfile
from pathlib import Path

import training
from training.vehicles import VEHICLES_FILE

PACKAGE = Path(training.__file__).resolve().parent
CONTAINER_REQUIREMENTS = PACKAGE / "requirements.txt"
SUFFIXES = (".py", ".onnx", ".npz")


def build(path: Path, vehicles: Path = VEHICLES_FILE) -> str:
    """Write the source archive and return its SHA-256; the same code always gives the same bytes.

    It holds the training package without its subpackages, with the backbone and the initial head, and beside it
    vehicles.toml and the requirements.txt that the container installs.
    """
    files = {f"{PACKAGE.name}/{file.name}": file for file in PACKAGE.iterdir() if file.suffix in SUFFIXES}
    files |= {"vehicles.toml": vehicles, "requirements.txt": CONTAINER_REQUIREMENTS}
    content = pack({name: file.read_bytes() for name, file in files.items()})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def pack(files: dict[str, bytes]) -> bytes:
    """Return a .tar.gz of `files` by name, in sorted order, without times or owners."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(filename="", fileobj=packed, mode="wb", compresslevel=6, mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name in sorted(files):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(files[name]), 0o644
            tar.addfile(entry, io.BytesIO(files[name]))
    return packed.getvalue()


def main() -> int:
    """Write the archive and print its checksum; return the exit status."""
    parser = argparse.ArgumentParser(description="Pack the training code for SageMaker's jobs.")
    parser.add_argument("path", type=Path)
    print(build(parser.parse_args().path))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
