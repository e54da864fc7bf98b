"""Evaluating a model on class folders of photos."""

import json
import sys
import tarfile

import pytest
from PIL import Image

from operate.evaluate import EvaluationError, evaluate_photos
from operate.evaluate import main as evaluate_main
from operate.initial_model import write_initial_model
from operate.synthetic_photos import synthetic_photos
from training.inference import load_model


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    write_initial_model(folder)
    return folder


@pytest.fixture
def photos(tmp_path):
    data = synthetic_photos(6, seed=0)
    folder = tmp_path / "photos"
    for name in ("bicycle", "motorcycle", "house"):
        (folder / name).mkdir(parents=True)
        for i, image in enumerate(data.with_labels([name]).images[:6]):
            Image.fromarray(image).save(folder / name / f"{i}.png")
    (folder / "house" / "broken.jpg").write_bytes(b"\xff\xd8 half a photo")
    (folder / "house" / "LICENSE.txt").write_text("no photo, and none expected")
    return folder


def test_photos_of_other_folders_count_as_other_and_unreadable_files_are_named(model_dir, photos):
    report = evaluate_photos(load_model(model_dir), photos)
    assert (report["vehicles"], report["others"]) == (12, 6)
    assert report["unreadable_files"] == ["house/broken.jpg"]
    assert report["auroc"] is not None
    assert report["classes"]["house"]["coverage"] is None


def test_a_model_tar_gz_is_evaluated_and_the_report_is_written(model_dir, photos, tmp_path, monkeypatch, capsys):
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as tar:
        tar.add(model_dir, arcname=".")
    out = tmp_path / "reports" / "evaluation.json"
    arguments = ["--model", str(tmp_path / "model.tar.gz"), "--photos", str(photos), "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["evaluate", *arguments])
    assert evaluate_main() == 0
    assert json.loads(out.read_text())["model_version"] == load_model(model_dir).version
    shown = capsys.readouterr().out
    assert "accuracy_with_other" in shown
    assert "house/broken.jpg" in shown


def test_a_folder_without_photos_is_an_error_that_names_the_layout(model_dir, tmp_path):
    with pytest.raises(EvaluationError, match="class folders"):
        evaluate_photos(load_model(model_dir), tmp_path)


def test_a_missing_model_is_named_and_the_command_fails(tmp_path, photos, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["evaluate", "--model", str(tmp_path / "no.tar.gz"), "--photos", str(photos)])
    assert evaluate_main() == 1
    assert "train one first" in capsys.readouterr().err
