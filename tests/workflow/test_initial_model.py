"""retrain-model puts an initial model into a stage without a champion, without training or comparison."""

import io
import json
import tarfile
from typing import Any

import pytest

from tests.workflow.lambda_handlers import IMAGE
from tests.workflow.stage import Stage, classification

VERSION = "initial-0123456789ab"
ARTIFACT = "s3://scones-ml/initial/abc/model.tar.gz"
GOLDEN = "s3://scones-ml/initial/abc/golden/"


@pytest.fixture
def fresh(stage: Stage) -> Stage:
    """A stage without a champion, with the artifact of an initial model in its ML bucket."""
    put_artifact(stage, {"version": VERSION, "threshold": 0.9, "classes": ["bicycle", "motorcycle", "other"]})
    stage.respond = lambda image: {**classification(), "model_version": VERSION}
    return stage


def put_artifact(stage: Stage, metadata: dict[str, Any] | None) -> None:
    """Put the artifact of an initial model with this `model.json` into the ML bucket; None leaves the file out."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in (
            ("backbone.onnx", b"x" * 2000),
            ("model.json", metadata and json.dumps(metadata).encode()),
        ):
            if content is not None:
                entry = tarfile.TarInfo(f"./{name}")
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    stage.aws["s3"].put_object(Bucket="scones-ml", Key="initial/abc/model.tar.gz", Body=packed.getvalue())


def item(stage: Stage, name: str) -> dict[str, Any] | None:
    found: dict[str, Any] | None = (
        stage.aws["dynamodb"].get_item(TableName="models", Key={"id": {"S": name}}).get("Item")
    )
    return found


def test_a_stage_without_a_champion_gets_the_initial_model(fresh: Stage) -> None:
    run = fresh.start(fresh.deploy_retrain(), {"initial_model": ARTIFACT, "golden": GOLDEN})
    output = run.output()
    assert (output["outcome"], output["origin"], output["model_version"]) == ("promoted", "initial", VERSION)
    assert "not compared with anything" in output["verdict"]
    assert not {"Train", "Evaluate", "JudgeChallenger"} & set(run.states())
    assert fresh.waits == [5, 0]
    (model,) = fresh.sagemaker.requests_to("CreateModel")
    assert model["PrimaryContainer"]["ModelDataUrl"] == ARTIFACT
    assert model["PrimaryContainer"]["Image"] == IMAGE  # the deployed one
    champion = item(fresh, "champion")
    assert champion
    assert (champion["model_version"]["S"], champion["origin"]["S"]) == (VERSION, "initial")
    assert champion["endpoint_config"]["S"] == fresh.sagemaker.config
    assert champion["threshold"]["N"] == "0.9"
    assert item(fresh, "lock") is None
    (event,) = fresh.events("Model Promoted")
    assert (event["model_version"], event["previous_model_version"], event["threshold"]) == (VERSION, None, 0.9)
    assert "not compared with anything" in event["verdict"]
    (package,) = fresh.sagemaker.requests_to("CreateModelPackage")
    assert "not compared with anything" in package["ModelPackageDescription"]


def test_the_golden_photos_of_an_initial_model_reach_the_probe(fresh: Stage) -> None:
    images = []

    def respond(image: bytes) -> dict[str, Any]:
        images.append(image)
        return {**classification("bicycle"), "model_version": VERSION}

    fresh.aws["s3"].put_object(Bucket="scones-ml", Key="initial/abc/golden/bicycle/one.jpg", Body=b"a bicycle")
    fresh.respond = respond
    fresh.start(fresh.deploy_retrain(), {"initial_model": ARTIFACT, "golden": GOLDEN}).output()
    assert set(images) == {b"a bicycle"}
    probes = fresh.events_to("probe_endpoint")
    assert [(event["golden"], event["run"]) for event in probes] == [(GOLDEN, {"name": VERSION})] * 2


def test_an_initial_model_without_golden_photos_is_probed_without_them(fresh: Stage) -> None:
    assert fresh.start(fresh.deploy_retrain(), {"initial_model": ARTIFACT}).output()["outcome"] == "promoted"
    assert [event["golden"] for event in fresh.events_to("probe_endpoint")] == [None, None]


def test_an_initial_model_needs_no_threshold(fresh: Stage) -> None:
    put_artifact(fresh, {"version": VERSION})
    fresh.start(fresh.deploy_retrain(), {"initial_model": ARTIFACT}).output()
    (event,) = fresh.events("Model Promoted")
    assert event["threshold"] is None


@pytest.mark.parametrize("recorded", [True, False])
def test_an_initial_model_is_rejected_if_there_is_a_champion(fresh: Stage, recorded: bool) -> None:
    fresh.sagemaker.config = "vehicles-test-before"
    if recorded:
        record = {
            "id": "champion",
            "model_version": "vehicles-test-before",
            "endpoint_config": "x",
            "artifact": "s3://a",
        }
        fresh.aws["dynamodb"].put_item(TableName="models", Item={name: {"S": value} for name, value in record.items()})
    run = fresh.start(fresh.deploy_retrain(), {"initial_model": "s3://scones-ml/initial/missing.tar.gz"})
    output = run.output()
    assert (output["outcome"], output["reason"]) == ("rejected", "ChampionExists")
    assert "vehicles-test-before" in output["verdict"]
    assert item(fresh, "lock") is None
    assert fresh.sagemaker.config == "vehicles-test-before"
    changes = {api for api, _ in fresh.sagemaker.requests if not api.startswith("Describe")}
    assert changes == set()
    (event,) = fresh.events("Model Rejected")
    assert (event["reason"], event["champion"]) == ("ChampionExists", "vehicles-test-before")


def test_an_initial_model_that_fails_its_probe_leaves_no_endpoint_and_no_champion(fresh: Stage) -> None:
    fresh.respond = lambda image: {**classification(), "model_version": "another-model"}
    ended = fresh.start(fresh.deploy_retrain(), {"initial_model": ARTIFACT}).wait()
    assert (ended["status"], ended["error"]) == ("FAILED", "ProbeFailed")
    assert fresh.sagemaker.config is None
    assert item(fresh, "champion") is None
    assert item(fresh, "lock") is None


def test_an_initial_model_that_misclassifies_its_golden_photos_is_not_promoted(fresh: Stage) -> None:
    fresh.aws["s3"].put_object(Bucket="scones-ml", Key="initial/abc/golden/motorcycle/one.jpg", Body=b"a motorcycle")
    ended = fresh.start(fresh.deploy_retrain(), {"initial_model": ARTIFACT, "golden": GOLDEN}).wait()
    assert (ended["status"], ended["error"]) == ("FAILED", "ProbeFailed")
    assert item(fresh, "champion") is None


def test_an_initial_model_records_no_input_of_automatic_retrainings(fresh: Stage) -> None:
    fresh.start(fresh.deploy_retrain(), {"initial_model": ARTIFACT}).output()
    assert item(fresh, "judged") is None
    assert fresh.aws["s3"].list_objects_v2(Bucket="scones-ml", Prefix="training/")["KeyCount"] == 0
    for trigger in ("schedule", "labels", "drift"):
        output = fresh.start(fresh.deploy_retrain(), {"trigger": trigger}).output()
        assert (output["outcome"], output["reason"]) == ("rejected", "NoTrainingData")
    assert fresh.sagemaker.requests_to("CreateTrainingJob") == []


def test_the_next_retraining_is_compared_with_the_initial_model(fresh: Stage) -> None:
    fresh.start(fresh.deploy_retrain(), {"initial_model": ARTIFACT}).output()
    request = {"dataset": "s3://scones-ml/datasets/base/abc/"}
    fresh.start(fresh.deploy_retrain(), request).wait()
    (job,) = fresh.sagemaker.requests_to("CreateProcessingJob")
    inputs = {i["InputName"]: i["S3Input"]["S3Uri"] for i in job["ProcessingInputs"]}
    assert inputs["champion"] == ARTIFACT
    assert VERSION in job["AppSpecification"]["ContainerArguments"]


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"initial_model": "model.tar.gz"}, "s3:// address"),
        ({"initial_model": ARTIFACT, "golden": "s3://scones-ml/golden"}, "ends with a slash"),
        ({"initial_model": ARTIFACT, "golden": "s3://scones-ml/labels/"}, "it must be under"),
        ({"initial_model": "s3://scones-ml/reviews/2026/11/27/model.tar.gz"}, "it must be under"),
        ({"initial_model": ARTIFACT, "dry_run": True}, "dry_run"),
        ({"initial_model": "s3://scones-ml/initial/gone/model.tar.gz"}, "there is no s3://scones-ml/initial/gone"),
    ],
)
def test_an_invalid_initial_model_is_rejected_with_the_cause(
    fresh: Stage, request_: dict[str, Any], message: str
) -> None:
    ended = fresh.start(fresh.deploy_retrain(), request_).wait()
    assert (ended["status"], ended["error"]) == ("FAILED", "InvalidInput")
    assert message in ended["cause"]


@pytest.mark.parametrize("metadata", [None, {"threshold": 0.9}])
def test_an_archive_without_a_version_is_not_a_model(fresh: Stage, metadata: dict[str, Any] | None) -> None:
    put_artifact(fresh, metadata)
    ended = fresh.start(fresh.deploy_retrain(), {"initial_model": ARTIFACT}).wait()
    assert "is no model" in ended["cause"]


def test_a_file_that_is_not_an_archive_is_not_a_model(fresh: Stage) -> None:
    fresh.aws["s3"].put_object(Bucket="scones-ml", Key="initial/abc/model.tar.gz", Body=b"no archive")
    assert "is no model" in fresh.start(fresh.deploy_retrain(), {"initial_model": ARTIFACT}).wait()["cause"]
