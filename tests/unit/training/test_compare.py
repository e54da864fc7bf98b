"""Champion and challenger on photos that neither learned from."""

import base64
import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training import compare as comparing
from training import metrics
from training.classifier import Recipe
from training.compare import compare, difference
from training.dataset import Dataset, empty
from training.drawn import drawn_photos
from training.holdout import SHARE, split_off
from training.inference import model_fn
from training.labels import load_labelled
from training.train import main as train_main
from training.train import train

VEHICLES = ("bicycle", "motorcycle")
QUICK = Recipe(blank_images=10, folds=2)

# An ONNX graph from photos (N, 32, 32, 3) to `probabilities` that call everything a bicycle.
WHOLE_NETWORK = (
    "CAg61AIKHAoGcGhvdG9zEgFmIgRDYXN0KgkKAnRvGAGgAQIKMgoBZhIBbSIKUmVkdWNlTWVhbioNCgRheGVzQAFAAqABByoPCghr"
    "ZWVwZGltcxgAoAECChEKAW0KAXcSAXoiBk1hdE11bAoTCgF6CgFiEgZsb2dpdHMiA0FkZAotCgZsb2dpdHMSDXByb2JhYmlsaXRp"
    "ZXMiB1NvZnRtYXgqCwoEYXhpcxgBoAECEgFnKi8IAwgDEAFCAXdKJAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    "ACoVCAMQAUIBYkoMAACAPwAAAAAAAAA/WiEKBnBob3RvcxIXChUIAhIRCgMSAU4KAgggCgIIIAoCCANiGQoGbG9naXRzEg8KDQgB"
    "EgkKAxIBTgoCCANiIAoNcHJvYmFiaWxpdGllcxIPCg0IARIJCgMSAU4KAggDQgQKABAR"
)


@pytest.fixture(scope="module")
def data() -> Dataset:
    return drawn_photos(60, seed=5)


@pytest.fixture(scope="module")
def good(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("good")
    train(split_off(data)[0], empty(), VEHICLES, out, recipe=QUICK, version="good")
    return out


@pytest.fixture(scope="module")
def swapped(good: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model, taught the wrong words."""
    out = tmp_path_factory.mktemp("swapped") / "model"
    shutil.copytree(good, out)
    about = json.loads((out / "model.json").read_text())
    about["classes"] = ["motorcycle", "bicycle", "other"]
    imagenet = about["imagenet"]
    about["imagenet"] = {"motorcycle": imagenet["bicycle"], "bicycle": imagenet["motorcycle"]}
    (out / "model.json").write_text(json.dumps(about))
    return out


def test_the_holdout_follows_from_the_pixels_and_not_from_the_company(data: Dataset) -> None:
    held = split_off(data)[1]
    half = data[np.arange(len(data)) % 2 == 0]
    assert 0.3 * SHARE < len(held) / len(data) < 2 * SHARE
    kept = {image.tobytes() for image in held.pictures}
    assert {image.tobytes() for image in split_off(half)[1].pictures} <= kept


def test_the_first_model_is_reported_without_differences(good: Path, data: Dataset) -> None:
    report = compare(good, None, split_off(data)[1], empty(), ("good", "none"))
    assert report["champion"] is None
    assert report["holdout"]["differences"] == {"accuracy": None, "ece": None, "auroc": None}
    assert report["challenger"]["accuracy"] > 0.7
    assert report["challenger"]["latency_ms"] > 0


def test_a_model_against_itself_makes_no_difference(good: Path, data: Dataset) -> None:
    report = compare(good, good, split_off(data)[1], empty(), ("a", "b"))
    assert report["holdout"]["differences"]["accuracy"] == {"mean": 0, "low": 0, "high": 0}


def test_a_model_that_confuses_the_vehicles_is_worse_beyond_doubt(good: Path, swapped: Path, data: Dataset) -> None:
    report = compare(swapped, good, split_off(data)[1], empty(), ("swapped", "good"))
    assert report["holdout"]["differences"]["accuracy"]["high"] < 0
    assert report["challenger"]["recall"]["bicycle"] < report["champion"]["recall"]["bicycle"]


def test_labelled_photos_are_judged_by_what_people_said(good: Path, swapped: Path, data: Dataset) -> None:
    labelled = drawn_photos(10, seed=9).of(VEHICLES)
    report = compare(good, swapped, split_off(data)[1], labelled, ("good", "swapped"))
    assert report["labelled"]["photos"] == len(labelled)
    assert report["labelled"]["challenger_accuracy"] > report["labelled"]["champion_accuracy"]
    assert report["labelled"]["difference"]["mean"] > 0


def test_a_model_that_knows_a_new_vehicle_can_be_compared_with_one_that_does_not(
    good: Path, data: Dataset, tmp_path: Path
) -> None:
    train(split_off(data)[0], empty(), (*VEHICLES, "bus"), tmp_path, recipe=QUICK, version="three")
    report = compare(tmp_path, good, split_off(data)[1], empty(), ("three", "good"))
    assert set(report["challenger"]["recall"]) == {"bicycle", "motorcycle", "bus"}
    assert report["champion"]["recall"]["bus"] == 0


def whole_network(folder: Path) -> Path:
    """A model of the format before the frozen backbone: one ONNX file from pixels to probabilities."""
    folder.mkdir()
    (folder / "model.onnx").write_bytes(base64.b64decode(WHOLE_NETWORK))
    about = {"classes": [*VEHICLES, "other"], "threshold": 0.9, "version": "old", "temperature": 1.0}
    (folder / "model.json").write_text(json.dumps(about))
    return folder


def test_a_champion_that_sees_32_pixels_is_compared_by_its_own_preprocessing(
    good: Path, data: Dataset, tmp_path: Path
) -> None:
    old = whole_network(tmp_path / "old")
    assert model_fn(old).side == 32
    report = compare(good, old, split_off(data)[1], empty(), ("good", "old"))
    assert report["champion"]["accuracy"] == pytest.approx(0.5, abs=0.2)  # it calls everything a bicycle
    assert report["challenger"]["accuracy"] > report["champion"]["accuracy"]


def test_the_bootstrap_is_paired() -> None:
    truth = np.array([0, 1] * 50)
    ours = np.where(truth[:, None] == np.arange(3), 0.8, 0.1)
    theirs = ours.copy()
    theirs[0] = [0.1, 0.8, 0.1]
    found = difference(metrics.accuracy, ours, theirs, truth)
    assert found is not None
    assert found["mean"] == pytest.approx(0.01)
    assert 0 <= found["low"] <= found["high"] < 0.05


def labelled_folder(folder: Path) -> None:
    (folder / "snapshot").mkdir()
    (folder / "labelled").mkdir()
    photos = drawn_photos(2, seed=3)
    entries = []
    for number, (image, label) in enumerate(zip(photos.pictures, photos.labels, strict=True)):
        Image.fromarray(image).save(folder / "labelled" / f"{number}.png")
        use = "evaluate" if number % 2 else "train"
        entries.append({"photo_id": str(number), "file": f"{number}.png", "label": str(label), "use": use})
    (folder / "labelled" / "broken.png").write_bytes(b"no photo")
    entries.append({"photo_id": "broken", "file": "broken.png", "label": "bicycle", "use": "train"})
    (folder / "snapshot" / "manifest.json").write_text(json.dumps({"photos": entries}))


def test_a_photo_kept_for_evaluation_is_never_learned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labelled_folder(tmp_path)
    learned = load_labelled(tmp_path / "snapshot", tmp_path / "labelled", use="train")
    judged = load_labelled(tmp_path / "snapshot", tmp_path / "labelled", use="evaluate")
    assert len(learned) == len(judged) == 6
    assert not {i.tobytes() for i in learned.pictures} & {i.tobytes() for i in judged.pictures}
    assert "labelled photo broken is left out" in capsys.readouterr().out


def test_the_job_trains_on_labels_and_chosen_classes_and_leaves_the_holdout_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    labelled_folder(tmp_path)
    drawn_photos(20, seed=1).save(tmp_path / "base" / "images.npz")
    vehicles = tmp_path / "vehicles.toml"
    vehicles.write_text("[vehicles.bicycle]\n[vehicles.motorcycle]\n[vehicles.bus]\n")
    arguments = ["train", "--classes", "bus,bicycle", "--vehicles", str(vehicles)]
    for channel in ("snapshot", "labelled"):
        arguments += [f"--{channel}", str(tmp_path / channel)]
    arguments += ["--training", str(tmp_path / "base"), "--model-dir", str(tmp_path / "model")]
    monkeypatch.setattr(sys, "argv", arguments)
    assert train_main() == 0
    printed = capsys.readouterr().out
    held = len(split_off(drawn_photos(20, seed=1))[1])
    assert f"{held} pictures are the holdout" in printed
    assert re.search(r"labelled: \d bicycle, \d bus, \d other", printed)
    assert "features: " in printed
    about = json.loads((tmp_path / "model" / "model.json").read_text())
    assert about["classes"] == ["bicycle", "bus", "other"]


def test_the_evaluation_job_writes_its_report(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tarfile

    labelled_folder(tmp_path)
    drawn_photos(30, seed=2).save(tmp_path / "base" / "images.npz")
    for role in ("challenger", "champion"):
        (tmp_path / role).mkdir()
        with tarfile.open(tmp_path / role / "model.tar.gz", "w:gz") as tar:
            tar.add(good, arcname=".")
    arguments = ["compare", "--champion-version", "old", "--challenger-version", "new", "--out", str(tmp_path / "out")]
    for name in ("challenger", "champion", "base", "snapshot", "labelled"):
        arguments += [f"--{name}", str(tmp_path / name)]
    monkeypatch.setattr(sys, "argv", arguments)
    assert comparing.main() == 0
    report = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert (report["challenger"]["model_version"], report["champion"]["model_version"]) == ("new", "old")
    assert report["labelled"]["photos"] == 6
