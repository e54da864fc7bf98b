"""A rollback and a retraining do not run at the same time."""

import json
import time
from typing import Any

import pytest

from tests.workflow.retrain_stage import DATA
from tests.workflow.rollback_stage import SECOND, THIRD, RollbackStage
from tests.workflow.stage import Execution


def test_while_a_retraining_runs_a_rollback_is_refused(three_models: RollbackStage) -> None:
    retraining: list[Execution] = []

    def start_rollback(api: str, request: dict[str, Any]) -> None:
        if api == "CreateTrainingJob":
            output = three_models.run().output()
            assert (output["outcome"], output["reason"]) == ("refused", "RetrainingRunning")
            assert retraining[0].arn in output["verdict"]
            assert three_models.item("lock")["execution"] == retraining[0].arn
            refused.append(output)

    refused: list[dict[str, Any]] = []
    three_models.sagemaker.on_request = start_rollback
    three_models.sagemaker.failures["CreateTrainingJob"] = ["AlgorithmError: the end of this test"]
    machine = three_models.stage.deploy_retrain()
    retraining.append(three_models.stage.start(machine, DATA))
    retraining[0].wait()
    assert len(refused) == 1
    three_models.assert_serves(THIRD)


def test_an_alarm_stops_a_retraining_that_has_not_changed_the_endpoint(three_models: RollbackStage) -> None:
    states = three_models.stage.aws["stepfunctions"]
    queue = three_models.stage.aws["sqs"].get_queue_url(QueueName="audit")["QueueUrl"]
    message = {"QueueUrl": queue, "MessageBody.$": "$$.Task.Token"}
    train = {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken", "Parameters": message}
    machine = states.create_state_machine(
        name="scones-test-retrain-model",
        definition=json.dumps({"StartAt": "Train", "States": {"Train": {**train, "End": True}}}),
        roleArn=three_models.stage.role,
    )["stateMachineArn"]
    retraining = three_models.stage.start(machine, {})
    three_models.put_item("lock", execution=retraining.arn, expires_at="2999-01-01T00:00:00.000Z")
    output = three_models.run_on_alarm().output()
    assert (output["outcome"], output["champion"], output["rolled_back"]) == ("rolled back", SECOND, THIRD)
    ((stopped, error, cause),) = three_models.stage.stopped
    assert (stopped, error) == (retraining.arn, "StoppedByRollback")
    assert output["execution"] in str(cause)
    assert "alarm scones-test-errors: 5 errors" in str(cause)
    three_models.assert_serves(SECOND)


@pytest.mark.parametrize(
    ("status", "config", "changed_s_ago"),
    [
        ("Updating", THIRD, 1e9),
        ("InService", "vehicles-test-challenger", 1e9),
        ("InService", None, 1e9),
        ("InService", THIRD, 60),
    ],
)
def test_an_alarm_while_a_retraining_changes_the_endpoint_is_not_about_the_champion(
    three_models: RollbackStage, status: str, config: str | None, changed_s_ago: float
) -> None:
    three_models.sagemaker.modified = time.time() - changed_s_ago

    def go_off(api: str, request: dict[str, Any]) -> None:
        if api == "CreateTrainingJob":
            before = (three_models.sagemaker.status, three_models.sagemaker.config)
            three_models.sagemaker.status, three_models.sagemaker.config = status, config
            outputs.append(three_models.run_on_alarm().output())
            three_models.sagemaker.status, three_models.sagemaker.config = before

    outputs: list[dict[str, Any]] = []
    three_models.sagemaker.on_request = go_off
    three_models.sagemaker.failures["CreateTrainingJob"] = ["AlgorithmError: the end of this test"]
    ended = three_models.stage.start(three_models.stage.deploy_retrain(), DATA).wait()
    assert (ended["status"], ended["error"]) == ("FAILED", "TrainingFailed")
    (output,) = outputs
    assert (output["outcome"], output["reason"]) == ("ignored", "Ignored")
    assert "is deploying or has withdrawn another model" in output["verdict"]
    three_models.assert_serves(THIRD)


def test_of_two_alarms_at_once_one_rolls_the_champion_back(three_models: RollbackStage) -> None:
    def go_off(api: str, request: dict[str, Any]) -> None:
        if api == "UpdateEndpoint":
            outputs.append(three_models.run_on_alarm().output())

    outputs: list[dict[str, Any]] = []
    three_models.sagemaker.on_request = go_off
    assert three_models.run_on_alarm().output()["champion"] == SECOND
    assert [(output["outcome"], output["reason"]) for output in outputs] == [("refused", "RetrainingRunning")]
    three_models.assert_serves(SECOND)


def test_while_a_rollback_runs_a_retraining_is_rejected(three_models: RollbackStage) -> None:
    def start_retraining(api: str, request: dict[str, Any]) -> None:
        if api == "UpdateEndpoint":
            outputs.append(three_models.stage.start(three_models.stage.deploy_retrain(), DATA).output())

    outputs: list[dict[str, Any]] = []
    three_models.sagemaker.on_request = start_retraining
    assert three_models.run().output()["champion"] == SECOND
    assert [output["reason"] for output in outputs] == ["RetrainingRunning"]


def test_the_lock_of_a_stopped_execution_is_taken_over(three_models: RollbackStage) -> None:
    stopped = "arn:aws:states:eu-west-1:123456789012:execution:retrain-model:stopped"
    three_models.put_item("lock", execution=stopped, expires_at="2999-01-01T00:00:00.000Z")
    assert three_models.run().output()["outcome"] == "rolled back"
    assert three_models.item("lock") == {}
