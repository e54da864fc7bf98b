"""Somebody stops a retraining, in whatever state it is: the champion answers on, and the next one works."""

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import boto3
import pytest

import workflows
from tests.system.workshop import ALWAYS_OTHER, FAILS, HOLD, NEVER_LOADS, Workshop, asking

DEFINITION = Path(workflows.__file__).parent / "asl" / "retrain-model.asl.json"

# The states in which an execution spends time, by the way that leads through them.
BETTER = (
    *("BuildDataset", "Train", "Evaluate", "JudgeChallenger", "CreateModel", "CreateEndpointConfig", "FindEndpoint"),
    *("UpdateEndpoint", "WaitForEndpoint", "DescribeEndpoint", "ProbeEndpoint", "Bake", "ProbeAgain"),
    *("Promote", "AnnouncePromotion"),
)
BROKEN = (
    "InspectEndpoint",
    "RestoreEndpoint",
    "WaitForRestore",
    "DescribeRestoredEndpoint",
    "Reject",
    "AnnounceRejection",
)
ENDPOINT_LOST = ("CreateEndpoint", "DeleteFailedEndpoint", "RecreateEndpoint")
ENDPOINT_FAILED = ("DeleteOldEndpoint",)
NO_CHAMPION = ("DeleteNewEndpoint",)
# These last long enough to be stopped in the middle; in the others an execution is stopped before anything is done.
LONG = ("BuildDataset", "Train", "Evaluate", "WaitForEndpoint", "ProbeEndpoint", "Bake", "WaitForRestore")


def test_every_state_that_takes_time_is_stopped_below() -> None:
    states = json.loads(DEFINITION.read_text())["States"]
    lasting = {name for name, state in states.items() if state["Type"] in ("Task", "Wait")}
    assert lasting == {*BETTER, *BROKEN, *ENDPOINT_LOST, *ENDPOINT_FAILED, *NO_CHAMPION}


@pytest.fixture(scope="module")
def codes(workshop: Workshop, ready_code: str) -> dict[str, str]:
    return {
        "ready": ready_code,
        "always other": workshop.code("always-other", {"ready/code/inference.py": ALWAYS_OTHER}),
        "never loads": workshop.code("never-loads", {"ready/code/inference.py": NEVER_LOADS}),
        "fails": workshop.code("no-disk", {"training/train.py": FAILS}),
    }


def stop_in(workshop: Workshop, state: str, code: str, before: Callable[[], None] | None = None) -> None:
    """Stop a retraining that uses `code` in `state`; `before` is called when it trains."""
    with nullcontext() if state in LONG else workshop.held_before(state):
        execution = workshop.start(source=code, force=True)
        if before:
            workshop.reach(execution, "Train")
            before()
        workshop.reach(execution, state if state in LONG else HOLD)
        workshop.stop(execution)


def the_next_one_works(workshop: Workshop) -> None:
    """The next retraining takes the lock over and puts the champion back, even when there is nothing new to learn."""
    workshop.settled()
    output = workshop.retrain(trigger="labels")
    assert output["reason"] == "NothingNew", output
    assert workshop.champion_answers()


@pytest.mark.parametrize("state", BETTER)
def test_stopped_on_the_way_of_a_better_model(workshop: Workshop, codes: dict[str, str], state: str) -> None:
    before = workshop.champion.model_version
    with asking(workshop) as answers:
        stop_in(workshop, state, codes["ready"])
        the_next_one_works(workshop)
    assert all(answer.startswith("vehicles-learn-") for answer in answers), answers
    if state != "AnnouncePromotion":
        assert workshop.champion.model_version == before


@pytest.mark.parametrize("state", BROKEN)
def test_stopped_on_the_way_back(workshop: Workshop, codes: dict[str, str], state: str) -> None:
    before = workshop.champion
    with asking(workshop) as answers:
        stop_in(workshop, state, codes["fails" if "Reject" in state else "always other"])
        the_next_one_works(workshop)
    assert workshop.champion == before
    assert all(answer.startswith("vehicles-learn-") for answer in answers), answers


@pytest.mark.parametrize("state", ENDPOINT_LOST)
def test_stopped_while_an_endpoint_that_was_deleted_is_made_again(
    workshop: Workshop, codes: dict[str, str], state: str
) -> None:
    before = workshop.champion
    stop_in(workshop, state, codes["never loads"], before=lambda: delete_endpoint(workshop))
    the_next_one_works(workshop)
    assert workshop.champion == before


@pytest.mark.parametrize("state", ENDPOINT_FAILED)
def test_stopped_while_an_endpoint_that_failed_is_replaced(
    workshop: Workshop, codes: dict[str, str], state: str
) -> None:
    before = workshop.champion
    stop_in(workshop, state, codes["ready"], before=lambda: fail_endpoint(workshop))
    the_next_one_works(workshop)
    assert workshop.champion == before


def test_stopped_before_there_is_a_champion(workshop: Workshop, codes: dict[str, str]) -> None:
    champion = workshop.champion
    delete_endpoint(workshop)
    boto3.resource("dynamodb").Table(workshop.deployed.model_table).delete_item(Key={"id": "champion"})
    stop_in(workshop, "DeleteNewEndpoint", codes["never loads"])
    output = workshop.retrain(source=codes["ready"])
    assert (output["outcome"], output["previous_model_version"]) == ("promoted", None), output
    assert workshop.champion.model_version != champion.model_version
    assert workshop.champion_answers()


def test_after_all_those_a_whole_retraining_ends_well(workshop: Workshop, codes: dict[str, str]) -> None:
    before = workshop.champion.model_version
    output = workshop.retrain(source=codes["ready"], force=True)
    assert (output["outcome"], output["previous_model_version"]) == ("promoted", before), output
    assert workshop.champion_answers()


def delete_endpoint(workshop: Workshop) -> None:
    sagemaker: Any = boto3.client("sagemaker")
    name = workshop.deployed.endpoint_name
    sagemaker.delete_endpoint(EndpointName=name)
    sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=name, WaiterConfig={"Delay": 1})


def fail_endpoint(workshop: Workshop) -> None:
    """An endpoint in the status Failed, as AWS leaves one whose first model never answered."""
    sagemaker: Any = boto3.client("sagemaker")
    model = sagemaker.describe_model(ModelName=workshop.champion.model_version)
    container = {**model["PrimaryContainer"], "ModelDataUrl": workshop.put("models/torn.tar.gz", b"no archive")}
    sagemaker.create_model(ModelName="torn", PrimaryContainer=container, ExecutionRoleArn=model["ExecutionRoleArn"])
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": "torn",
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
    }
    sagemaker.create_endpoint_config(EndpointConfigName="torn", ProductionVariants=[variant])
    delete_endpoint(workshop)
    sagemaker.create_endpoint(EndpointName=workshop.deployed.endpoint_name, EndpointConfigName="torn")
    assert workshop.settled()[0] == "Failed"
