"""Retraining while photos are uploaded, while another retraining runs, and started by rules."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

import events
from deploy.target import Target
from functions.shared.photo import Photo
from operate import status
from operate.terminal import console
from tests.support.images import png
from tests.support.retraining_stage import RetrainingStage, client
from tests.support.upload_stage import FINISHED, UploadStage, wait_for_execution
from tests.support.waiting import eventually

RATE = 5.0


def test_during_an_endpoint_update_the_model_decides_every_photo(
    retraining_stage: RetrainingStage, ready_image: str
) -> None:
    upload_stage = UploadStage(retraining_stage.deployed, [])
    vehicles = retraining_stage.photos.with_labels(["bicycle", "motorcycle"])
    before = retraining_stage.champion.model_version
    assert retraining_stage.serves_champion()
    execution = retraining_stage.start(image=ready_image, force=True)
    retraining_stage.wait_for_state(execution, "Evaluate")
    challenger = trained_model(execution)
    put = partial(client("s3").put_object, Bucket=retraining_stage.deployed.uploads_bucket)
    images = [png(image) for image in vehicles.images]
    sent: list[tuple[float, str, Any]] = []
    with ThreadPoolExecutor(8) as pool:
        serves = pool.submit(
            eventually,
            lambda: retraining_stage.endpoint() == ("InService", challenger) and time.time(),
            what="the challenger",
        )
        began = time.monotonic()
        while not serves.done() or time.time() < serves.result() + 2:
            key = f"uploads/driver-{len(sent) % 10:02}/stream-{len(sent):04}.png"
            sent.append((time.time(), key, pool.submit(put, Key=key, Body=images[len(sent) % len(images)])))
            time.sleep(max(0.0, began + len(sent) / RATE - time.monotonic()))
        rate = len(sent) / (time.monotonic() - began)
    promoted_at = serves.result()
    assert retraining_stage.wait_for_execution(execution)["status"] == "SUCCEEDED"
    after = retraining_stage.champion.model_version
    assert after != before
    photos = [
        (sent_at, Photo(retraining_stage.deployed.uploads_bucket, key, future.result()["ETag"].strip('"')))
        for sent_at, key, future in sent
    ]
    decisions = [
        eventually(lambda photo=photo: upload_stage.decision(photo), what=f"the decision about {photo}")
        for _, photo in photos
    ]
    assert rate > 0.8 * RATE
    assert {decision["decided_by"] for decision in decisions} == {"model"}
    assert {decision["model_version"] for decision in decisions} == {before, after}
    for (sent_at, photo), decision in zip(photos, decisions, strict=True):
        if sent_at > promoted_at:
            assert decision["model_version"] == after, photo
    # A decision is written before its execution ends; photos of other tests may still wait for a reviewer.
    own_executions = {decision["execution"] for decision in decisions}
    assert len(own_executions) == len(photos)
    ended: dict[str, dict[str, Any]] = eventually(
        lambda: (
            (seen := executions_of(retraining_stage.deployed.classify_photo_arn)).keys() >= own_executions
            and all(seen[arn]["status"] in FINISHED for arn in own_executions)
            and seen
        ),
        what="the executions of the stream to end",
    )
    assert {ended[arn]["status"] for arn in own_executions} == {"SUCCEEDED"}
    assert not {one["status"] for one in ended.values()} & {"FAILED", "TIMED_OUT", "ABORTED"}


def trained_model(execution: str) -> str:
    """The name of the model that an execution trains, from the input of its first states."""
    states: Any = client("stepfunctions")
    history = states.get_execution_history(executionArn=execution, maxResults=30)["events"]
    entered = (event.get("stateEnteredEventDetails") or {} for event in history)
    entered_input = next(one["input"] for one in entered if one.get("name") == "BuildDataset")
    name: str = json.loads(entered_input)["run"]["name"]
    return name


def test_of_two_retrainings_at_once_one_trains(retraining_stage: RetrainingStage, ready_image: str) -> None:
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: retraining_stage.start(image=ready_image, dry_run=True), range(2)))
    outputs = [json.loads(retraining_stage.wait_for_execution(execution)["output"]) for execution in both]
    assert {output["reason"] for output in outputs} == {"DryRun", "RetrainingRunning"}
    assert sum("Train" in retraining_stage.entered_states(execution) for execution in both) == 1
    assert retraining_stage.serves_champion()


def test_a_second_retraining_ends_while_the_first_trains(retraining_stage: RetrainingStage, ready_image: str) -> None:
    first = retraining_stage.start(image=ready_image, dry_run=True)
    retraining_stage.wait_for_state(first, "Train")
    second = retraining_stage.retrain(image=ready_image)
    assert (second["outcome"], second["reason"]) == ("rejected", "RetrainingRunning")
    assert first in second["verdict"]
    assert json.loads(retraining_stage.wait_for_execution(first)["output"])["reason"] == "DryRun"


def executions_of(state_machine: str) -> dict[str, dict[str, Any]]:
    """Every execution of a state machine by its ARN, as it is listed."""
    states: Any = client("stepfunctions")
    pages = states.get_paginator("list_executions").paginate(stateMachineArn=state_machine)
    return {one["executionArn"]: one for page in pages for one in page["executions"]}


def start_by_event(retraining_stage: RetrainingStage, detail_type: str, detail: dict[str, Any]) -> dict[str, Any]:
    """Publish an event; returns the description of the retraining that it started, when that has ended."""
    retrain_model = retraining_stage.deployed.retrain_model_arn
    before = set(executions_of(retrain_model))
    entry = {
        "EventBusName": retraining_stage.deployed.event_bus,
        "Source": "scones.vehicles",
        "DetailType": detail_type,
        "Detail": json.dumps(detail),
    }
    bus: Any = client("events")
    assert bus.put_events(Entries=[entry])["FailedEntryCount"] == 0
    (arn,) = eventually(lambda: set(executions_of(retrain_model)) - before, what="a retraining to start")
    return wait_for_execution(arn)


def test_drift_starts_a_retraining_that_needs_a_new_label(retraining_stage: RetrainingStage, ready_image: str) -> None:
    recorded = json.dumps({**retraining_stage.training_input, "image": ready_image}).encode()
    retraining_stage.put("training/current.json", recorded)
    sample = events.sample("retraining_needed")["detail"]

    ended = start_by_event(retraining_stage, "Retraining Needed", sample)
    assert json.loads(ended["input"]) == {"trigger": "drift"}
    assert json.loads(ended["output"])["reason"] == "NothingNew"

    retraining_stage.add_label("uploads/driver-02/drifted.png", retraining_stage.photos.images[0], "bicycle")
    # One new label is enough for drift, but not for the schedule that counts labels.
    assert retraining_stage.retrain(trigger="labels")["reason"] == "NothingNew"
    ended = start_by_event(retraining_stage, "Retraining Needed", sample)
    assert "Train" in retraining_stage.entered_states(ended["executionArn"])
    assert json.loads(ended["output"])["new_labels"] == 1
    assert retraining_stage.serves_champion()


@pytest.mark.parametrize(
    ("rule", "schedule", "trigger"),
    [("retrain-weekly", "cron(0 3 ? * MON *)", "schedule"), ("retrain-on-labels", "rate(1 hour)", "labels")],
)
def test_a_schedule_starts_retrainings(
    retraining_stage: RetrainingStage, rule: str, schedule: str, trigger: str
) -> None:
    name = f"{retraining_stage.deployed.app_name}-{rule}"
    found = client("events").describe_rule(Name=name)
    assert (found["ScheduleExpression"], found["State"]) == (schedule, "ENABLED")
    (target,) = client("events").list_targets_by_rule(Rule=name)["Targets"]
    assert target["Arn"] == retraining_stage.deployed.retrain_model_arn
    assert json.loads(target["Input"]) == {"trigger": trigger}


def test_the_status_shows_a_model_and_its_parent(retraining_stage: RetrainingStage, fast_image: str) -> None:
    parent = retraining_stage.champion
    child = retraining_stage.retrain(image=fast_image, force=True)["model_version"]
    with console.capture() as printed:
        status.show(retraining_stage.deployed, Target("local", retraining_stage.deployed.stage))
    text = "".join(printed.get().split())
    assert f"Inproduction:{child}" in text
    assert child in text.partition("Models,newestfirst")[2].partition(parent.model_version)[0]
    package = newest_package(retraining_stage)["CustomerMetadataProperties"]
    assert (package["model_version"], package["parent"]) == (child, parent.model_version)
    assert package["snapshot"] == retraining_stage.champion.snapshot
    assert package["image"] == fast_image


def newest_package(retraining_stage: RetrainingStage) -> dict[str, Any]:
    sagemaker: Any = client("sagemaker")
    listed = sagemaker.list_model_packages(
        ModelPackageGroupName=retraining_stage.deployed.app_name,
        SortBy="CreationTime",
        SortOrder="Descending",
        MaxResults=1,
    )["ModelPackageSummaryList"]
    found: dict[str, Any] = sagemaker.describe_model_package(ModelPackageName=listed[0]["ModelPackageArn"])
    return found
