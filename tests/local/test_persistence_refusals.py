"""A damaged state, and a state of another version, are refused in one sentence; a torn write changes nothing."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

import local
from local.persistence import snapshot
from local.persistence.blobs import Blobs
from local.persistence.errors import StateRefused
from local.persistence.snapshot import Ended, Entry
from tests.local.aws import Aws
from tests.support.network import free_port

PORT = 4566
LARGE = b"photo" * 2000
ENTRIES = [
    Entry("sqs", "queues", "AccountRegionScopedDict", ("1", "eu-west-1", "q"), {"messages": [{"body": "x"}], 1: {2}}),
    Entry("s3", "objects", "", (("1", "b"), "k"), {"body": LARGE, "size": len(LARGE)}),
    Entry("stepfunctions", "executions", "AccountRegionScopedDict", ("1", "r", "arn"), {"status": "FAILED"}),
]


def write(folder: Path, entries: list[Entry] | None = None) -> Path:
    path = folder / "snapshot"
    snapshot.write(path, PORT, ENTRIES if entries is None else entries, Blobs(folder / "blobs"), ("s3",))
    return path


def read(path: Path, port: int = PORT) -> list[Entry]:
    return list(snapshot.read(path, port, Blobs(path.parent / "blobs")))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = write(tmp_path)
    assert read(path) == ENTRIES
    assert LARGE not in path.read_bytes()


def test_an_ended_record_is_written_once_and_again_in_a_new_version(tmp_path: Path) -> None:
    blobs, record = Blobs(tmp_path / "blobs"), {"status": "FAILED"}
    written = []

    def put(version: int) -> str:
        return blobs.put_record(record, version, lambda: written.append(version) or pickle.dumps(record))  # type: ignore[func-returns-value]

    assert put(1) == put(1)
    record["status"] = "RUNNING"
    put(2)
    assert written == [1, 2]


def test_an_ended_record_is_read_as_it_was(tmp_path: Path) -> None:
    record = {"status": "FAILED", "output": LARGE.decode()}
    path = write(tmp_path, [Entry("stepfunctions", "executions", "", None, Ended(record, (1, 2)))])
    assert LARGE not in path.read_bytes()
    assert [entry.value for entry in read(path)] == [record]


@pytest.mark.parametrize("position", [1, 100, -1])
def test_a_changed_byte_is_refused(tmp_path: Path, position: int) -> None:
    path = write(tmp_path)
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    with pytest.raises(StateRefused, match=r"snapshot.*make down DATA=yes"):
        read(path)


@pytest.mark.parametrize("length", [0, 10, 200])
def test_a_file_that_ends_early_is_refused(tmp_path: Path, length: int) -> None:
    path = write(tmp_path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(StateRefused, match=r"snapshot.*make down DATA=yes"):
        read(path)


@pytest.mark.parametrize("content", [None, b"another"])
def test_a_missing_or_changed_object_body_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = write(tmp_path)
    (body,) = (tmp_path / "blobs").iterdir()
    body.unlink() if content is None else body.write_bytes(content)
    with pytest.raises(StateRefused, match=rf"{body.name}.*make down DATA=yes"):
        read(path)


def test_a_class_that_no_state_contains_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, [Entry("sqs", "queues", "", None, Path("x"))])
    with pytest.raises(StateRefused, match="is not restored"):
        read(path)


def test_the_state_of_another_version_or_port_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path)
    with pytest.raises(StateRefused, match=f"belongs to port {PORT}.*LOCAL_AWS_PORT={PORT}"):
        read(path, PORT + 1)
    monkeypatch.setattr(snapshot, "version", lambda name: "9.9.9")
    with pytest.raises(StateRefused, match=r"and this is ministack 9\.9\.9, format 1; .*make down DATA=yes"):
        read(path)


def test_a_write_that_fails_leaves_the_previous_state(tmp_path: Path) -> None:
    path = write(tmp_path)

    def failing() -> object:
        yield ENTRIES[0]
        raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space"):
        snapshot.write(path, PORT, failing(), Blobs(tmp_path / "blobs"), ())  # type: ignore[arg-type]
    assert read(path) == ENTRIES


def test_the_rest_of_a_write_that_was_killed_is_ignored(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.with_name("snapshot.tmp").write_bytes(path.read_bytes()[:50])
    assert read(path) == ENTRIES


def test_a_record_that_cannot_be_saved_is_named_and_the_others_are_saved(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path, [Entry("sqs", "queues", "", "lambda", lambda: None), *ENTRIES])
    assert read(path) == ENTRIES
    assert "Not saved: sqs, queues, 'lambda'" in caplog.text


def test_up_refuses_a_damaged_state_in_one_sentence_until_it_is_forgotten(tmp_path: Path) -> None:
    settings = local.Settings(port=free_port(), authorization=False, directory=tmp_path / "aws")
    server, _started = local.start(settings)
    Aws(server).create_bucket()
    local.stop(settings)
    path = settings.state / "snapshot"
    kept = path.read_bytes()[:-1]
    path.write_bytes(kept)
    with pytest.raises(local.LocalAwsError, match=r"^The saved state is damaged \(.*snapshot: .*make down DATA=yes$"):
        local.start(settings)
    assert path.read_bytes() == kept
    local.stop(settings, forget=True)
    server, _started = local.start(settings)
    local.stop(settings)
