"""Write a .tar.gz, and extract one that may have been replaced: bounded, regular files below one folder only."""

import gzip
import io
import shutil
import tarfile
import unicodedata
import zlib
from pathlib import Path, PurePosixPath

MAX_FILES = 1_000
MAX_BYTES = 200_000_000
"""Limits of a model, which has about 30 files and 14 MB. Bytes are those after decompression."""


class ArchiveRefused(ValueError):
    """The archive is damaged, has an entry that a model never has, or is too large; the message names it."""


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


def extract(archive: Path, folder: Path, max_files: int = MAX_FILES, max_bytes: int = MAX_BYTES) -> None:
    """Extract a .tar.gz to `folder`, which must not hold any of its files.

    Only the owner's permission to execute is kept. Raises ArchiveRefused for links, devices, sparse files, names that
    are absolute, that contain `..`, backslashes or control characters or occur twice, for more than `max_files`
    entries, and for more than `max_bytes`: the data is decompressed as a stream, so that a larger archive is never in
    memory or on disk.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names: set[str] = set()
    try:
        with _Bounded(archive, max_bytes) as content, tarfile.open(fileobj=content, mode="r|") as tar:
            for member in tar:
                name = _check(member)
                if name is None:
                    continue
                # Two names that one file system takes for the same file overwrite each other there.
                key = unicodedata.normalize("NFC", name).casefold()
                if key in names:
                    raise ArchiveRefused(f"it has {name!r} twice")
                names.add(key)
                if len(names) > max_files:
                    raise ArchiveRefused(f"it has more than {max_files:,} entries")
                _write(tar, member, folder / name)
    except ArchiveRefused as error:
        raise ArchiveRefused(f"{archive.name} is refused: {error}") from error
    # tarfile converts the numbers in extended headers without checking them.
    except (tarfile.TarError, OSError, EOFError, zlib.error, ValueError, OverflowError) as error:
        raise ArchiveRefused(f"{archive.name} is not a .tar.gz that can be extracted: {error}") from error


def _check(member: tarfile.TarInfo) -> str | None:
    """Return the name of a file or folder, or None for the root itself. Raises ArchiveRefused for anything else."""
    if not (member.isreg() or member.isdir()) or member.issparse():
        raise ArchiveRefused(f"{member.name!r} is neither a plain file nor a folder")
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts:
        raise ArchiveRefused(f"{member.name!r} is outside of the folder")
    if "\\" in member.name or any(unicodedata.category(character).startswith("C") for character in member.name):
        raise ArchiveRefused(f"the name {member.name!r} has a backslash or a control character")
    return str(name) if name.parts else None


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    if member.isdir():
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    source = tar.extractfile(member)
    if source is None:
        raise ArchiveRefused(f"{member.name!r} has no content")
    with path.open("xb") as file:
        shutil.copyfileobj(source, file, 1 << 20)
    path.chmod(0o755 if member.mode & 0o100 else 0o644)


class _Bounded(gzip.GzipFile):
    """The decompressed data; reading more than `limit` bytes of it raises ArchiveRefused."""

    def __init__(self, path: Path, limit: int) -> None:
        super().__init__(path)
        self._left, self._limit = limit, limit

    def read(self, size: int | None = -1) -> bytes:
        """Return at most `size` bytes."""
        block = super().read(size)
        self._left -= len(block)
        if self._left < 0:
            raise ArchiveRefused(f"it has more than {self._limit:,} bytes after decompression")
        return block
