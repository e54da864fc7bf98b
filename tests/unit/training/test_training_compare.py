"""Champion and challenger on photos that neither learned from."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training import compare as comparing
from training import metrics
from training.compare import compare, difference
from training.dataset import Dataset
from training.drawn import drawn_photos
from training.fit import Recipe
from training.holdout import SHARE, split_off
from training.labels import load_labelled
from training.train import main as train_main
from training.train import train

VEHICLES = ("bicycle", "motorcycle")


@pytest.fixture(scope="module")
def data() -> Dataset:
    return drawn_photos(60, seed=5)


@pytest.fixture(scope="module")
def good(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("good")
    train(split_off(data)[0], VEHICLES, out, recipe=Recipe(epochs=12), version="good")
    return out


@pytest.fixture(scope="module")
def swapped(good: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model, taught the wrong words."""
    out = tmp_path_factory.mktemp("swapped") / "model"
    shutil.copytree(good, out)
    about = json.loads((out / "model.json").read_text())
    about["classes"] = ["motorcycle", "bicycle", "other"]
    (out / "model.json").write_text(json.dumps(about))
    return out


def empty() -> Dataset:
    return drawn_photos(1, seed=0)[np.zeros(6, dtype=bool)]


def test_the_holdout_follows_from_the_pixels_and_not_from_the_company(data: Dataset) -> None:
    held = split_off(data)[1]
    half = data[np.arange(len(data)) % 2 == 0]
    assert 0.3 * SHARE < len(held) / len(data) < 2 * SHARE
    kept = {image.tobytes() for image in held.images}
    assert {image.tobytes() for image in split_off(half)[1].images} <= kept


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
    train(split_off(data)[0], (*VEHICLES, "bus"), tmp_path, recipe=Recipe(epochs=1), version="three")
    report = compare(tmp_path, good, split_off(data)[1], empty(), ("three", "good"))
    assert set(report["challenger"]["recall"]) == {"bicycle", "motorcycle", "bus"}
    assert report["champion"]["recall"]["bus"] == 0


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
    for number, (image, label) in enumerate(zip(photos.images, photos.labels, strict=True)):
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
    assert not {i.tobytes() for i in learned.images} & {i.tobytes() for i in judged.images}
    assert "labelled photo broken is left out" in capsys.readouterr().out


def test_the_job_trains_on_labels_and_chosen_classes_and_leaves_the_holdout_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    labelled_folder(tmp_path)
    drawn_photos(20, seed=1).save(tmp_path / "base" / "images.npz")
    vehicles = tmp_path / "vehicles.toml"
    vehicles.write_text("[vehicles.bicycle]\n[vehicles.motorcycle]\n[vehicles.bus]\n")
    arguments = ["train", "--epochs", "1", "--classes", "bus,bicycle", "--vehicles", str(vehicles)]
    for channel in ("snapshot", "labelled"):
        arguments += [f"--{channel}", str(tmp_path / channel)]
    arguments += ["--training", str(tmp_path / "base"), "--model-dir", str(tmp_path / "model")]
    monkeypatch.setattr(sys, "argv", arguments)
    assert train_main() == 0
    printed = capsys.readouterr().out
    held = len(split_off(drawn_photos(20, seed=1))[1])
    assert f"{held} images are the holdout" in printed
    assert "6 photos were labelled by people" in printed
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
