"""Putting an earlier model back: by a person, twice, beside a retraining, when it fails, and by an alarm."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import events
from operate import rollback, status
from operate.errors import CommandError
from operate.event_listener import Tap
from operate.rollback import roll_back
from operate.show import console
from tests.system.workshop import NEVER_LOADS, Workshop, asking, client
from tests.system.world import FINISHED, eventually


@pytest.fixture(scope="module")
def chain(workshop: Workshop, ready_code: str) -> list[str]:
    """Three models that became champion one after the other, the newest last."""
    first = workshop.champion.model_version
    return [first, *(workshop.retrain(source=ready_code, force=True)["model_version"] for _ in range(2))]


def said_by_status(workshop: Workshop) -> str:
    with console.capture() as printed:
        status.show(workshop.deployed)
    return "".join(printed.get().split())


def executions(workshop: Workshop) -> set[str]:
    found = client("stepfunctions").list_executions(stateMachineArn=workshop.deployed.rollback_model_arn)
    return {one["executionArn"] for one in found["executions"]}


def test_two_rollbacks_go_further_back_and_never_bring_the_marked_model_back(
    workshop: Workshop, chain: list[str]
) -> None:
    earliest = workshop.table.promoted(chain[0])
    assert earliest
    with asking(workshop) as answers, Tap(workshop.deployed.event_bus) as tap, console.capture() as printed:
        output = roll_back(workshop.deployed, reason="a test does not like it")
        rollback.show(output)
        detail_type, detail = next(tap.events(20))
    assert (output["champion"], output["rolled_back"]) == (chain[1], chain[2])
    assert detail_type == "Model Rolled Back"
    Draft202012Validator(events.schema(detail_type)).validate(detail)
    assert (detail["model_version"], detail["rolled_back_model_version"]) == (chain[1], chain[2])
    assert workshop.champion_answers()
    assert set(answers) <= {chain[1], chain[2]}
    said = printed.get()
    assert [state for state in ("PrepareRollback", "UpdateEndpoint", "RecordRollback") if state not in said] == []
    assert f"make rollback TO={chain[2]}" in said.replace("\n", "")
    marked = workshop.table.promoted(chain[2])
    assert marked
    assert (marked.rolled_back_reason, marked.rolled_back_by) == ("a test does not like it", output["execution"])

    assert roll_back(workshop.deployed)["champion"] == chain[0]
    assert workshop.champion_answers()
    assert (workshop.champion.artifact, workshop.champion.snapshot) == (earliest.artifact, earliest.snapshot)
    shown = said_by_status(workshop)
    assert "restoredbyarollback" in shown
    assert "atestdoesnotlikeit" in shown


def test_a_marked_model_can_be_named_and_loses_its_mark(workshop: Workshop, chain: list[str]) -> None:
    output = roll_back(workshop.deployed, chain[2])
    assert output["mark_removed"]
    assert workshop.champion_answers()
    record = workshop.table.promoted(chain[2])
    assert record
    assert record.rolled_back_at is None


def test_a_name_that_cannot_be_put_back_is_refused(workshop: Workshop, chain: list[str]) -> None:
    champion = workshop.champion
    with pytest.raises(CommandError, match="is the champion already"):
        roll_back(workshop.deployed, champion.model_version)
    for unknown in ("vehicles-learn-never", "a-model-of-another-stage"):
        with pytest.raises(CommandError, match="cannot be put back"):
            roll_back(workshop.deployed, unknown)
    assert workshop.champion == champion
    assert workshop.champion_answers()


def test_while_a_retraining_runs_a_rollback_is_refused_with_a_sentence(
    workshop: Workshop, chain: list[str], ready_code: str
) -> None:
    champion = workshop.champion
    retraining = workshop.start(source=ready_code, dry_run=True)
    workshop.reach(retraining, "Train")
    with pytest.raises(CommandError, match=r"is under way.*RetrainingRunning.*The champion stays"):
        roll_back(workshop.deployed)
    assert json.loads(workshop.end_of(retraining)["output"])["reason"] == "DryRun"
    assert workshop.champion == champion
    assert workshop.champion_answers()


def test_a_rollback_that_fails_restores_the_champion(workshop: Workshop, chain: list[str]) -> None:
    """The endpoint configuration of the earlier model is there, and the model does not load any more."""
    champion = workshop.champion
    sagemaker: Any = client("sagemaker")
    described = sagemaker.describe_model(ModelName=champion.model_version)
    broken = "vehicles-learn-broken"
    archive = workshop.archive({"code/inference.py": NEVER_LOADS}, version=broken)
    artifact = workshop.put("models/broken/model.tar.gz", archive)
    sagemaker.create_model(
        ModelName=broken,
        PrimaryContainer={**described["PrimaryContainer"], "ModelDataUrl": artifact},
        ExecutionRoleArn=described["ExecutionRoleArn"],
    )
    variant = {"VariantName": "AllTraffic", "ModelName": broken, "InstanceType": "ml.m5.large"}
    sagemaker.create_endpoint_config(
        EndpointConfigName=broken, ProductionVariants=[{**variant, "InitialInstanceCount": 1}]
    )
    with asking(workshop) as answers, pytest.raises(CommandError) as failed:
        roll_back(workshop.deployed, broken)
    assert f"The rollback to {broken} failed" in str(failed.value)
    assert f"{champion.model_version} is on the endpoint again" in str(failed.value)
    assert workshop.champion == champion
    assert workshop.champion_answers()
    assert set(answers) == {champion.model_version}
    lock = client("dynamodb").get_item(TableName=workshop.deployed.model_table, Key={"id": {"S": "lock"}})
    assert "Item" not in lock


@contextmanager
def rung(workshop: Workshop, alarm: str) -> Iterator[None]:
    """An alarm of the stage that goes off, and is over when the block ends."""
    cloudwatch: Any = client("cloudwatch")
    name = f"{workshop.deployed.app_name}-{alarm}"
    cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a test rings it")
    try:
        yield
    finally:
        cloudwatch.set_alarm_state(AlarmName=name, StateValue="OK", StateReason="the test is over")


def test_an_alarm_of_the_list_rolls_a_new_champion_back_and_only_once(
    workshop: Workshop, chain: list[str], ready_code: str
) -> None:
    before = workshop.champion.model_version
    newest = workshop.retrain(source=ready_code, force=True)["model_version"]
    known = executions(workshop)
    with rung(workshop, "endpoint-errors"):
        (arn,) = eventually(lambda: executions(workshop) - known, "a rollback to start")
        ended = finished(arn)
    output = json.loads(ended["output"])
    assert (output["outcome"], output["champion"], output["rolled_back"]) == ("rolled back", before, newest)
    record = workshop.table.promoted(newest)
    assert record
    assert str(record.rolled_back_reason).startswith(f"alarm {workshop.deployed.app_name}-endpoint-errors")
    assert workshop.champion_answers()

    # The model that was restored is not rolled back by the next alarm.
    known = executions(workshop)
    with rung(workshop, "endpoint-errors"):
        (arn,) = eventually(lambda: executions(workshop) - known, "a rollback to start")
        assert json.loads(finished(arn)["output"])["outcome"] == "ignored"
    assert workshop.champion.model_version == before


def test_a_rollback_that_somebody_stops_can_be_started_again(
    workshop: Workshop, chain: list[str], ready_code: str
) -> None:
    before = workshop.champion.model_version
    newest = workshop.retrain(source=ready_code, force=True)["model_version"]
    states: Any = client("stepfunctions")
    machine = workshop.deployed.rollback_model_arn
    execution = states.start_execution(stateMachineArn=machine, input="{}")["executionArn"]
    workshop.reach(execution, "WaitForEndpoint")
    workshop.stop(execution)
    assert workshop.champion.model_version == newest
    output = roll_back(workshop.deployed)
    assert (output["champion"], output["rolled_back"]) == (before, newest)
    assert workshop.champion_answers()


def finished(execution: str) -> dict[str, Any]:
    states: Any = client("stepfunctions")
    ended: dict[str, Any] = eventually(
        lambda: (found := states.describe_execution(executionArn=execution))["status"] in FINISHED and found, "its end"
    )
    return ended
