"""A stream that becomes dark: announced within two periods, labelled, and answered better by the next champion."""

import json
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator

import events
from deploy import system
from deploy.outputs import Deployed
from deploy.target import Target
from functions.shared.photo_record import PhotoRecord
from functions.shared.s3 import create_once
from functions.shared.times import now
from operate import retrain
from operate.event_listener import EventListener
from tests.support.drift_watch import run_watch
from tests.support.images import drawn_dataset, png, save_dataset
from tests.support.labels import label_of
from tests.support.retraining_stage import RetrainingStage, client
from tests.support.upload_stage import UploadStage
from tests.support.waiting import eventually
from training.images import Pixels

# Seconds after which the watch looks again.
PERIOD_HOURS = "0.001"
MIN_PHOTOS, LABELS = 16, 12


@pytest.fixture(scope="module")
def stage(embedded_aws: Any, tmp_path_factory: pytest.TempPathFactory) -> RetrainingStage:
    """A stage whose watch looks every few seconds, with a champion that was trained on photos in daylight."""
    gate = {"photos_minimum": 1, "accuracy_minimum": 0.2, "auroc_minimum": 0.0, "class_tolerance": 1.0, "margin": 0.0}
    tolerances = {f"{metric}_tolerance": 1.0 for metric in ("accuracy", "ece", "auroc")}
    settings = {
        "GATE": json.dumps({**gate, **tolerances, "ece_maximum": 1.0, "enough_labelled": 1}),
        "BAKE_SECONDS": "1",
        "DRIFT_PERIOD_HOURS": PERIOD_HOURS,
        "DRIFT_MIN_PHOTOS": str(MIN_PHOTOS),
        "DRIFT_WINDOW_PERIODS": "1",
        "DRIFT_LABELS": str(LABELS),
        "REVIEW_TIMEOUT_S": "60",
    }
    with pytest.MonkeyPatch.context() as environment:
        for name, value in settings.items():
            environment.setenv(name, value)
        deployed = Deployed.of(system.deploy(Target("local", "dark"), progress=lambda line: None))
    train = save_dataset(tmp_path_factory.mktemp("base"), drawn_dataset(60, 60, 30, seed=0))
    stage = RetrainingStage(deployed, retrain.publish_training_input(deployed, train), drawn_dataset(40, 40, 8, seed=1))
    # As good as every photo is reviewed, so that the labels below answer requests.
    client("ssm").put_parameter(Name=deployed.threshold_parameter, Value="1.0", Overwrite=True)
    stage.poll_endpoints_faster()
    first = stage.retrain()
    assert first["outcome"] == "promoted", first
    return stage


def darkened(image: Pixels) -> Pixels:
    """Return the image as a camera takes it at night: 5% of the light, and noise."""
    noise = np.random.default_rng(int(image.sum())).normal(0, 4, image.shape)
    return (image * 0.05 + noise).clip(0, 255).astype(np.uint8)


def upload(stage: RetrainingStage, name: str, images: list[Pixels]) -> list[PhotoRecord]:
    """Upload photos, and return their records when each was decided or a review of it requested."""
    uploads = UploadStage(stage.deployed, [])
    photos = [uploads.put(f"uploads/driver-{name}/{number}.png", png(image)) for number, image in enumerate(images)]

    def records() -> list[PhotoRecord]:
        found = (uploads.record(photo) for photo in photos)
        return [record for record in found if record and (record.outcome or record.review_requests)]

    classified: list[PhotoRecord] = eventually(
        records, lambda found: len(found) == len(photos), what="the photos to be classified", timeout_s=120
    )
    return classified


def state_of_alarm(stage: RetrainingStage) -> str:
    """Return the state of the alarm for a drift."""
    found = client("cloudwatch").describe_alarms(AlarmNames=[f"{stage.deployed.app_name}-drift"])["MetricAlarms"]
    return str(found[0]["StateValue"])


def answer(stage: RetrainingStage, record: PhotoRecord, picture: Pixels, vehicle: str) -> None:
    """Label an uploaded photo as the console does when a reviewer answers a request about it."""
    reviewer = str(client("sts").get_caller_identity()["UserId"])
    content = png(picture)
    label = label_of(record, vehicle, reviewer, answered_at=now(), picture=content)
    named = label.put(client("s3"), stage.deployed.ml_bucket)
    photo_id = record.photo.photo_id
    key = f"reviews/{now():%Y/%m/%d}/{photo_id}-{'0' * 16}.answer.json"
    assert create_once(
        client("s3"), stage.deployed.ml_bucket, key, json.dumps({"label": named}).encode(), "application/json"
    )


def correct(stage: RetrainingStage, images: list[Pixels], vehicles: list[str]) -> float:
    """Return the mean probability that the endpoint gives to the vehicle that a photo shows."""
    given = []
    for image, vehicle in zip(images, vehicles, strict=True):
        response = client("sagemaker-runtime").invoke_endpoint(
            EndpointName=stage.deployed.endpoint_name, ContentType="application/x-image", Body=png(image)
        )
        given.append(json.loads(response["Body"].read())["probabilities"][vehicle])
    return float(np.mean(given))


def test_a_stream_that_becomes_dark_is_announced_labelled_and_learned(stage: RetrainingStage) -> None:
    day = stage.photos.images[: 2 * MIN_PHOTOS + 8]
    upload(stage, "day", day)
    state = eventually(
        lambda: run_watch(stage.deployed), lambda found: "brightness" in found.references, what="the references"
    )
    assert state.drift is None
    before = stage.champion.model_version

    vehicles = stage.photos.with_labels(["bicycle", "motorcycle"])
    # One of each in turn.
    chosen = vehicles[np.arange(len(vehicles)).reshape(2, -1).T.ravel()]
    night = [darkened(image) for image in chosen.images]
    with EventListener(stage.deployed.event_bus) as listener:
        records = upload(stage, "night", night[:24])
        looks = [run_watch(stage.deployed) for _ in range(2)]
        assert any(look.drift for look in looks)
        announced = [detail for kind, detail in listener.events(5) if kind == "Drift Detected"]
    (detail,) = announced
    Draft202012Validator(events.schema("Drift Detected")).validate(detail)
    assert "brightness" in {one["statistic"] for one in detail["statistics"]}
    parameter = client("ssm").get_parameter(Name=f"/scones/{stage.deployed.stage}/audit-share")["Parameter"]["Value"]
    assert parameter == "0.2"
    eventually(lambda: state_of_alarm(stage), lambda found: found == "ALARM", what="the alarm", timeout_s=30)

    unseen, names = night[24:], [str(label) for label in chosen.labels[24:]]
    probability = correct(stage, unseen, names)
    for record, picture, label in zip(records, night, chosen.labels, strict=False):
        if record.review_requests:
            answer(stage, record, picture, str(label))
    started = eventually(
        lambda: run_watch(stage.deployed), lambda found: found.drift and found.drift.retraining_at, what="a retraining"
    )
    assert started.drift.labels >= LABELS
    eventually(lambda: stage.champion.model_version, lambda found: found != before, what="a promotion", timeout_s=300)
    eventually(lambda: stage.serves_champion(), what="the new champion to serve")
    assert correct(stage, unseen, names) > probability
    assert run_watch(stage.deployed).drift is None

    def state_after_another_run() -> str:
        run_watch(stage.deployed)
        return state_of_alarm(stage)

    eventually(state_after_another_run, lambda found: found == "OK", what="the end of the alarm")
