"""The files of a model, and reading them from model.tar.gz."""

import json
import tarfile

import pytest

from local.sagemaker.aws import unpack
from training.artifact import ModelArchiveError, unpack_model


def test_the_model_folder_holds_every_file_of_model_tar_gz(model_dir):
    files = {str(path.relative_to(model_dir)) for path in model_dir.rglob("*") if path.is_file()}
    assert {
        "backbone.onnx",
        "head.npz",
        "model.json",
        "evaluation.json",
        "model-card.md",
        "model-card.png",
        "code/inference.py",
        "code/requirements.txt",
        "code/training/inference.py",
        "code/training/images.py",
    } <= files
    about = json.loads((model_dir / "model.json").read_text())
    assert about["classes"] == ["bicycle", "motorcycle", "other"]
    assert about["version"] == "test-1"
    assert 0.5 <= about["threshold"] <= 1
    assert sum(path.stat().st_size for path in model_dir.rglob("*.*") if path.suffix in (".onnx", ".npz")) <= 13_000_000
    report = json.loads((model_dir / "evaluation.json").read_text())
    assert report["threshold"] == about["threshold"]


def test_a_model_is_unpacked_by_a_python_without_extraction_filters(tmp_path, monkeypatch):
    """Debian 12 has Python 3.11.2, whose TarFile.extractall takes no `filter`."""
    (tmp_path / "model.json").write_text("{}")
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "model.json", "model.json")
    extract_all = tarfile.TarFile.extractall
    monkeypatch.delattr(tarfile, "data_filter", raising=False)
    monkeypatch.setattr(tarfile.TarFile, "extractall", lambda tar, path: extract_all(tar, path))
    with unpack_model(tmp_path / "model.tar.gz") as folder:
        assert (folder / "model.json").read_text() == "{}"
    unpack(tmp_path / "model.tar.gz", tmp_path / "unpacked")
    assert (tmp_path / "unpacked" / "model.json").is_file()


def test_a_missing_model_is_an_error(tmp_path):
    with pytest.raises(ModelArchiveError, match="train one first"), unpack_model(tmp_path / "model.tar.gz"):
        pass
