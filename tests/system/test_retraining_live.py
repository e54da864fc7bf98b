"""Retraining beside everything else: photos, another retraining, an alarm, a person who wants the old model back."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

import events
from functions.shared.photo import Photo
from operate import status
from operate.show import console
from tests.system.workshop import Workshop, client, png
from tests.system.world import FINISHED, World, eventually

RATE = 5.0


def test_while_the_endpoint_is_updated_no_photo_notices(workshop: Workshop, ready_code: str) -> None:
    world = World(workshop.deployed, [])
    vehicles = workshop.photos.with_labels(["bicycle", "motorcycle"])
    before = workshop.champion.model_version
    assert workshop.champion_answers()
    execution = workshop.start(source=ready_code, force=True)
    workshop.reach(execution, "Evaluate")
    challenger = name_of(execution)
    put = partial(client("s3").put_object, Bucket=workshop.deployed.uploads_bucket)
    images = [png(image) for image in vehicles.images]
    sent: list[tuple[float, str, Any]] = []
    with ThreadPoolExecutor(8) as pool:
        serves = pool.submit(
            eventually, lambda: workshop.endpoint() == ("InService", challenger) and time.time(), "the challenger"
        )
        began = time.monotonic()
        while not serves.done() or time.time() < serves.result() + 2:
            key = f"uploads/driver-{len(sent) % 10:02}/stream-{len(sent):04}.png"
            sent.append((time.time(), key, pool.submit(put, Key=key, Body=images[len(sent) % len(images)])))
            time.sleep(max(0.0, began + len(sent) / RATE - time.monotonic()))
        rate = len(sent) / (time.monotonic() - began)
    promoted_at = serves.result()
    assert workshop.end_of(execution)["status"] == "SUCCEEDED"
    after = workshop.champion.model_version
    assert after != before
    photos = [
        (sent_at, Photo(workshop.deployed.uploads_bucket, key, future.result()["ETag"].strip('"')))
        for sent_at, key, future in sent
    ]
    decisions = [
        eventually(lambda photo=photo: world.decision(photo), f"the decision about {photo}") for _, photo in photos
    ]
    assert rate > 0.8 * RATE
    assert {decision["decided_by"] for decision in decisions} == {"model"}
    assert {decision["model_version"] for decision in decisions} == {before, after}
    for (sent_at, photo), decision in zip(photos, decisions, strict=True):
        if sent_at > promoted_at:
            assert decision["model_version"] == after, photo
    # A decision is written a moment before its execution ends; photos of other tests may still wait for a person.
    ours = {decision["execution"] for decision in decisions}
    assert len(ours) == len(photos)
    ended: dict[str, dict[str, Any]] = eventually(
        lambda: (
            (seen := executions_of(workshop.deployed.classify_photo_arn)).keys() >= ours
            and all(seen[arn]["status"] in FINISHED for arn in ours)
            and seen
        ),
        "the executions of the stream to end",
    )
    assert {ended[arn]["status"] for arn in ours} == {"SUCCEEDED"}
    assert not {one["status"] for one in ended.values()} & {"FAILED", "TIMED_OUT", "ABORTED"}


def name_of(execution: str) -> str:
    """The name that the model of an execution has, as its states carry it."""
    states: Any = client("stepfunctions")
    history = states.get_execution_history(executionArn=execution, maxResults=30)["events"]
    entered = (event.get("stateEnteredEventDetails") or {} for event in history)
    carried = next(one["input"] for one in entered if one.get("name") == "BuildDataset")
    name: str = json.loads(carried)["run"]["name"]
    return name


def test_of_two_retrainings_at_once_one_trains(workshop: Workshop, ready_code: str) -> None:
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: workshop.start(source=ready_code, dry_run=True), range(2)))
    outputs = [json.loads(workshop.end_of(execution)["output"]) for execution in both]
    assert {output["reason"] for output in outputs} == {"DryRun", "RetrainingRunning"}
    assert sum("Train" in workshop.visited(execution) for execution in both) == 1
    assert workshop.champion_answers()


def test_a_second_retraining_ends_while_the_first_trains(workshop: Workshop, ready_code: str) -> None:
    first = workshop.start(source=ready_code, dry_run=True)
    workshop.reach(first, "Train")
    second = workshop.retrain(source=ready_code)
    assert (second["outcome"], second["reason"]) == ("rejected", "RetrainingRunning")
    assert first in second["verdict"]
    assert json.loads(workshop.end_of(first)["output"])["reason"] == "DryRun"


def executions_of(state_machine: str) -> dict[str, dict[str, Any]]:
    """Every execution of a state machine by its ARN, as it is listed."""
    states: Any = client("stepfunctions")
    pages = states.get_paginator("list_executions").paginate(stateMachineArn=state_machine)
    return {one["executionArn"]: one for page in pages for one in page["executions"]}


def started_by(workshop: Workshop, detail_type: str, detail: dict[str, Any]) -> dict[str, Any]:
    """The end of the one retraining that an event starts."""
    states: Any = client("stepfunctions")
    retrain_model = workshop.deployed.retrain_model_arn
    before = set(executions_of(retrain_model))
    entry = {
        "EventBusName": workshop.deployed.event_bus,
        "Source": "scones.vehicles",
        "DetailType": detail_type,
        "Detail": json.dumps(detail),
    }
    bus: Any = client("events")
    assert bus.put_events(Entries=[entry])["FailedEntryCount"] == 0
    (arn,) = eventually(lambda: set(executions_of(retrain_model)) - before, "a retraining to start")
    ended: dict[str, Any] = eventually(
        lambda: (found := states.describe_execution(executionArn=arn))["status"] in FINISHED and found, "it to end"
    )
    return ended


def test_drift_starts_a_retraining_which_needs_something_new(workshop: Workshop, ready_code: str) -> None:
    standing = json.dumps({**workshop.standing, "source": ready_code}).encode()
    workshop.put("training/current.json", standing)
    sample = events.sample("drift_detected")["detail"]

    ended = started_by(workshop, "Drift Detected", sample)
    assert json.loads(ended["input"]) == {"trigger": "drift"}
    assert json.loads(ended["output"])["reason"] == "NothingNew"

    workshop.label("uploads/driver-02/drifted.png", workshop.photos.images[0], "bicycle")
    # One new label is enough for drift, and too little for the rule that counts labels.
    assert workshop.retrain(trigger="labels")["reason"] == "NothingNew"
    ended = started_by(workshop, "Drift Detected", sample)
    assert "Train" in workshop.visited(ended["executionArn"])
    assert json.loads(ended["output"])["new_labels"] == 1
    assert workshop.champion_answers()


@pytest.mark.parametrize(
    ("rule", "schedule", "trigger"),
    [("retrain-weekly", "cron(0 3 ? * MON *)", "schedule"), ("retrain-on-labels", "rate(1 hour)", "labels")],
)
def test_a_rule_starts_retrainings_by_the_clock(workshop: Workshop, rule: str, schedule: str, trigger: str) -> None:
    name = f"{workshop.deployed.app_name}-{rule}"
    found = client("events").describe_rule(Name=name)
    assert (found["ScheduleExpression"], found["State"]) == (schedule, "ENABLED")
    (target,) = client("events").list_targets_by_rule(Rule=name)["Targets"]
    assert target["Arn"] == workshop.deployed.retrain_model_arn
    assert json.loads(target["Input"]) == {"trigger": trigger}


def test_the_status_shows_the_chain_of_models(workshop: Workshop, ready_code: str) -> None:
    parent = workshop.champion
    child = workshop.retrain(source=ready_code, force=True)["model_version"]
    with console.capture() as printed:
        status.show(workshop.deployed)
    said = "".join(printed.get().split())
    assert f"Champion{child}" in said
    assert child in said.partition("Models,newestfirst")[2].partition(parent.model_version)[0]
    package = newest_package(workshop)["CustomerMetadataProperties"]
    assert (package["model_version"], package["parent"]) == (child, parent.model_version)
    assert package["snapshot"] == workshop.champion.snapshot
    assert package["source"] == ready_code


def newest_package(workshop: Workshop) -> dict[str, Any]:
    sagemaker: Any = client("sagemaker")
    listed = sagemaker.list_model_packages(
        ModelPackageGroupName=workshop.deployed.app_name, SortBy="CreationTime", SortOrder="Descending", MaxResults=1
    )["ModelPackageSummaryList"]
    found: dict[str, Any] = sagemaker.describe_model_package(ModelPackageName=listed[0]["ModelPackageArn"])
    return found
