"""Where the photos of a batch are, and how they get to the stage."""

from pathlib import Path

import boto3
import pytest

from deploy.outputs import Deployed
from operate.batch_source import Source, prepare_address, prepare_folder
from operate.errors import CommandError

OTHER = "yard-bucket"


class Progress:
    """What was shown: numbers of photos that are there, and of all."""

    def __init__(self) -> None:
        self.shown: list[tuple[int, int]] = []

    def __call__(self, done: int, total: int) -> None:
        self.shown.append((done, total))


@pytest.fixture
def yard(tmp_path: Path) -> Path:
    folder = tmp_path / "yard"
    for name in ("a.jpg", "deep/a.jpg", "b.PNG"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    (folder / "notes.txt").write_text("no photo")
    return folder


def folder(deployed: Deployed, path: Path, batch_id: str = "", progress: Progress | None = None) -> Source:
    return prepare_folder(deployed, path, batch_id, progress or Progress())


def address(deployed: Deployed, where: str, batch_id: str = "", progress: Progress | None = None) -> Source:
    return prepare_address(deployed, where, batch_id, progress or Progress())


def uploaded(deployed: Deployed) -> dict[str, bytes]:
    """The objects in the uploads bucket."""
    s3 = boto3.client("s3")
    listed = s3.list_objects_v2(Bucket=deployed.uploads_bucket).get("Contents", [])
    keys = [found["Key"] for found in listed]
    return {key: s3.get_object(Bucket=deployed.uploads_bucket, Key=key)["Body"].read() for key in keys}


def test_a_path_that_does_not_exist_is_refused_and_nothing_else_is_searched(
    deployed: Deployed, yard: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("operate.batch_source.find_photos", lambda root: pytest.fail(f"searched {root}"))
    with pytest.raises(CommandError, match="There is no photo or folder"):
        folder(deployed, yard / "missing")
    assert folder(deployed, yard / "b.PNG").kind == "prefix"
    with pytest.raises(CommandError, match="There is no JPEG"):
        folder(deployed, yard / "notes.txt")


def test_a_bucket_that_cannot_be_listed_is_named(deployed: Deployed) -> None:
    with pytest.raises(CommandError, match=r"s3://no-such-bucket-1/yard/ cannot be listed \(NoSuchBucket\)"):
        address(deployed, "s3://no-such-bucket-1/yard/")


def test_a_folder_is_uploaded_below_a_prefix_that_starts_nothing(deployed: Deployed, yard: Path) -> None:
    progress = Progress()
    source = folder(deployed, yard, "yard", progress)
    assert (source.kind, source.address) == ("prefix", f"s3://{deployed.uploads_bucket}/batches/yard/")
    objects = uploaded(deployed)
    assert all(key.startswith("batches/yard/") for key in objects)
    assert sorted(objects.values()) == [b"a.jpg", b"b.PNG", b"deep/a.jpg"]
    assert progress.shown[0] == (0, 3)
    assert progress.shown[-1] == (3, 3)


def test_the_id_of_a_folder_changes_with_its_photos_only(deployed: Deployed, yard: Path) -> None:
    first = folder(deployed, yard).id
    (yard / "more.txt").write_text("no photo")
    assert folder(deployed, yard).id == first
    (yard / "c.jpg").write_bytes(b"c")
    assert folder(deployed, yard).id != first


def test_what_is_there_is_not_uploaded_again(deployed: Deployed, yard: Path) -> None:
    folder(deployed, yard, "yard")
    key = min(uploaded(deployed))
    boto3.client("s3").put_object(Bucket=deployed.uploads_bucket, Key=key, Body=b"as it was")
    progress = Progress()
    folder(deployed, yard, "yard", progress)
    assert uploaded(deployed)[key] == b"as it was"
    assert progress.shown == [(3, 3)]


def test_one_photo_is_a_batch_too(deployed: Deployed, yard: Path) -> None:
    source = folder(deployed, yard / "a.jpg", "one")
    assert list(uploaded(deployed).values()) == [b"a.jpg"]
    assert source.left_out == ()


def test_an_upload_that_fails_is_not_hidden(deployed: Deployed, yard: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "open", lambda *_, **__: (_ for _ in ()).throw(PermissionError("not readable")))
    with pytest.raises(PermissionError):
        folder(deployed, yard, "yard")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("batches/yard/", "prefix"),
        ("list.csv", "csv"),
        ("list.jsonl", "jsonl"),
        ("inventory/manifest.json", "inventory"),
    ],
)
def test_an_address_in_the_uploads_bucket_is_read_where_it_is(deployed: Deployed, name: str, kind: str) -> None:
    where = f"s3://{deployed.uploads_bucket}/{name}"
    found = address(deployed, where)
    assert (found.kind, found.address) == (kind, where)
    assert found.id == address(deployed, where).id
    assert address(deployed, where, "mine").id == "mine"
    assert uploaded(deployed) == {}


def test_the_photos_of_another_bucket_are_copied_once(deployed: Deployed) -> None:
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket=OTHER, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    for key in ("in/a.jpg", "in/b/a.jpg", "in/notes.txt", "out/c.jpg"):
        s3.put_object(Bucket=OTHER, Key=key, Body=key.encode())
    source = address(deployed, f"s3://{OTHER}/in/", "copied")
    assert source.address == f"s3://{deployed.uploads_bucket}/batches/copied/"
    assert sorted(uploaded(deployed).values()) == [b"in/a.jpg", b"in/b/a.jpg"]
    progress = Progress()
    address(deployed, f"s3://{OTHER}/in/", "copied", progress)
    assert progress.shown == [(2, 2)]
    with pytest.raises(CommandError, match="There is no JPEG"):
        address(deployed, f"s3://{OTHER}/nothing/")


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("s3://uploads-bucket/batches/yard", "is neither a folder"),
        ("s3://yard-bucket/list.csv", "Copy it to s3://uploads-bucket/batches/ first"),
    ],
)
def test_an_address_that_cannot_be_read_is_refused(deployed: Deployed, where: str, message: str) -> None:
    with pytest.raises(CommandError, match=message):
        address(deployed, where)


def test_a_folder_without_photos_is_refused(deployed: Deployed, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="There is no JPEG"):
        folder(deployed, tmp_path)
