"""Downloading and reading the CIFAR-100 archive."""

import io
import pickle
import tarfile
from email.message import Message

import pytest

from operate.cifar100 import ArchiveError, cached_archive, download, read


def test_an_archive_that_would_run_code_is_refused(tmp_path):
    class Harmful:
        def __reduce__(self):
            return (open, (str(tmp_path / "harm"), "w"))

    with tarfile.open(tmp_path / "bad.tar.gz", "w:gz") as tar:
        for name in ("meta", "train", "test"):
            packed = pickle.dumps(Harmful())
            entry = tarfile.TarInfo(f"cifar-100-python/{name}")
            entry.size = len(packed)
            tar.addfile(entry, io.BytesIO(packed))
    with pytest.raises(ArchiveError):
        read(tmp_path / "bad.tar.gz")
    assert not (tmp_path / "harm").exists()


def test_a_download_with_another_checksum_is_refused_and_leaves_no_file(monkeypatch, tmp_path):
    response = io.BytesIO(b"half an archive")
    response.headers = Message()
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: response)
    lines = []
    with pytest.raises(OSError, match="another checksum"):
        download(tmp_path / "cifar.tar.gz", lines.append)
    assert list(tmp_path.iterdir()) == []


def test_the_archive_is_cached_below_the_cache_folder_of_the_user(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cached_archive().is_relative_to(tmp_path)
