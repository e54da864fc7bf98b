"""The artifact of the initial model, built from the files in training/."""

import json
import tarfile
from pathlib import Path

from PIL import Image

from operate.initial_model import build_artifact, write_initial_model
from tests.support.training import jpeg
from training.inference import classify, load_model
from training.vehicles import configured_vehicles


def test_the_same_code_and_configuration_give_the_same_artifact(tmp_path: Path) -> None:
    first, second = (build_artifact(tmp_path / name) for name in ("one", "two"))
    assert first.read_bytes() == second.read_bytes()


def test_the_artifact_is_a_model_that_names_its_version(tmp_path: Path) -> None:
    with tarfile.open(build_artifact(tmp_path)) as tar:
        names = tar.getnames()
        file = tar.extractfile("model.json")
        assert file is not None
        about = json.load(file)
    assert set(names) == {"backbone.onnx", "baseline.json", "head.npz", "model.json", "SHA256SUMS"}
    assert about["classes"] == [*configured_vehicles(), "other"]
    assert about["version"].startswith("initial-")


def test_the_initial_model_classifies_without_any_data(tmp_path):
    write_initial_model(tmp_path)
    model = load_model(tmp_path)
    assert model.classes == (*configured_vehicles(), "other")
    assert model.version.startswith("initial-")
    assert classify(jpeg(Image.new("RGB", (640, 480), "white")), model)["vehicle"] == "other"
