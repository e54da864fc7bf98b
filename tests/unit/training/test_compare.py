"""Champion and challenger on photos that neither was trained on."""

import json
import shutil
import tarfile
from pathlib import Path

import jsonschema
import numpy as np
import pytest

import events
from operate.synthetic_photos import synthetic_photos
from tests.support.training import QUICK_RECIPE, VEHICLES, write_labelled_photos
from training import compare as comparing
from training import metrics
from training.compare import compare, paired_difference
from training.dataset import Dataset, empty
from training.digests import write_digests
from training.holdout import split_holdout
from training.inference import load_model
from training.train import train

# An ONNX graph from photos (N, 32, 32, 3) to `probabilities`, of which that of bicycle is always the highest.


@pytest.fixture(scope="module")
def data() -> Dataset:
    return synthetic_photos(60, seed=5)


@pytest.fixture(scope="module")
def good(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("good")
    train(split_holdout(data)[0], empty(), VEHICLES, out, recipe=QUICK_RECIPE, version="good")
    return out


@pytest.fixture(scope="module")
def swapped(good: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model with its class names swapped."""
    out = tmp_path_factory.mktemp("swapped") / "model"
    shutil.copytree(good, out)
    about = json.loads((out / "model.json").read_text())
    about["classes"] = ["motorcycle", "bicycle", "other"]
    imagenet = about["imagenet"]
    about["imagenet"] = {"motorcycle": imagenet["bicycle"], "bicycle": imagenet["motorcycle"]}
    (out / "model.json").write_text(json.dumps(about))
    write_digests(out)
    return out


def test_the_first_model_is_reported_without_differences(good: Path, data: Dataset) -> None:
    report = compare(good, None, split_holdout(data)[1], empty(), ("good", "none"))
    assert report["champion"] is None
    assert report["holdout"]["differences"] == {"accuracy": None, "ece": None, "auroc": None}
    assert report["challenger"]["accuracy"] > 0.7
    assert report["challenger"]["latency_ms"] > 0


def test_a_model_compared_with_itself_has_no_difference(good: Path, data: Dataset) -> None:
    report = compare(good, good, split_holdout(data)[1], empty(), ("a", "b"))
    assert report["holdout"]["differences"]["accuracy"] == {"mean": 0, "low": 0, "high": 0}


def test_a_model_that_confuses_the_vehicles_is_significantly_worse(good: Path, swapped: Path, data: Dataset) -> None:
    report = compare(swapped, good, split_holdout(data)[1], empty(), ("swapped", "good"))
    assert report["holdout"]["differences"]["accuracy"]["high"] < 0
    assert report["challenger"]["recall"]["bicycle"] < report["champion"]["recall"]["bicycle"]


def test_labelled_photos_are_compared_with_their_labels(good: Path, swapped: Path, data: Dataset) -> None:
    labelled = synthetic_photos(10, seed=9).with_labels(VEHICLES)
    report = compare(good, swapped, split_holdout(data)[1], labelled, ("good", "swapped"))
    assert report["labelled"]["photos"] == len(labelled)
    assert report["labelled"]["challenger_accuracy"] > report["labelled"]["champion_accuracy"]
    assert report["labelled"]["difference"]["mean"] > 0


def test_a_model_with_a_new_vehicle_is_compared_with_one_without(good: Path, data: Dataset, tmp_path: Path) -> None:
    train(split_holdout(data)[0], empty(), (*VEHICLES, "bus"), tmp_path, recipe=QUICK_RECIPE, version="three")
    report = compare(tmp_path, good, split_holdout(data)[1], empty(), ("three", "good"))
    assert set(report["challenger"]["recall"]) == {"bicycle", "motorcycle", "bus"}
    assert report["champion"]["recall"]["bus"] == 0


def test_a_challenger_is_compared_with_the_reference_model_too(good: Path, swapped: Path, data: Dataset) -> None:
    holdout = split_holdout(data)[1]
    report = compare(swapped, swapped, holdout, empty(), ("new", "old"), ("oldest", good))
    assert report["holdout"]["differences"]["accuracy"]["low"] == 0
    reference = report["reference"]
    assert (reference["model_version"], reference["error"]) == ("oldest", None)
    assert reference["differences"]["accuracy"]["high"] < 0
    assert reference["metrics"]["accuracy"] > report["challenger"]["accuracy"]


def test_a_reference_that_is_the_champion_is_not_computed_twice(
    good: Path, swapped: Path, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = []
    monkeypatch.setattr(comparing, "load_model", lambda folder: loaded.append(folder) or load_model(folder))
    report = compare(good, swapped, split_holdout(data)[1], empty(), ("new", "old"), ("old", Path("not-read")))
    assert len(loaded) == 2
    assert report["reference"]["metrics"] == report["champion"]
    assert report["reference"]["differences"] == report["holdout"]["differences"]


def test_a_vehicle_that_only_the_challenger_knows_hides_no_loss_on_the_others(
    good: Path, data: Dataset, tmp_path: Path
) -> None:
    """The challenger is worse on motorcycles; with the photos of a bus, it would be more accurate than the others."""
    vehicles = (*VEHICLES, "bus")
    labels = data.labels.copy()
    labels[(labels == "motorcycle") & (np.arange(len(labels)) % 2 == 0)] = "bicycle"
    train(split_holdout(data)[0], empty(), vehicles, tmp_path / "good", recipe=QUICK_RECIPE, version="three")
    worse = split_holdout(Dataset(data.images, labels))[0]
    train(worse, empty(), vehicles, tmp_path / "worse", recipe=QUICK_RECIPE, version="worse")
    holdout = split_holdout(data)[1]
    report = compare(tmp_path / "worse", good, holdout, empty(), ("worse", "good"), ("oldest", good))
    assert report["challenger"]["accuracy"] > report["champion"]["accuracy"]
    assert report["holdout"]["differences"]["accuracy"]["mean"] < 0
    assert report["reference"]["differences"]["accuracy"]["mean"] < 0
    assert set(report["reference"]["metrics"]["recall"]) == set(VEHICLES)
    assert report["reference"]["metrics"]["accuracy"] > report["champion"]["accuracy"]
    equal = compare(tmp_path / "good", good, holdout, empty(), ("three", "good"), ("oldest", good))
    assert abs(equal["reference"]["differences"]["accuracy"]["mean"]) < 0.05


def test_a_reference_that_cannot_be_read_is_reported_with_the_error(good: Path, data: Dataset, tmp_path: Path) -> None:
    about = json.loads((good / "model.json").read_text())
    for name, content in (("no-json", "{"), ("no-classes", json.dumps({**about, "classes": None}))):
        shutil.copytree(good, tmp_path / name)
        (tmp_path / name / "model.json").write_text(content)
    shutil.copytree(good, tmp_path / "damaged")
    (tmp_path / "damaged" / "backbone.onnx").write_bytes(b"no graph")
    (tmp_path / "model.tar.gz").write_bytes(b"no archive")
    for name in ("no-json", "no-classes", "damaged", "model.tar.gz"):
        reference = ("oldest", tmp_path / name)
        report = compare(good, good, split_holdout(data)[1], empty(), ("new", "old"), reference)["reference"]
        assert report["error"], name
        assert (report["model_version"], report["metrics"]) == ("oldest", None)
        assert report["differences"] == {"accuracy": None, "ece": None, "auroc": None}


def test_the_bootstrap_is_paired() -> None:
    truth = np.array([0, 1] * 50)
    challenger = np.where(truth[:, None] == np.arange(3), 0.8, 0.1)
    champion = challenger.copy()
    champion[0] = [0.1, 0.8, 0.1]
    found = paired_difference(metrics.accuracy, challenger, champion, truth)
    assert found is not None
    assert found["mean"] == pytest.approx(0.01)
    assert 0 <= found["low"] <= found["high"] < 0.05


def write_job(good: Path, folder: Path) -> list[str]:
    """Write the input of an evaluation job that compares a model with itself to `folder`; returns its arguments."""
    write_labelled_photos(folder)
    synthetic_photos(30, seed=2).save(folder / "base" / "images.npz")
    for role in ("challenger", "champion", "reference"):
        (folder / role).mkdir()
        with tarfile.open(folder / role / "model.tar.gz", "w:gz") as tar:
            tar.add(good, arcname=".")
    arguments = ["--champion-version", "old", "--challenger-version", "new", "--out", str(folder / "out")]
    arguments += ["--reference-version", "oldest"]
    for name in ("challenger", "champion", "reference", "base", "snapshot", "labelled"):
        arguments += [f"--{name}", str(folder / name)]
    return arguments


def test_the_evaluation_job_writes_its_report(good: Path, tmp_path: Path) -> None:
    comparing.main(write_job(good, tmp_path))
    report = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert (report["challenger"]["model_version"], report["champion"]["model_version"]) == ("new", "old")
    assert report["labelled"]["photos"] == 6
    assert report["labels"] == {"distrusted": [], "left_out": {}}
    assert report["reference"]["model_version"] == "oldest"


def test_photos_of_a_reviewer_whom_the_training_named_are_not_compared(good: Path, tmp_path: Path) -> None:
    named = tmp_path / "named"
    shutil.copytree(good, named)
    training = json.loads((named / "evaluation.json").read_text())
    training["labels"]["by_reviewer"] = [
        {"reviewer": name, "suspected": 9, "labels": 31, "share": 0.3, "p_value": 0.1, "worse": name == "ada"}
        for name in ("ada", "bo")
    ]
    (named / "evaluation.json").write_text(json.dumps(training))
    write_digests(named)
    arguments = write_job(named, tmp_path)
    manifest = tmp_path / "snapshot" / "manifest.json"
    listed = json.loads(manifest.read_text())
    evaluated = [entry for entry in listed["photos"] if entry["use"] == "evaluate"]
    for entry in evaluated[:2]:
        entry["labelled_by"] = "bo"
    manifest.write_text(json.dumps(listed))
    comparing.main(arguments)
    report = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert report["labelled"]["photos"] == 2
    distrusted = [{"reviewer": "ada", "suspected": 9, "labels": 31}]
    assert report["labels"] == {"distrusted": distrusted, "left_out": {"reviewer": 4}}
    assert not list(jsonschema.Draft202012Validator(events.contract("evaluation_report")).iter_errors(report))
