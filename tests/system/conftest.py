"""The deployed system on an embedded AWS of its own, with a model that was trained through retrain-model."""

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from PIL import Image

import local
from deploy import system, training_source
from deploy.outputs import Deployed
from deploy.target import Target
from operate import retrain
from operate.synthetic_photos import synthetic_photos
from operate.uploads import photos_in
from tests.system.workshop import READY, Workshop, drawings, staged
from tests.system.world import World

REGION = "eu-west-1"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def embedded_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[local.ServerInfo]:
    settings = local.Settings(port=free_port(), directory=tmp_path_factory.mktemp("aws"), region=REGION)
    server, _ = local.start(settings)
    before = dict(os.environ)
    local.use(server)
    boto3.setup_default_session()
    yield server
    os.environ.clear()
    os.environ.update(before)
    boto3.setup_default_session()
    local.stop(settings)


@pytest.fixture(scope="session")
def target(embedded_aws: local.ServerInfo) -> Target:
    return Target("local", "test")


@pytest.fixture(scope="session")
def deployed(target: Target) -> Deployed:
    return Deployed.of(system.deploy(target, progress=lambda line: None))


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn photos to train on and to upload: the system's tests need a model, not a good one."""
    folder = tmp_path_factory.mktemp("data")
    synthetic_photos(30, seed=0).save(folder / "train" / "images.npz")
    photos = synthetic_photos(10, seed=1)
    for number, (image, label) in enumerate(zip(photos.images, photos.labels, strict=True)):
        (folder / "photos" / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / "photos" / str(label) / f"{label}-{number:03}.png")
    return folder


@pytest.fixture(scope="session")
def training_input(deployed: Deployed, drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    archive = tmp_path_factory.mktemp("source") / "sourcedir.tar.gz"
    training_source.build(archive)
    return retrain.publish_training_input(deployed, drawn / "train", archive)


@pytest.fixture(scope="session")
def world(deployed: Deployed, drawn: Path, training_input: dict[str, Any]) -> World:
    """The system with a champion behind its endpoint, which decides whenever it sees a vehicle."""
    ssm: Any = boto3.client("ssm")
    ssm.put_parameter(Name=deployed.threshold_parameter, Value="0.0", Overwrite=True)
    first = retrain.follow(retrain.start(deployed, training_input))
    assert first["outcome"] == "promoted", first
    return World(deployed, photos_in(drawn / "photos").sources)


@pytest.fixture(scope="session")
def workshop(embedded_aws: local.ServerInfo, tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """A stage of its own whose champion was trained on drawn photos, and whose gate is fit for as few as they are."""
    gate = {
        "accuracy_minimum": 0.2,
        "ece_maximum": 1.0,
        "auroc_minimum": 0.0,
        # A tenth of a few hundred photos is the holdout, so that its intervals are wide.
        "accuracy_tolerance": 0.4,
        "ece_tolerance": 1.0,
        "auroc_tolerance": 1.0,
        "class_tolerance": 0.5,
    }
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("GATE", json.dumps(gate))
        environment.setenv("BAKE_SECONDS", "1")
        environment.setenv("MIN_NEW_LABELS", "5")
        deployed = Deployed.of(system.deploy(Target("local", "learn"), progress=lambda line: None))
    ssm: Any = boto3.client("ssm")
    ssm.put_parameter(Name=deployed.threshold_parameter, Value="0.0", Overwrite=True)
    archive = tmp_path_factory.mktemp("source") / "sourcedir.tar.gz"
    training_source.build(archive)
    train = staged(tmp_path_factory.mktemp("base"), drawings(60, 60, 30, seed=0))
    published = retrain.publish_training_input(deployed, train, archive)
    place = Workshop(deployed, published, drawings(40, 40, 8, seed=1))
    first = place.retrain()
    assert first["outcome"] == "promoted", first
    return place


@pytest.fixture(scope="session")
def ready_code(workshop: Workshop) -> str:
    """Training code that takes no time and makes a model as good as the first champion."""
    return workshop.code("ready", {"training/train.py": READY})
