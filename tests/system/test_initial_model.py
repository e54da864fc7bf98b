"""The initial model: deployed to a stage without a champion, never to one with a champion."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy import removal, system
from deploy.outputs import Deployed
from deploy.target import Target
from functions.shared.drift import STATISTICS
from operate import retrain, status
from operate.errors import CommandError
from operate.initial_model import ensure_initial_model
from operate.terminal import console
from tests.support.drift_watch import run_watch
from tests.support.images import drawn_dataset, png, save_dataset
from tests.support.retraining_stage import RetrainingStage, client

VERSION = "initial-for-a-test"


@pytest.fixture(scope="module")
def fresh(retraining_stage: RetrainingStage) -> Iterator[RetrainingStage]:
    """A stage that was just deployed: no data, no source, no champion."""
    target = Target("local", "fresh")
    deployed = Deployed.of(system.deploy(target, progress=lambda line: None))
    stage = RetrainingStage(deployed, {}, retraining_stage.photos)
    stage.poll_endpoints_faster()
    yield stage
    removal.destroy(target, with_data=True, progress=lambda line: None)


@pytest.fixture(scope="module")
def artifact(retraining_stage: RetrainingStage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model.tar.gz with a folder of golden photos next to it."""
    folder = tmp_path_factory.mktemp("initial")
    (folder / "model.tar.gz").write_bytes(retraining_stage.build_model_archive(version=VERSION))
    (folder / "golden" / "bicycle").mkdir(parents=True)
    (folder / "golden" / "bicycle" / "one.png").write_bytes(
        png(retraining_stage.photos.with_labels(["bicycle"]).images[0])
    )
    return folder / "model.tar.gz"


def test_a_model_that_does_not_load_leaves_the_stage_as_it_was(
    retraining_stage: RetrainingStage, fresh: RetrainingStage, tmp_path: Path
) -> None:
    (tmp_path / "model.tar.gz").write_bytes(
        retraining_stage.build_model_archive({"head.npz": "no array"}, version=VERSION)
    )
    with pytest.raises(CommandError, match="EndpointNotInService"):
        ensure_initial_model(fresh.deployed, tmp_path / "model.tar.gz")
    assert fresh.table.champion() is None
    assert fresh.wait_for_endpoint() == ("None", "")


def test_a_fresh_stage_answers_with_the_initial_model(fresh: RetrainingStage, artifact: Path) -> None:
    with console.capture() as printed:
        assert ensure_initial_model(fresh.deployed, artifact)
    lines = printed.get()
    assert "UseInitialModel" in lines
    assert "  Train\n" not in lines
    champion = fresh.champion
    assert (champion.model_version, champion.origin) == (VERSION, "initial")
    assert champion.artifact.startswith(f"s3://{fresh.deployed.ml_bucket}/initial/")
    assert str(champion.golden).endswith("/golden/")
    assert fresh.serves_champion()
    scaling = client("application-autoscaling")
    resource = f"endpoint/{fresh.deployed.endpoint_name}/variant/AllTraffic"
    targets = scaling.describe_scalable_targets(ServiceNamespace="sagemaker", ResourceIds=[resource])["ScalableTargets"]
    assert [(found["MinCapacity"], found["MaxCapacity"]) for found in targets] == [(1, 2)]
    policies = scaling.describe_scaling_policies(ServiceNamespace="sagemaker", ResourceId=resource)["ScalingPolicies"]
    assert [one["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] for one in policies] == [1000]
    bucket, _, prefix = str(champion.golden).removeprefix("s3://").partition("/")
    assert client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix)["KeyCount"] == 1


def test_the_status_shows_that_the_initial_model_was_not_compared(fresh: RetrainingStage) -> None:
    with console.capture() as printed:
        status.show(fresh.deployed, Target("local", "fresh"))
    text = " ".join(printed.get().split())
    assert f"In production: {VERSION}" in text
    assert "an initial model, which was not compared with another" in text
    assert "The drift watch has not looked at this model yet." in text


def test_a_stage_with_a_champion_gets_no_initial_model(fresh: RetrainingStage, artifact: Path) -> None:
    champion = fresh.champion
    assert not ensure_initial_model(fresh.deployed, artifact)
    # The execution checks again: another one may have promoted a champion since.
    output = retrain.follow(fresh.deployed, retrain.start(fresh.deployed, {"initial_model": champion.artifact}))
    assert (output["outcome"], output["reason"]) == ("rejected", "ChampionExists")
    assert fresh.champion == champion
    assert fresh.serves_champion()


@pytest.fixture
def empty() -> Iterator[Deployed]:
    """A stage without a model, with the default limits of the gate."""
    target = Target("local", "empty")
    yield Deployed.of(system.deploy(target, progress=lambda line: None))
    removal.destroy(target, with_data=True, progress=lambda line: None)


def test_a_retraining_replaces_the_initial_model_that_comes_with_the_code(
    retraining_stage: RetrainingStage, empty: Deployed, tmp_path: Path
) -> None:
    stage = RetrainingStage(empty, {}, retraining_stage.photos)
    stage.poll_endpoints_faster()
    assert ensure_initial_model(empty)
    initial = stage.champion
    assert initial.origin == "initial"
    assert initial.model_version.startswith("initial-")
    assert stage.serves_champion()
    assert not ensure_initial_model(empty)
    watched = run_watch(empty)
    assert (watched.model_version, set(watched.undecided)) == (initial.model_version, set(STATISTICS) - {"size"})

    train = save_dataset(tmp_path, drawn_dataset(60, 60, 30, seed=0))
    published = retrain.publish_training_input(empty, train)
    output = stage.retrain(**published)
    assert (output["outcome"], output["previous_model_version"]) == ("promoted", initial.model_version), output
    assert output["verdict"].startswith("replaces the initial model")
    assert all(check["passed"] for check in output["checks"])
    assert output["compared_with"]["model_version"] == initial.model_version
    champion = stage.champion
    assert (champion.model_version, champion.origin) == (output["model_version"], "retraining")
    assert stage.serves_champion()


def test_a_missing_artifact_is_an_error_that_names_it(
    fresh: RetrainingStage, retraining_stage: RetrainingStage, tmp_path: Path
) -> None:
    assert not ensure_initial_model(retraining_stage.deployed, tmp_path / "none.tar.gz")
    client("dynamodb").delete_item(TableName=fresh.deployed.model_table, Key={"id": {"S": "champion"}})
    with pytest.raises(CommandError, match=r"no initial model .*none\.tar\.gz"):
        ensure_initial_model(fresh.deployed, tmp_path / "none.tar.gz")
