"""The files of a model, and reading them from model.tar.gz."""

import json
import shutil
import tarfile
from pathlib import Path

import pytest

from training.artifact import ModelArchiveError, unpack_model
from training.digests import DIGESTS_NAME, DigestError
from training.inference import load_model


def test_the_model_folder_holds_every_file_of_model_tar_gz(model_dir):
    files = {str(path.relative_to(model_dir)) for path in model_dir.rglob("*") if path.is_file()}
    assert files == {
        "backbone.onnx",
        "baseline.json",
        "head.npz",
        "model.json",
        "evaluation.json",
        "model-card.md",
        "model-card.png",
        "SHA256SUMS",
    }
    about = json.loads((model_dir / "model.json").read_text())
    assert about["classes"] == ["bicycle", "motorcycle", "other"]
    assert about["version"] == "test-1"
    assert 0.5 <= about["threshold"] <= 1
    assert sum(path.stat().st_size for path in model_dir.rglob("*.*") if path.suffix in (".onnx", ".npz")) <= 13_000_000
    report = json.loads((model_dir / "evaluation.json").read_text())
    assert report["threshold"] == about["threshold"]


def pack(folder: Path, archive: Path) -> Path:
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, ".")
    return archive


@pytest.fixture
def changed(model_dir, tmp_path):
    """A copy of a model, to be changed."""
    return Path(shutil.copytree(model_dir, tmp_path / "model"))


def test_a_model_is_unpacked_with_the_files_that_training_wrote(model_dir, tmp_path):
    with unpack_model(pack(model_dir, tmp_path / "model.tar.gz")) as folder:
        assert (folder / "model.json").read_bytes() == (model_dir / "model.json").read_bytes()


@pytest.mark.parametrize("name", ["backbone.onnx", "baseline.json", "head.npz", "model.json", "evaluation.json"])
def test_a_changed_file_of_a_model_is_refused_before_any_is_parsed(changed, name, tmp_path, monkeypatch):
    content = bytearray((changed / name).read_bytes())
    content[len(content) // 2] ^= 1
    (changed / name).write_bytes(content)
    for parser in ("load_backbone", "np.load", "json.loads"):
        monkeypatch.setattr(f"training.inference.{parser}", lambda *_, **__: pytest.fail("it was parsed"))
    for refused in load(changed, tmp_path):
        assert name in refused
        assert "make rollback" in refused


def load(folder: Path, tmp_path: Path) -> list[str]:
    """The errors of the endpoint and of unpacking model.tar.gz."""
    with pytest.raises(DigestError) as endpoint:
        load_model(folder)
    with pytest.raises(ModelArchiveError) as unpacked, unpack_model(pack(folder, tmp_path / "model.tar.gz")):
        pass
    return [str(endpoint.value), str(unpacked.value)]


def test_a_missing_file_of_a_model_is_refused(changed, tmp_path):
    (changed / "head.npz").unlink()
    assert all("head.npz is missing" in refused for refused in load(changed, tmp_path))


def test_a_file_that_training_did_not_write_is_refused(changed, tmp_path):
    (changed / "sitecustomize.py").write_text("")
    assert all("sitecustomize.py is not in" in refused for refused in load(changed, tmp_path))


def test_a_model_without_digests_is_refused(changed, tmp_path):
    (changed / DIGESTS_NAME).unlink()
    assert all(f"{DIGESTS_NAME} cannot be read" in refused for refused in load(changed, tmp_path))


@pytest.mark.parametrize("line", ["", "x  model.json", f"{'0' * 64}  model.json", f"{'0' * 63} model.json"])
def test_digests_with_a_damaged_or_a_second_line_for_a_file_are_refused(changed, tmp_path, line):
    with (changed / DIGESTS_NAME).open("a") as file:
        file.write(f"{line}\n")
    assert all(f"{DIGESTS_NAME} has the line" in refused for refused in load(changed, tmp_path))


def test_a_link_in_place_of_a_file_is_refused(changed, tmp_path):
    (changed / "head.npz").rename(tmp_path / "elsewhere.npz")
    (changed / "head.npz").symlink_to(tmp_path / "elsewhere.npz")
    with pytest.raises(DigestError, match=r"head\.npz"):
        load_model(changed)


def test_a_missing_model_is_an_error(tmp_path):
    with pytest.raises(ModelArchiveError, match="train one first"), unpack_model(tmp_path / "model.tar.gz"):
        pass
