"""Outcomes of a retraining: a better challenger, a worse one, one that misses a class, and failures of steps."""

import json
import re
from typing import Any

import boto3
import numpy as np
import pytest

from operate.synthetic_photos import synthetic_photos
from tests.support.images import drawn_dataset
from tests.support.retraining_stage import RetrainingStage, read_training_log
from tests.support.training_code import FAILING_JOB, FAILING_SERVER, SERVER_THAT_ANSWERS_OTHER
from training.dataset import Dataset
from training.holdout import in_holdout


@pytest.fixture
def champion_unchanged(retraining_stage: RetrainingStage) -> Any:
    """Assert that the champion is the same after the test and that every invocation during the test succeeded."""
    champion = retraining_stage.champion
    assert retraining_stage.serves_champion()
    with retraining_stage.invoke_continuously() as answers:
        yield
    assert retraining_stage.champion == champion
    assert retraining_stage.serves_champion()
    assert not [answer for answer in answers if not answer.startswith("vehicles-learn-")]


def new_vehicles() -> Dataset:
    """Return labelled photos of two kinds of vehicles that the base data does not contain."""
    drawn = synthetic_photos(40, seed=2)
    bikes, trikes = drawn.with_labels(["bus"]), drawn.with_labels(["pickup_truck"])
    labels = np.array(["bicycle"] * len(bikes) + ["motorcycle"] * len(trikes))
    return Dataset([*bikes.images, *trikes.images], labels)


def test_a_challenger_that_learned_from_reviewers_labels_is_promoted(retraining_stage: RetrainingStage) -> None:
    before = retraining_stage.champion
    new = new_vehicles()
    photos = [
        retraining_stage.add_label(f"uploads/driver-01/new-{number:03}.png", image, str(label))
        for number, (image, label) in enumerate(zip(new.images, new.labels, strict=True))
    ]
    # Photos whose ETag starts with 0 to 3 are held out for the comparison; the gate needs ten.
    assert sum(str(photo.etag)[0] in "0123" for photo in photos) >= 10
    with retraining_stage.invoke_continuously() as answers:
        output = retraining_stage.retrain()
    assert (output["outcome"], output["previous_model_version"]) == ("promoted", before.model_version), output[
        "verdict"
    ]
    assert output["new_labels"] == len(photos)
    assert "labelled photos that neither model was trained on" in output["verdict"]
    assert all(check["passed"] for check in output["checks"])
    champion = retraining_stage.champion
    assert (champion.model_version, champion.previous) == (output["model_version"], before.model_version)
    assert retraining_stage.serves_champion()
    assert set(answers) <= {before.model_version, champion.model_version}
    evaluation = report_of(retraining_stage, output)
    assert evaluation["labelled"]["challenger_accuracy"] > evaluation["labelled"]["champion_accuracy"]


def test_a_second_retraining_on_the_same_data_computes_no_features_again(retraining_stage: RetrainingStage) -> None:
    first = retraining_stage.champion  # trained on the stage's data by the fixture or the test before
    second = retraining_stage.retrain(dry_run=True)
    computed, cached = features_of(second["model_version"])
    assert computed == 0
    assert cached == sum(features_of(first.model_version)) > len(drawn_dataset(60, 60, 30, seed=0)) / 2


@pytest.mark.usefixtures("champion_unchanged")
def test_a_challenger_that_learned_shuffled_labels_is_rejected(retraining_stage: RetrainingStage) -> None:
    data = drawn_dataset(60, 60, 30, seed=0)
    vehicles = np.flatnonzero(np.isin(data.labels, ["bicycle", "motorcycle"]) & ~in_holdout(data))
    labels = data.labels.copy()
    labels[vehicles] = np.random.default_rng(0).permutation(labels[vehicles])
    output = retraining_stage.retrain(
        dataset=retraining_stage.publish_dataset("shuffled", Dataset(data.images, labels))
    )
    assert (output["outcome"], output["reason"]) == ("rejected", "WorseThanChampion"), output["verdict"]
    assert output["challenger"]["accuracy"] < output["compared_with"]["accuracy"]


@pytest.mark.usefixtures("champion_unchanged")
def test_a_challenger_that_is_good_on_average_but_misses_a_class_is_rejected(
    retraining_stage: RetrainingStage,
) -> None:
    data = drawn_dataset(120, 30, 30, seed=3)  # enough bicycles for a good average
    motorcycles = np.flatnonzero((data.labels == "motorcycle") & ~in_holdout(data))
    labels = data.labels.copy()
    labels[motorcycles[8:]] = "bicycle"
    output = retraining_stage.retrain(
        dataset=retraining_stage.publish_dataset("missed-class", Dataset(data.images, labels))
    )
    assert (output["outcome"], output["reason"]) == ("rejected", "BlindToAClass"), output["verdict"]
    assert "motorcycle" in output["verdict"]
    assert output["challenger"]["accuracy"] > 0.6
    assert output["challenger"]["recall"]["motorcycle"] < 0.5


@pytest.mark.usefixtures("champion_unchanged")
def test_a_model_that_is_not_better_is_not_promoted(retraining_stage: RetrainingStage, ready_image: str) -> None:
    output = retraining_stage.retrain(image=ready_image)
    assert (output["outcome"], output["reason"]) == ("rejected", "NotBetter"), output["verdict"]


@pytest.mark.usefixtures("champion_unchanged")
def test_a_training_job_that_fails_changes_nothing(retraining_stage: RetrainingStage) -> None:
    error, cause = retraining_stage.retrain_with_failure(
        image=retraining_stage.publish_image({"training/train.py": FAILING_JOB})
    )
    assert error == "TrainingFailed"
    assert "the disk is full" in cause


@pytest.mark.usefixtures("champion_unchanged")
def test_an_evaluation_job_that_fails_changes_nothing(retraining_stage: RetrainingStage) -> None:
    error, cause = retraining_stage.retrain_with_failure(
        image=retraining_stage.publish_image({"training/compare.py": FAILING_JOB})
    )
    assert error == "EvaluationFailed"
    assert "the disk is full" in cause


@pytest.mark.usefixtures("champion_unchanged")
def test_an_endpoint_that_never_gets_in_service_keeps_the_champion(retraining_stage: RetrainingStage) -> None:
    image = retraining_stage.publish_image(FAILING_SERVER)
    error, cause = retraining_stage.retrain_with_failure(image=image, force=True)
    assert error == "EndpointNotInService"
    assert retraining_stage.deployed.endpoint_name in cause


@pytest.mark.usefixtures("champion_unchanged")
def test_after_a_failed_probe_the_champion_is_restored(retraining_stage: RetrainingStage) -> None:
    image = retraining_stage.publish_image(SERVER_THAT_ANSWERS_OTHER)
    error, cause = retraining_stage.retrain_with_failure(image=image, force=True)
    assert error == "ProbeFailed"
    assert "golden photos" in cause


@pytest.mark.usefixtures("champion_unchanged")
def test_an_alarm_after_the_update_restores_the_champion(retraining_stage: RetrainingStage, ready_image: str) -> None:
    cloudwatch: Any = boto3.client("cloudwatch")
    alarm = f"{retraining_stage.deployed.app_name}-failed-executions"
    execution = retraining_stage.start(image=ready_image, force=True)
    retraining_stage.wait_for_state(execution, "Bake")
    cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="set by a test")
    ended = retraining_stage.wait_for_execution(execution)
    cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="OK", StateReason="the test is over")
    assert (ended["status"], ended.get("error")) == ("FAILED", "AlarmAfterPromotion"), ended
    assert alarm in ended["cause"]


def test_after_all_failures_the_next_retraining_promotes(retraining_stage: RetrainingStage, ready_image: str) -> None:
    before = retraining_stage.champion.model_version
    output = retraining_stage.retrain(image=ready_image, force=True)
    assert (output["outcome"], output["previous_model_version"]) == ("promoted", before)
    assert retraining_stage.serves_champion()


def features_of(job: str) -> tuple[int, int]:
    """Return how many images' features a training job computed, and how many it reused, according to its log."""
    (line,) = [line for line in read_training_log(job) if line.startswith("features: ")]
    found = re.fullmatch(r"features: (\d+) computed, (\d+) cached", line.strip())
    assert found, line
    return int(found[1]), int(found[2])


def report_of(retraining_stage: RetrainingStage, output: dict[str, Any]) -> dict[str, Any]:
    bucket, _, key = output["evaluation"].removeprefix("s3://").partition("/")
    report: dict[str, Any] = json.loads(boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())
    return report
