"""The SHA-256 of each file of a model, which is checked before anything of the model is read."""

import hashlib
import re
from pathlib import Path

DIGESTS_NAME = "SHA256SUMS"
"""A file in the format of the command `sha256sum`: a line per file, with its digest and its path in the model."""


class DigestError(ValueError):
    """A file of a model is missing, changed or unexpected; the message names it."""


def write_digests(folder: Path) -> None:
    """Write DIGESTS_NAME for all files below `folder`; call it again after adding a file."""
    lines = [f"{_digest(folder / name)}  {name}\n" for name in sorted(_files(folder) - {DIGESTS_NAME})]
    (folder / DIGESTS_NAME).write_text("".join(lines), encoding="utf-8")


def check_digests(folder: Path) -> None:
    """Check that `folder` holds the files in DIGESTS_NAME, with their digests, and no other file.

    Raises DigestError.
    """
    try:
        text = (folder / DIGESTS_NAME).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise _refused(f"its {DIGESTS_NAME} cannot be read ({type(error).__name__})") from error
    expected: dict[str, str] = {}
    for line in text.splitlines():
        match = re.fullmatch(r"([0-9a-f]{64})  (\S.*)", line)
        if match is None or match[2] in expected:
            raise _refused(f"{DIGESTS_NAME} has the line {line[:100]!r}")
        expected[match[2]] = match[1]
    found = _files(folder) - {DIGESTS_NAME}
    if missing := sorted(expected.keys() - found):
        raise _refused(f"{missing[0]} is missing")
    if extra := sorted(found - expected.keys()):
        raise _refused(f"{extra[0]} is not in {DIGESTS_NAME}")
    for name, digest in expected.items():
        if (folder / name).is_symlink() or _digest(folder / name) != digest:
            raise _refused(f"{name} has another content than in training")


def _files(folder: Path) -> set[str]:
    """The paths of everything below `folder` but folders, relative to it."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _refused(reason: str) -> DigestError:
    return DigestError(
        f"the model is damaged or was changed after training: {reason}. Restore an earlier one with `make rollback`, "
        "or train again with `make retrain`"
    )
