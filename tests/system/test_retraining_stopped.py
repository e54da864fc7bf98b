"""A retraining is stopped in each of its states: the champion stays in service, and the next retraining works."""

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import boto3
import pytest

import workflows
from tests.support.retraining_stage import PAUSE_STATE, RetrainingStage
from tests.support.training_code import FAILING_JOB, FAILING_SERVER, SERVER_THAT_ANSWERS_OTHER

DEFINITION = Path(workflows.__file__).parent / "asl" / "retrain-model.asl.json"

# The Task and Wait states, by the case in which an execution enters them.
PROMOTION_STATES = (
    *("BuildDataset", "Train", "Evaluate", "JudgeChallenger", "CreateModel", "CreateEndpointConfig", "FindEndpoint"),
    *("StopScaling", "UpdateEndpoint", "WaitForEndpoint", "DescribeEndpoint", "RegisterScaling", "SetScalingPolicy"),
    *("ProbeEndpoint", "Bake", "ProbeAgain", "Promote", "AnnouncePromotion"),
)
RESTORE_STATES = (
    "InspectEndpoint",
    "StopScalingToRestore",
    "RestoreEndpoint",
    "WaitForRestore",
    "DescribeRestoredEndpoint",
    "EnsureScaling",
    "EnsureScalingPolicy",
    "Reject",
    "AnnounceRejection",
)
MISSING_ENDPOINT_STATES = ("CreateEndpoint", "DeleteFailedEndpoint", "RecreateEndpoint")
FAILED_ENDPOINT_STATES = ("DeleteOldEndpoint",)
NO_CHAMPION_STATES = ("DeleteNewEndpoint",)
# An execution is stopped during these states, and before the others, which are too short.
LONG_STATES = ("BuildDataset", "Train", "Evaluate", "WaitForEndpoint", "ProbeEndpoint", "Bake", "WaitForRestore")


def test_the_lists_contain_every_task_and_wait_state() -> None:
    states = json.loads(DEFINITION.read_text())["States"]
    names = {name for name, state in states.items() if state["Type"] in ("Task", "Wait")}
    assert names == {
        *PROMOTION_STATES,
        *RESTORE_STATES,
        *MISSING_ENDPOINT_STATES,
        *FAILED_ENDPOINT_STATES,
        *NO_CHAMPION_STATES,
    }


@pytest.fixture(scope="module")
def images(retraining_stage: RetrainingStage, ready_image: str, fast_image: str) -> dict[str, str]:
    """Images by the outcome of their retraining."""
    fast = retraining_stage.files_without_comparison()
    return {
        "compared": ready_image,
        "ready": fast_image,
        "always other": retraining_stage.publish_image({**fast, **SERVER_THAT_ANSWERS_OTHER}),
        "never loads": retraining_stage.publish_image({**fast, **FAILING_SERVER}),
        # The copied report compares with a champion and with the reference model of that time.
        "first never loads": retraining_stage.publish_image(FAILING_SERVER),
        "fails": retraining_stage.publish_image({"training/train.py": FAILING_JOB}),
    }


def stop_in(
    retraining_stage: RetrainingStage, state: str, image: str, before: Callable[[], None] | None = None
) -> None:
    """Stop a retraining that uses `image` in `state`; `before` is called when it trains."""
    with nullcontext() if state in LONG_STATES else retraining_stage.pause_before(state):
        execution = retraining_stage.start(image=image, force=True)
        if before:
            retraining_stage.wait_for_state(execution, "Train")
            before()
        retraining_stage.wait_for_state(execution, state if state in LONG_STATES else PAUSE_STATE)
        retraining_stage.stop(execution)


def assert_next_retraining_works(retraining_stage: RetrainingStage) -> None:
    """The next retraining takes over the lock and restores the champion, even without new labels."""
    retraining_stage.wait_for_endpoint()
    output = retraining_stage.retrain(trigger="labels")
    assert output["reason"] == "NothingNew", output
    assert retraining_stage.serves_champion()


@pytest.mark.parametrize("state", PROMOTION_STATES)
def test_stopped_while_a_better_model_is_trained_and_promoted(
    retraining_stage: RetrainingStage, images: dict[str, str], state: str
) -> None:
    before = retraining_stage.champion.model_version
    with retraining_stage.invoke_continuously() as answers:
        stop_in(retraining_stage, state, images["compared" if state == "Evaluate" else "ready"])
        assert_next_retraining_works(retraining_stage)
    assert all(answer.startswith("vehicles-learn-") for answer in answers), answers
    if state != "AnnouncePromotion":
        assert retraining_stage.champion.model_version == before


@pytest.mark.parametrize("state", RESTORE_STATES)
def test_stopped_while_the_champion_is_restored(
    retraining_stage: RetrainingStage, images: dict[str, str], state: str
) -> None:
    before = retraining_stage.champion
    with retraining_stage.invoke_continuously() as answers:
        stop_in(retraining_stage, state, images["fails" if "Reject" in state else "always other"])
        assert_next_retraining_works(retraining_stage)
    assert retraining_stage.champion == before
    assert all(answer.startswith("vehicles-learn-") for answer in answers), answers


@pytest.mark.parametrize("state", MISSING_ENDPOINT_STATES)
def test_stopped_while_a_deleted_endpoint_is_created_again(
    retraining_stage: RetrainingStage, images: dict[str, str], state: str
) -> None:
    before = retraining_stage.champion
    stop_in(retraining_stage, state, images["never loads"], before=lambda: delete_endpoint(retraining_stage))
    assert_next_retraining_works(retraining_stage)
    assert retraining_stage.champion == before


@pytest.mark.parametrize("state", FAILED_ENDPOINT_STATES)
def test_stopped_while_a_failed_endpoint_is_replaced(
    retraining_stage: RetrainingStage, images: dict[str, str], state: str
) -> None:
    before = retraining_stage.champion
    stop_in(retraining_stage, state, images["ready"], before=lambda: fail_endpoint(retraining_stage))
    assert_next_retraining_works(retraining_stage)
    assert retraining_stage.champion == before


def test_stopped_before_there_is_a_champion(retraining_stage: RetrainingStage, images: dict[str, str]) -> None:
    champion = retraining_stage.champion
    delete_endpoint(retraining_stage)
    boto3.resource("dynamodb").Table(retraining_stage.deployed.model_table).delete_item(Key={"id": "champion"})
    stop_in(retraining_stage, "DeleteNewEndpoint", images["first never loads"])
    output = retraining_stage.retrain(image=images["compared"])
    assert (output["outcome"], output["previous_model_version"]) == ("promoted", None), output
    assert retraining_stage.champion.model_version != champion.model_version
    assert retraining_stage.serves_champion()


def test_after_all_stops_a_retraining_promotes(retraining_stage: RetrainingStage, images: dict[str, str]) -> None:
    before = retraining_stage.champion.model_version
    output = retraining_stage.retrain(image=images["compared"], force=True)
    assert (output["outcome"], output["previous_model_version"]) == ("promoted", before), output
    assert retraining_stage.serves_champion()


def delete_endpoint(retraining_stage: RetrainingStage) -> None:
    sagemaker: Any = boto3.client("sagemaker")
    name = retraining_stage.deployed.endpoint_name
    sagemaker.delete_endpoint(EndpointName=name)
    sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=name, WaiterConfig={"Delay": 1})


def fail_endpoint(retraining_stage: RetrainingStage) -> None:
    """Replace the endpoint by one in status Failed, whose model cannot be loaded."""
    sagemaker: Any = boto3.client("sagemaker")
    model = sagemaker.describe_model(ModelName=retraining_stage.champion.model_version)
    container = {
        **model["PrimaryContainer"],
        "ModelDataUrl": retraining_stage.put("models/unreadable/model.tar.gz", b"no archive"),
    }
    sagemaker.create_model(
        ModelName="unreadable", PrimaryContainer=container, ExecutionRoleArn=model["ExecutionRoleArn"]
    )
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": "unreadable",
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
    }
    sagemaker.create_endpoint_config(EndpointConfigName="unreadable", ProductionVariants=[variant])
    delete_endpoint(retraining_stage)
    sagemaker.create_endpoint(EndpointName=retraining_stage.deployed.endpoint_name, EndpointConfigName="unreadable")
    assert retraining_stage.wait_for_endpoint()[0] == "Failed"
