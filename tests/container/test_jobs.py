"""The jobs keep the contract of SageMaker: files in, files out, exit status, reason of a failure."""

import json
import signal
import subprocess
import tarfile
from pathlib import Path

import psutil
import pytest
from PIL import Image

from operate.synthetic_photos import synthetic_photos
from tests.container.runner import IMAGE, Runner
from tests.support.training import jpeg, write_labelled_photos
from tests.support.waiting import eventually
from training.inference import classify, load_model

JOB = "vehicles-test-1"


def write_training_job(root: Path, photos: int = 12, **hyperparameters: str) -> None:
    """Write what SageMaker writes before it starts a training job."""
    config = root / "input" / "config"
    config.mkdir(parents=True)
    (config / "hyperparameters.json").write_text(json.dumps(hyperparameters))
    (config / "inputdataconfig.json").write_text(json.dumps({"training": {"TrainingInputMode": "File"}}))
    for folder in ("model", "output/data"):
        (root / folder).mkdir(parents=True)
    synthetic_photos(photos, seed=0).save(root / "input" / "data" / "training" / "images.npz")


def train(runner: Runner) -> subprocess.CompletedProcess[str]:
    return runner.run("train", environment={"TRAINING_JOB_NAME": JOB})


def test_a_training_job_writes_the_model_and_its_features(runner: Runner) -> None:
    write_training_job(runner.root, seed="1", **{"others-each": "5"})
    ended = train(runner)
    assert ended.returncode == 0, ended.stdout
    assert load_model(runner.root / "model").version == JOB
    assert any((runner.root / "output" / "data").iterdir())
    assert "validation:accuracy=" in ended.stdout
    assert not (runner.root / "output" / "failure").exists()


@pytest.mark.parametrize(
    ("hyperparameters", "reason"),
    [({"epochs": "3"}, "--epochs=3"), ({"seed": "two"}, "--seed"), ({"classes": "tank"}, "tank")],
)
def test_a_wrong_hyperparameter_is_the_reason_of_the_failure(
    runner: Runner, hyperparameters: dict[str, str], reason: str
) -> None:
    write_training_job(runner.root, 2, **hyperparameters)
    assert train(runner).returncode == 1
    assert reason in (runner.root / "output" / "failure").read_text()


def test_too_little_data_is_the_reason_of_the_failure(runner: Runner) -> None:
    write_training_job(runner.root, 2)
    data = synthetic_photos(4, seed=0).without_labels(["motorcycle"])
    data.save(runner.root / "input" / "data" / "training" / "images.npz")
    assert train(runner).returncode == 1
    assert "motorcycle (0)" in (runner.root / "output" / "failure").read_text()


@pytest.mark.skipif(bool(IMAGE), reason="sends the signal to a process of this computer")
def test_a_stopped_training_job_ends(runner: Runner) -> None:
    write_training_job(runner.root, 400)
    with runner.started("train") as (process, _port):
        own = psutil.Process(process.pid)
        eventually(lambda: own.cpu_times().user > 1.0)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 128 + signal.SIGTERM


def test_the_comparison_reads_its_inputs_and_writes_its_report(runner: Runner, model: Path) -> None:
    processing = runner.root / "processing"
    inputs = processing / "input"
    inputs.mkdir(parents=True)
    write_labelled_photos(inputs)
    synthetic_photos(30, seed=2).save(inputs / "base" / "images.npz")
    for role in ("challenger", "champion", "reference"):
        (inputs / role).mkdir()
        with tarfile.open(inputs / role / "model.tar.gz", "w:gz") as tar:
            tar.add(model, arcname=".")
    versions = ["--champion-version", "old", "--challenger-version", "new", "--reference-version", "old"]
    ended = runner.run("compare", *versions)
    assert ended.returncode == 0, ended.stdout
    report = json.loads((processing / "output" / "evaluation.json").read_text())
    assert (report["challenger"]["model_version"], report["champion"]["model_version"]) == ("new", "old")

    (inputs / "challenger" / "model.tar.gz").write_bytes(b"no archive")
    assert runner.run("compare", *versions).returncode == 1
    assert "model.tar.gz" in (runner.root / "output" / "message").read_text()


def test_the_predictions_are_those_of_the_endpoint(runner: Runner, model: Path) -> None:
    inputs = runner.root / "processing" / "input"
    for folder in ("model", "photos/uploads/driver-1"):
        (inputs / folder).mkdir(parents=True)
    with tarfile.open(inputs / "model" / "model.tar.gz", "w:gz") as tar:
        tar.add(model, arcname=".")
    photos = {f"uploads/driver-1/{n}.jpg": jpeg(Image.new("RGB", (64, 48), (40 * n, 90, 120))) for n in range(3)}
    for name, content in {**photos, "uploads/driver-1/broken.jpg": b"no photo"}.items():
        (inputs / "photos" / name).write_bytes(content)
    ended = runner.run("predict")
    assert ended.returncode == 0, ended.stdout
    found = (runner.root / "processing" / "output" / "predictions.jsonl").read_text().splitlines()
    lines = {line["file"]: line for line in map(json.loads, found)}
    assert lines.pop("uploads/driver-1/broken.jpg")["error"] == "UnreadablePhoto"
    assert lines.keys() == photos.keys()
    loaded = load_model(model)
    for name, content in photos.items():
        answer = classify(content, loaded)
        assert (lines[name]["vehicle"], lines[name]["threshold"]) == (answer["vehicle"], answer["threshold"])
        assert lines[name]["confidence"] == pytest.approx(answer["confidence"], abs=1e-6)

    (inputs / "model" / "model.tar.gz").write_bytes(b"no archive")
    assert runner.run("predict").returncode == 1
    assert "model.tar.gz" in (runner.root / "output" / "message").read_text()


@pytest.mark.parametrize("arguments", [(), ("tune",)])
def test_another_program_is_refused(runner: Runner, arguments: tuple[str, ...]) -> None:
    ended = runner.run(*arguments)
    assert ended.returncode == 2
    assert "train,compare,predict,serve" in ended.stdout
