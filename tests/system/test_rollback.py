"""Rollbacks: started by a command or an alarm, repeated, refused during a retraining, failed, stopped."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import events
from deploy.target import Target
from operate import rollback, status
from operate.errors import CommandError
from operate.event_listener import EventListener
from operate.rollback import roll_back
from operate.terminal import console
from tests.support.retraining_stage import PAUSE_STATE, RetrainingStage, client
from tests.support.training_code import FAILING_SERVER
from tests.support.upload_stage import wait_for_execution
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def chain(retraining_stage: RetrainingStage, fast_image: str) -> list[str]:
    """Three models that were promoted one after the other, the newest last."""
    first = retraining_stage.champion.model_version
    return [first, *(retraining_stage.retrain(image=fast_image, force=True)["model_version"] for _ in range(2))]


def status_text(retraining_stage: RetrainingStage) -> str:
    with console.capture() as printed:
        status.show(retraining_stage.deployed, Target("local", retraining_stage.deployed.stage))
    return "".join(printed.get().split())


def executions(retraining_stage: RetrainingStage) -> set[str]:
    found = client("stepfunctions").list_executions(stateMachineArn=retraining_stage.deployed.rollback_model_arn)
    return {one["executionArn"] for one in found["executions"]}


def test_a_second_rollback_restores_an_earlier_model_and_skips_the_marked_one(
    retraining_stage: RetrainingStage, chain: list[str]
) -> None:
    earliest = retraining_stage.table.promoted(chain[0])
    assert earliest
    with (
        retraining_stage.invoke_continuously() as answers,
        EventListener(retraining_stage.deployed.event_bus) as listener,
        console.capture() as printed,
    ):
        output = roll_back(retraining_stage.deployed, reason="a test asks for it")
        rollback.print_result(output)
        detail_type, detail = next(listener.events(20))
    assert (output["champion"], output["rolled_back"]) == (chain[1], chain[2])
    assert detail_type == "Model Rolled Back"
    Draft202012Validator(events.schema(detail_type)).validate(detail)
    assert (detail["model_version"], detail["rolled_back_model_version"]) == (chain[1], chain[2])
    assert retraining_stage.serves_champion()
    assert set(answers) <= {chain[1], chain[2]}
    text = printed.get()
    assert [state for state in ("PrepareRollback", "UpdateEndpoint", "RecordRollback") if state not in text] == []
    assert f"make rollback TO={chain[2].rpartition('-')[2]}" in text
    marked = retraining_stage.table.promoted(chain[2])
    assert marked
    assert (marked.rolled_back_reason, marked.rolled_back_by) == ("a test asks for it", output["execution"])

    assert roll_back(retraining_stage.deployed)["champion"] == chain[0]
    assert retraining_stage.serves_champion()
    assert (retraining_stage.champion.artifact, retraining_stage.champion.snapshot) == (
        earliest.artifact,
        earliest.snapshot,
    )
    shown = status_text(retraining_stage)
    assert "restoredbyarollback" in shown
    assert "atestasksforit" in shown


def test_a_marked_model_can_be_named_and_loses_its_mark(retraining_stage: RetrainingStage, chain: list[str]) -> None:
    output = roll_back(retraining_stage.deployed, chain[2])
    assert output["mark_removed"]
    assert retraining_stage.serves_champion()
    record = retraining_stage.table.promoted(chain[2])
    assert record
    assert record.rolled_back_at is None


def test_a_model_that_cannot_be_restored_is_refused(retraining_stage: RetrainingStage, chain: list[str]) -> None:
    champion = retraining_stage.champion
    with pytest.raises(CommandError, match="is the champion already"):
        roll_back(retraining_stage.deployed, champion.model_version)
    for unknown in ("vehicles-learn-never", "a-model-of-another-stage"):
        with pytest.raises(CommandError, match="cannot be restored"):
            roll_back(retraining_stage.deployed, unknown)
    assert retraining_stage.champion == champion
    assert retraining_stage.serves_champion()


def test_a_rollback_is_refused_while_a_retraining_runs(
    retraining_stage: RetrainingStage, chain: list[str], fast_image: str
) -> None:
    champion = retraining_stage.champion
    retraining = retraining_stage.start(image=fast_image, dry_run=True)
    retraining_stage.wait_for_state(retraining, "Train")
    with pytest.raises(CommandError, match=r"is running.*RetrainingRunning.*The champion stays"):
        roll_back(retraining_stage.deployed)
    assert json.loads(retraining_stage.wait_for_execution(retraining)["output"])["reason"] == "DryRun"
    assert retraining_stage.champion == champion
    assert retraining_stage.serves_champion()


def test_a_rollback_that_fails_restores_the_champion(retraining_stage: RetrainingStage, chain: list[str]) -> None:
    """The earlier model has an endpoint configuration but no longer loads."""
    champion = retraining_stage.champion
    sagemaker: Any = client("sagemaker")
    described = sagemaker.describe_model(ModelName=champion.model_version)
    broken = "vehicles-learn-broken"
    archive = retraining_stage.build_model_archive(version=broken)
    artifact = retraining_stage.put("models/broken/model.tar.gz", archive)
    sagemaker.create_model(
        ModelName=broken,
        PrimaryContainer={
            **described["PrimaryContainer"],
            "ModelDataUrl": artifact,
            "Image": retraining_stage.publish_image(FAILING_SERVER),
        },
        ExecutionRoleArn=described["ExecutionRoleArn"],
    )
    variant = {"VariantName": "AllTraffic", "ModelName": broken, "InstanceType": "ml.m5.large"}
    sagemaker.create_endpoint_config(
        EndpointConfigName=broken, ProductionVariants=[{**variant, "InitialInstanceCount": 1}]
    )
    with retraining_stage.invoke_continuously() as answers, pytest.raises(CommandError) as failed:
        roll_back(retraining_stage.deployed, broken)
    assert f"The rollback to {broken} failed" in str(failed.value)
    assert f"{champion.model_version} is in service again" in str(failed.value)
    assert retraining_stage.champion == champion
    assert retraining_stage.serves_champion()
    assert set(answers) == {champion.model_version}
    lock = client("dynamodb").get_item(TableName=retraining_stage.deployed.model_table, Key={"id": {"S": "lock"}})
    assert "Item" not in lock


@contextmanager
def alarm_state(retraining_stage: RetrainingStage, alarm: str) -> Iterator[None]:
    """Set an alarm of the stage to ALARM; set it to OK when the block ends."""
    cloudwatch: Any = client("cloudwatch")
    name = f"{retraining_stage.deployed.app_name}-{alarm}"
    cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="set by a test")
    try:
        yield
    finally:
        cloudwatch.set_alarm_state(AlarmName=name, StateValue="OK", StateReason="the test is over")


def test_an_alarm_rolls_back_a_new_champion_only_once(
    retraining_stage: RetrainingStage, chain: list[str], fast_image: str
) -> None:
    before = retraining_stage.champion.model_version
    newest = retraining_stage.retrain(image=fast_image, force=True)["model_version"]
    known = executions(retraining_stage)
    with alarm_state(retraining_stage, "endpoint-errors"):
        (arn,) = eventually(lambda: executions(retraining_stage) - known, what="a rollback to start")
        ended = wait_for_execution(arn)
    output = json.loads(ended["output"])
    assert (output["outcome"], output["champion"], output["rolled_back"]) == ("rolled back", before, newest)
    record = retraining_stage.table.promoted(newest)
    assert record
    assert str(record.rolled_back_reason).startswith(f"alarm {retraining_stage.deployed.app_name}-endpoint-errors")
    assert retraining_stage.serves_champion()

    # The next alarm does not roll back the restored model.
    known = executions(retraining_stage)
    with alarm_state(retraining_stage, "endpoint-errors"):
        (arn,) = eventually(lambda: executions(retraining_stage) - known, what="a rollback to start")
        assert json.loads(wait_for_execution(arn)["output"])["outcome"] == "ignored"
    assert retraining_stage.champion.model_version == before


def test_an_alarm_stops_a_retraining_that_has_not_changed_the_endpoint(
    retraining_stage: RetrainingStage, chain: list[str], fast_image: str
) -> None:
    before = retraining_stage.champion.model_version
    newest = retraining_stage.retrain(image=fast_image, force=True)["model_version"]
    known = executions(retraining_stage)
    with retraining_stage.pause_before("Evaluate"):
        retraining = retraining_stage.start(image=fast_image, dry_run=True)
        retraining_stage.wait_for_state(retraining, PAUSE_STATE)
    with alarm_state(retraining_stage, "endpoint-errors"):
        (arn,) = eventually(lambda: executions(retraining_stage) - known, what="a rollback to start")
        output = json.loads(wait_for_execution(arn)["output"])
    assert (output["outcome"], output["champion"], output["rolled_back"]) == ("rolled back", before, newest)
    stopped = retraining_stage.wait_for_execution(retraining)
    assert (stopped["status"], stopped["error"]) == ("ABORTED", "StoppedByRollback")
    assert retraining_stage.serves_champion()


def test_a_stopped_rollback_can_be_started_again(
    retraining_stage: RetrainingStage, chain: list[str], fast_image: str
) -> None:
    before = retraining_stage.champion.model_version
    newest = retraining_stage.retrain(image=fast_image, force=True)["model_version"]
    states: Any = client("stepfunctions")
    machine = retraining_stage.deployed.rollback_model_arn
    execution = states.start_execution(stateMachineArn=machine, input="{}")["executionArn"]
    retraining_stage.wait_for_state(execution, "WaitForEndpoint")
    retraining_stage.stop(execution)
    assert retraining_stage.champion.model_version == newest
    output = roll_back(retraining_stage.deployed)
    assert (output["champion"], output["rolled_back"]) == (before, newest)
    assert retraining_stage.serves_champion()
