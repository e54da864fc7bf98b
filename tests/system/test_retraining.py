"""What becomes of a challenger: it is better, worse, blind to a class, or broken at every stage there is."""

import json
import re
from typing import Any

import boto3
import numpy as np
import pytest

from operate.synthetic_photos import synthetic_photos
from tests.system.workshop import (
    ALWAYS_OTHER,
    FAILS,
    NEVER_LOADS,
    Workshop,
    asking,
    drawings,
    training_log,
)
from training.dataset import Dataset
from training.holdout import in_holdout


@pytest.fixture
def unharmed(workshop: Workshop) -> Any:
    """Whatever the challenger does, the champion is the same afterwards and answered all the time."""
    champion = workshop.champion
    assert workshop.champion_answers()
    with asking(workshop) as answers:
        yield
    assert workshop.champion == champion
    assert workshop.champion_answers()
    assert not [answer for answer in answers if not answer.startswith("vehicles-learn-")]


def new_vehicles() -> Dataset:
    """Cargo bikes and trikes, of which the base data has none and which people tell apart."""
    drawn = synthetic_photos(40, seed=2)
    bikes, trikes = drawn.with_labels(["bus"]), drawn.with_labels(["pickup_truck"])
    labels = np.array(["bicycle"] * len(bikes) + ["motorcycle"] * len(trikes))
    return Dataset([*bikes.images, *trikes.images], labels)


def test_a_challenger_that_learned_people_s_labels_is_promoted(workshop: Workshop) -> None:
    before = workshop.champion
    new = new_vehicles()
    photos = [
        workshop.label(f"uploads/driver-01/new-{number:03}.png", image, str(label))
        for number, (image, label) in enumerate(zip(new.images, new.labels, strict=True))
    ]
    # By their ids a quarter of them judges; the gate asks for ten.
    assert sum(photo.photo_id[0] in "0123" for photo in photos) >= 10
    with asking(workshop) as answers:
        output = workshop.retrain()
    assert (output["outcome"], output["previous_model_version"]) == ("promoted", before.model_version), output[
        "verdict"
    ]
    assert output["new_labels"] == len(photos)
    assert "labelled photos that neither model learned" in output["verdict"]
    assert all(check["passed"] for check in output["checks"])
    champion = workshop.champion
    assert (champion.model_version, champion.previous) == (output["model_version"], before.model_version)
    assert workshop.champion_answers()
    assert set(answers) <= {before.model_version, champion.model_version}
    evaluation = report_of(workshop, output)
    assert evaluation["labelled"]["challenger_accuracy"] > evaluation["labelled"]["champion_accuracy"]


def test_a_second_retraining_on_the_same_data_computes_no_features_again(workshop: Workshop) -> None:
    first = workshop.retrain(force=True)
    assert first["outcome"] == "promoted", first["verdict"]
    second = workshop.retrain(dry_run=True)
    computed, kept = features_of(second["model_version"])
    assert computed == 0
    assert kept == sum(features_of(first["model_version"])) > len(drawings(60, 60, 30, seed=0)) / 2


@pytest.mark.usefixtures("unharmed")
def test_a_challenger_that_learned_shuffled_labels_is_rejected(workshop: Workshop) -> None:
    data = drawings(60, 60, 30, seed=0)
    vehicles = np.flatnonzero(np.isin(data.labels, ["bicycle", "motorcycle"]) & ~in_holdout(data))
    labels = data.labels.copy()
    labels[vehicles] = np.random.default_rng(0).permutation(labels[vehicles])
    output = workshop.retrain(dataset=workshop.base("shuffled", Dataset(data.images, labels)))
    assert (output["outcome"], output["reason"]) == ("rejected", "WorseThanChampion"), output["verdict"]
    assert output["challenger"]["accuracy"] < output["compared_with"]["accuracy"]


@pytest.mark.usefixtures("unharmed")
def test_a_challenger_that_is_good_on_average_but_blind_to_a_class_is_rejected(workshop: Workshop) -> None:
    data = drawings(120, 30, 30, seed=3)  # so many bicycles that the average stays good
    motorcycles = np.flatnonzero((data.labels == "motorcycle") & ~in_holdout(data))
    labels = data.labels.copy()
    labels[motorcycles[8:]] = "bicycle"
    output = workshop.retrain(dataset=workshop.base("blind", Dataset(data.images, labels)))
    assert (output["outcome"], output["reason"]) == ("rejected", "BlindToAClass"), output["verdict"]
    assert "motorcycle" in output["verdict"]
    assert output["challenger"]["accuracy"] > 0.6
    assert output["challenger"]["recall"]["motorcycle"] < 0.5


@pytest.mark.usefixtures("unharmed")
def test_a_model_that_is_only_as_good_is_not_promoted(workshop: Workshop, ready_code: str) -> None:
    output = workshop.retrain(source=ready_code)
    assert (output["outcome"], output["reason"]) == ("rejected", "NotBetter"), output["verdict"]


@pytest.mark.usefixtures("unharmed")
def test_a_training_job_that_fails_changes_nothing(workshop: Workshop) -> None:
    error, cause = workshop.fail(source=workshop.code("no-disk", {"training/train.py": FAILS}))
    assert error == "TrainingFailed"
    assert "the disk is full" in cause


@pytest.mark.usefixtures("unharmed")
def test_an_evaluation_job_that_fails_changes_nothing(workshop: Workshop) -> None:
    error, cause = workshop.fail(source=workshop.code("no-report", {"training/compare.py": FAILS}))
    assert error == "EvaluationFailed"
    assert "the disk is full" in cause


@pytest.mark.usefixtures("unharmed")
def test_an_endpoint_that_never_gets_in_service_keeps_the_champion(workshop: Workshop) -> None:
    code = workshop.code("never-loads", {"ready/code/inference.py": NEVER_LOADS})
    error, cause = workshop.fail(source=code, force=True)
    assert error == "EndpointNotInService"
    assert workshop.deployed.endpoint_name in cause


@pytest.mark.usefixtures("unharmed")
def test_a_model_that_fails_its_probe_goes_back(workshop: Workshop) -> None:
    code = workshop.code("always-other", {"ready/code/inference.py": ALWAYS_OTHER})
    error, cause = workshop.fail(source=code, force=True)
    assert error == "ProbeFailed"
    assert "golden photos" in cause


@pytest.mark.usefixtures("unharmed")
def test_an_alarm_in_the_first_minutes_brings_the_champion_back(workshop: Workshop, ready_code: str) -> None:
    cloudwatch: Any = boto3.client("cloudwatch")
    alarm = f"{workshop.deployed.app_name}-failed-executions"
    execution = workshop.start(source=ready_code, force=True)
    workshop.reach(execution, "Bake")
    cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="a test rings it")
    ended = workshop.end_of(execution)
    cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="OK", StateReason="the test is over")
    assert (ended["status"], ended.get("error")) == ("FAILED", "AlarmAfterPromotion"), ended
    assert alarm in ended["cause"]


def test_after_all_that_the_next_retraining_promotes(workshop: Workshop, ready_code: str) -> None:
    before = workshop.champion.model_version
    output = workshop.retrain(source=ready_code, force=True)
    assert (output["outcome"], output["previous_model_version"]) == ("promoted", before)
    assert workshop.champion_answers()


def features_of(job: str) -> tuple[int, int]:
    """How many pictures' features a training job computed, and how many an earlier job had kept, as its log says."""
    (line,) = [line for line in training_log(job) if line.startswith("features: ")]
    found = re.fullmatch(r"features: (\d+) computed, (\d+) kept", line.strip())
    assert found, line
    return int(found[1]), int(found[2])


def report_of(workshop: Workshop, output: dict[str, Any]) -> dict[str, Any]:
    bucket, _, key = output["evaluation"].removeprefix("s3://").partition("/")
    report: dict[str, Any] = json.loads(boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())
    return report
