"""Deployed stages on one embedded AWS, with models that were trained through retrain-model."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from PIL import Image

import local
from deploy import system
from deploy.outputs import Deployed
from deploy.target import Target
from operate import retrain
from operate.synthetic_photos import synthetic_photos
from operate.uploads import find_photos
from tests.support import checked_calls
from tests.support import embedded_aws as embedded
from tests.support.images import drawn_dataset, save_dataset
from tests.support.network import free_port
from tests.support.retraining_stage import RetrainingStage
from tests.support.upload_stage import UploadStage

REGION = "eu-west-1"
# In the folder of the embedded AWS: the calls that were authorized.
CALLS = "calls.jsonl"
# `python -m tests` names another file, because it runs these tests in two processes.
RECORD_CALLS = "TEST_RECORD_CALLS"
GATE_FOR_SMALL_DATA = {
    "accuracy_minimum": 0.2,
    "ece_maximum": 1.0,
    "auroc_minimum": 0.0,
    "photos_minimum": 1,
    # The holdout is a tenth of a few hundred photos, so its confidence intervals are wide.
    "accuracy_tolerance": 0.4,
    "ece_tolerance": 1.0,
    "auroc_tolerance": 1.0,
    "class_tolerance": 0.5,
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the test that evaluates the calls of all others last."""
    items.sort(key=lambda item: item.path.name == "test_permissions_used.py")


@pytest.fixture(scope="session")
def embedded_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[local.ServerInfo]:
    folder = tmp_path_factory.mktemp("aws")
    calls = Path(os.environ.get(RECORD_CALLS) or folder / CALLS)
    settings = local.Settings(port=free_port(), directory=folder, region=REGION, calls=calls)
    checked_calls.watch(settings.violations)
    with embedded.started(settings) as server, embedded.used(server):
        yield server


@pytest.fixture(scope="session", autouse=True)
def deployment_settings() -> Iterator[None]:
    """Deploy with a limit of uploads that tests with hundreds of photos stay below, and for small data."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("UPLOADS_PER_MINUTE", "1000")
        environment.setenv("DRIVER_API", "yes")
        environment.setenv("DRIVER_API_RATE", "1000")
        # The watch looks for the last photo within them only.
        environment.setenv("OPENING_HOURS", "00:00-23:59")
        # The models of these tests are judged on a few drawn pictures.
        environment.setenv("GATE", json.dumps({"photos_minimum": 1}))
        yield


@pytest.fixture(scope="session")
def target(embedded_aws: local.ServerInfo) -> Target:
    return Target("local", "test")


@pytest.fixture(scope="session")
def deployed(target: Target) -> Deployed:
    return Deployed.of(system.deploy(target, progress=lambda line: None))


@pytest.fixture(scope="session")
def drawn_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with drawn photos to train on, enough for the gate, and to upload. No test depends on the accuracy."""
    folder = tmp_path_factory.mktemp("data")
    synthetic_photos(150, seed=0).save(folder / "train" / "images.npz")
    photos = synthetic_photos(10, seed=1)
    for number, (image, label) in enumerate(zip(photos.images, photos.labels, strict=True)):
        (folder / "photos" / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / "photos" / str(label) / f"{label}-{number:03}.png")
    return folder


@pytest.fixture(scope="session")
def training_input(deployed: Deployed, drawn_data: Path) -> dict[str, Any]:
    return retrain.publish_training_input(deployed, drawn_data / "train")


@pytest.fixture(scope="session")
def upload_stage(deployed: Deployed, drawn_data: Path, training_input: dict[str, Any]) -> UploadStage:
    """A stage with a champion and the threshold 0, so that no photo of a vehicle goes to review."""
    boto3.client("ssm").put_parameter(Name=deployed.threshold_parameter, Value="0.0", Overwrite=True)
    first = retrain.follow(deployed, retrain.start(deployed, training_input))
    assert first["outcome"] == "promoted", first
    return UploadStage(deployed, find_photos(drawn_data / "photos").sources)


@pytest.fixture(scope="session")
def retraining_stage(embedded_aws: local.ServerInfo, tmp_path_factory: pytest.TempPathFactory) -> RetrainingStage:
    """A stage whose champion was trained on drawn photos, with a gate for small data sets."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("GATE", json.dumps(GATE_FOR_SMALL_DATA))
        environment.setenv("BAKE_SECONDS", "1")
        environment.setenv("MIN_NEW_LABELS", "5")
        deployed = Deployed.of(system.deploy(Target("local", "learn"), progress=lambda line: None))
    boto3.client("ssm").put_parameter(Name=deployed.threshold_parameter, Value="0.0", Overwrite=True)
    train = save_dataset(tmp_path_factory.mktemp("base"), drawn_dataset(60, 60, 30, seed=0))
    published = retrain.publish_training_input(deployed, train)
    stage = RetrainingStage(deployed, published, drawn_dataset(40, 40, 8, seed=1))
    stage.poll_endpoints_faster()
    first = stage.retrain()
    assert first["outcome"] == "promoted", first
    return stage


@pytest.fixture(scope="session")
def fast_image(retraining_stage: RetrainingStage) -> str:
    """An image that copies the first champion and its evaluation report, for tests that need another champion."""
    return retraining_stage.publish_image(retraining_stage.files_without_comparison())


@pytest.fixture(scope="session")
def ready_image(retraining_stage: RetrainingStage) -> str:
    """An image that copies the first champion instead of training."""
    return retraining_stage.publish_image({})
