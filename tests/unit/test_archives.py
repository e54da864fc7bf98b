"""Hostile archives are refused where models and code are extracted: in training/, and by the embedded SageMaker."""

import gzip
import io
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

import local.sagemaker.archive
import training.archive

Entry = tuple[tarfile.TarInfo, bytes]

MODULES = (training.archive, local.sagemaker.archive)
EXTRACTORS = pytest.mark.parametrize("extractor", MODULES, ids=["training", "local"])


def entry(name: str, content: bytes = b"x", **fields: object) -> Entry:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content if info.isreg() else b""


def write(path: Path, *entries: Entry) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for info, content in entries:
            if not info.isreg():
                info.size = 0
            tar.addfile(info, io.BytesIO(content))
    return path


HOSTILE = {
    "symbolic link": [entry("model.json", type=tarfile.SYMTYPE, linkname="/etc/hostname")],
    "symbolic link inside": [entry("a"), entry("b", type=tarfile.SYMTYPE, linkname="a")],
    "file through a link": [entry("d", type=tarfile.SYMTYPE, linkname=".."), entry("d/escaped")],
    "hard link": [entry("a"), entry("b", type=tarfile.LNKTYPE, linkname="a")],
    "hard link outside": [entry("b", type=tarfile.LNKTYPE, linkname="../escaped")],
    "named pipe": [entry("pipe", type=tarfile.FIFOTYPE)],
    "character device": [entry("null", type=tarfile.CHRTYPE, devmajor=1, devminor=3)],
    "block device": [entry("disk", type=tarfile.BLKTYPE, devmajor=8)],
    "absolute path": [entry("/tmp/escaped")],  # noqa: S108  # the attack
    "parent": [entry("../escaped")],
    "parent inside": [entry("a/../../escaped")],
    "parent that stays inside": [entry("a/../model.json")],
    "same name": [entry("model.json"), entry("model.json", b"y")],
    "same name, other spelling": [entry("model.json"), entry("./model.json", b"y")],
    "same name, other case": [entry("model.json"), entry("Model.json", b"y")],
    "same name, other form": [entry("caf\u00e9"), entry("cafe\u0301", b"y")],
    "folder in place of a file": [entry("a"), entry("a/b")],
    "backslash": [entry("..\\escaped")],
    "line break": [entry("a\nb")],
    "escape sequence": [entry("a\x1b[2Jb")],
    "right-to-left override": [entry("a\u202eb")],
    "undecodable": [entry("a\udcffb")],
    "long name": [entry("n" * 300)],
}


@EXTRACTORS
@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_entry_is_refused(kind: str, extractor: ModuleType, tmp_path: Path) -> None:
    archive = write(tmp_path / "model.tar.gz", *HOSTILE[kind])
    with pytest.raises(extractor.ArchiveRefused, match=r"model\.tar\.gz"):
        extractor.extract(archive, tmp_path / "below" / "folder")
    assert not list(tmp_path.rglob("*escaped*"))
    assert not [path for path in tmp_path.rglob("*") if path.is_symlink()]


def with_extended_header(record: bytes) -> bytes:
    """A tar whose extended header has a record."""
    header = tarfile.TarInfo("././@PaxHeader")
    header.type, header.size = tarfile.XHDTYPE, len(record)
    padded = record.ljust(-(-len(record) // 512) * 512, b"\0")
    return header.tobuf() + padded + tarfile.TarInfo("a").tobuf() + bytes(1024)


@EXTRACTORS
@pytest.mark.parametrize(
    "record",
    [
        b"9" * 5000 + b" path=a\n",
        b"25 GNU.sparse.map=1,2,x\n",
        b"30 size=99999999999999999999\n",
        b"12 path=a\0b\n",
    ],
    ids=["length of 5,000 digits", "map of a sparse file", "size of 20 digits", "null byte in a name"],
)
def test_a_crafted_extended_header_is_refused(record: bytes, extractor: ModuleType, tmp_path: Path) -> None:
    archive = tmp_path / "model.tar.gz"
    archive.write_bytes(gzip.compress(with_extended_header(record)))
    with pytest.raises(extractor.ArchiveRefused, match=r"model\.tar\.gz"):
        extractor.extract(archive, tmp_path / "folder")


def sparse() -> bytes:
    """A tar with a file that takes no space and has a terabyte of zeros."""
    headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "a",
        "GNU.sparse.realsize": "1" * 13,
    }
    info = tarfile.TarInfo("a")
    info.pax_headers = headers
    content = b"1\n0\n0\n".ljust(512, b"\0")
    info.size = len(content)
    return info.tobuf(tarfile.PAX_FORMAT) + content + bytes(1024)


def zeros() -> bytes:
    info = tarfile.TarInfo("zeros")
    info.size = 40_000_000
    return info.tobuf() + bytes(info.size + 1024)


def large_header() -> bytes:
    """A tar whose header with the name of the next file is larger than the memory for it."""
    info = tarfile.TarInfo("@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 40_000_000
    return info.tobuf() + b"n" * info.size + tarfile.TarInfo("a").tobuf() + bytes(1024)


@EXTRACTORS
@pytest.mark.parametrize("bomb", [sparse, zeros, large_header])
def test_an_archive_that_decompresses_to_more_than_the_limit_is_refused(
    bomb: Callable[[], bytes], extractor: ModuleType, tmp_path: Path
) -> None:
    archive = tmp_path / "model.tar.gz"
    archive.write_bytes(gzip.compress(bomb()))
    assert archive.stat().st_size < 100_000
    tracemalloc.start()
    try:
        with pytest.raises(extractor.ArchiveRefused):
            extractor.extract(archive, tmp_path / "folder", max_bytes=2_000_000)
        assert tracemalloc.get_traced_memory()[1] < 12_000_000
    finally:
        tracemalloc.stop()
    assert sum(path.stat().st_size for path in (tmp_path / "folder").rglob("*")) <= 2_000_000


@EXTRACTORS
def test_more_entries_than_the_limit_are_refused(extractor: ModuleType, tmp_path: Path) -> None:
    archive = write(tmp_path / "model.tar.gz", *(entry(f"{number}", b"") for number in range(6)))
    extractor.extract(archive, tmp_path / "all", max_files=6)
    with pytest.raises(extractor.ArchiveRefused, match="more than 5 entries"):
        extractor.extract(archive, tmp_path / "some", max_files=5)


@EXTRACTORS
@pytest.mark.parametrize(
    "content", [b"", b"no archive", gzip.compress(b"no tar" * 200), b"\x1f\x8b\x08\0" + b"\xff" * 60]
)
def test_what_is_no_archive_is_refused(content: bytes, extractor: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "model.tar.gz").write_bytes(content)
    with pytest.raises(extractor.ArchiveRefused, match=r"model\.tar\.gz"):
        extractor.extract(tmp_path / "model.tar.gz", tmp_path / "folder")


@EXTRACTORS
def test_a_damaged_archive_is_refused(extractor: ModuleType, tmp_path: Path) -> None:
    archive = write(tmp_path / "model.tar.gz", entry("a", bytes(range(256)) * 400))
    archive.write_bytes(archive.read_bytes()[:-300])
    with pytest.raises(extractor.ArchiveRefused):
        extractor.extract(archive, tmp_path / "folder")


@EXTRACTORS
def test_files_are_extracted_with_their_content_and_without_special_permissions(
    extractor: ModuleType, tmp_path: Path
) -> None:
    archive = write(
        tmp_path / "model.tar.gz",
        entry(".", type=tarfile.DIRTYPE),
        entry("./code", type=tarfile.DIRTYPE, mode=0o777),
        entry("./code/run.sh", b"#!/bin/sh\n", mode=0o6777, uid=0),
        entry("a name with spaces é.txt", b"text", mode=0o666),
    )
    extractor.extract(archive, tmp_path / "folder")
    script, text = tmp_path / "folder" / "code" / "run.sh", tmp_path / "folder" / "a name with spaces é.txt"
    assert (script.read_bytes(), script.stat().st_mode & 0o7777) == (b"#!/bin/sh\n", 0o755)
    assert (text.read_bytes(), text.stat().st_mode & 0o7777) == (b"text", 0o644)
