"""A new stage starts with an initial model, and a stage that has a champion takes none."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy import system, training_source
from deploy.outputs import Deployed
from deploy.target import Target
from operate import retrain, status
from operate.errors import CommandError
from operate.initial_model import ensure_initial_model
from operate.show import console
from tests.system.workshop import NEVER_LOADS, Workshop, client, drawings, png, staged

VERSION = "initial-for-a-test"


@pytest.fixture(scope="module")
def fresh(workshop: Workshop) -> Iterator[Workshop]:
    """A stage that was just deployed: no data, no source, no champion."""
    target = Target("local", "fresh")
    deployed = Deployed.of(system.deploy(target, progress=lambda line: None))
    yield Workshop(deployed, {}, workshop.photos)
    system.destroy(target, with_data=True, progress=lambda line: None)


@pytest.fixture(scope="module")
def artifact(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model.tar.gz with a folder of golden photos beside it."""
    folder = tmp_path_factory.mktemp("initial")
    (folder / "model.tar.gz").write_bytes(workshop.archive(version=VERSION))
    (folder / "golden" / "bicycle").mkdir(parents=True)
    (folder / "golden" / "bicycle" / "one.png").write_bytes(png(workshop.photos.with_labels(["bicycle"]).images[0]))
    return folder / "model.tar.gz"


def test_a_model_that_does_not_load_leaves_the_stage_as_it_was(
    workshop: Workshop, fresh: Workshop, tmp_path: Path
) -> None:
    (tmp_path / "model.tar.gz").write_bytes(workshop.archive({"code/inference.py": NEVER_LOADS}, version=VERSION))
    with pytest.raises(CommandError, match="EndpointNotInService"):
        ensure_initial_model(fresh.deployed, tmp_path / "model.tar.gz")
    assert fresh.table.champion() is None
    assert fresh.settled() == ("None", "")


def test_a_fresh_stage_answers_with_the_initial_model(fresh: Workshop, artifact: Path) -> None:
    with console.capture() as printed:
        assert ensure_initial_model(fresh.deployed, artifact)
    said = printed.get()
    assert "UseInitialModel" in said
    assert "Train " not in said
    champion = fresh.champion
    assert (champion.model_version, champion.origin) == (VERSION, "initial")
    assert champion.artifact.startswith(f"s3://{fresh.deployed.ml_bucket}/initial/")
    assert str(champion.golden).endswith("/golden/")
    assert fresh.champion_answers()
    bucket, _, prefix = str(champion.golden).removeprefix("s3://").partition("/")
    assert client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix)["KeyCount"] == 1


def test_the_status_says_that_the_champion_has_no_verdict(fresh: Workshop) -> None:
    with console.capture() as printed:
        status.show(fresh.deployed)
    said = " ".join(printed.get().split())
    assert f"Champion {VERSION}" in said
    assert "an initial model without a verdict" in said


def test_a_stage_with_a_champion_takes_no_initial_model(fresh: Workshop, artifact: Path) -> None:
    champion = fresh.champion
    assert not ensure_initial_model(fresh.deployed, artifact)
    # Also when the champion came between the question and the execution.
    wanted: dict[str, Any] = {"initial_model": champion.artifact}
    output = retrain.follow(retrain.start(fresh.deployed, wanted))
    assert (output["outcome"], output["reason"]) == ("rejected", "ChampionExists")
    assert fresh.champion == champion
    assert fresh.champion_answers()


@pytest.fixture
def empty() -> Iterator[Deployed]:
    """A stage of its own without a model, whose gate has the numbers of a real one."""
    target = Target("local", "empty")
    yield Deployed.of(system.deploy(target, progress=lambda line: None))
    system.destroy(target, with_data=True, progress=lambda line: None)


def test_a_retraining_replaces_the_initial_model_that_comes_with_the_code(
    workshop: Workshop, empty: Deployed, tmp_path: Path
) -> None:
    stage = Workshop(empty, {}, workshop.photos)
    assert ensure_initial_model(empty)
    initial = stage.champion
    assert initial.origin == "initial"
    assert initial.model_version.startswith("initial-")
    assert stage.champion_answers()
    assert not ensure_initial_model(empty)

    training_source.build(tmp_path / "sourcedir.tar.gz")
    train = staged(tmp_path, drawings(60, 60, 30, seed=0))
    published = retrain.publish_training_input(empty, train, tmp_path / "sourcedir.tar.gz")
    output = stage.retrain(**published)
    assert (output["outcome"], output["previous_model_version"]) == ("promoted", initial.model_version), output
    assert output["verdict"].startswith("replaces the initial model")
    assert all(check["passed"] for check in output["checks"])
    assert output["compared_with"]["model_version"] == initial.model_version
    champion = stage.champion
    assert (champion.model_version, champion.origin) == (output["model_version"], "retraining")
    assert stage.champion_answers()


def test_an_artifact_that_is_not_there_is_said(fresh: Workshop, workshop: Workshop, tmp_path: Path) -> None:
    assert not ensure_initial_model(workshop.deployed, tmp_path / "none.tar.gz")
    client("dynamodb").delete_item(TableName=fresh.deployed.model_table, Key={"id": {"S": "champion"}})
    with pytest.raises(CommandError, match=r"no initial model .*none\.tar\.gz"):
        ensure_initial_model(fresh.deployed, tmp_path / "none.tar.gz")
